from itertools import count
from unittest.mock import patch

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager.context import context

from segsrgan_core.classes import Classes
from segsrgan_core.networks.critic import build_critic
from segsrgan_core.networks.generators import BODIES, build_generator
from segsrgan_core.patches import numbered_patch, prepare_subject
from segsrgan_core.training import Trainer, soften, train
from tests.settings import simulation, training

CORTEX = Classes(("cortex",))
THREE_MM = simulation(slice_mm=3.0)
SETTINGS = training(patch=16, epochs=3, steps_per_epoch=2, adversarial_from=0.5, n_critic=2, lambda_dice=1.0)


def trainer(settings=SETTINGS, critic=True):
    with patch.dict(BODIES, tiny=(lambda blocks, x, k, kernel: blocks.unit(blocks.unit(x, k), k),)):  # soon traced
        generator = build_generator("tiny", k=4, kernel=3, padding="zero", seed=1)
    return Trainer(generator, build_critic(2, width=2, seed=2) if critic else None, settings)


def subjects():
    image = np.random.default_rng(0).random((24, 24, 32)).astype(np.float32)
    return [prepare_subject("s", image, 2 * (image > 0.6).astype(np.uint8), CORTEX, 0.8, THREE_MM, 16, 0)]


@pytest.fixture(scope="module")
def traced():
    """A trainer, whose graphs are made once, and its first state."""
    one = trainer()
    return one, weights(one)


@pytest.fixture
def run(traced, tmp_path):
    """Train from the first state (or a stored one) on; returns the history."""
    one, start = traced

    def call(name, report=lambda step, row: None, patches_from=None, **changes):
        for variable, value in zip((w for group in one.state().values() for w in group), start, strict=True):
            variable.assign(value)
        one.settings = SETTINGS.model_copy(update=changes)
        return train(one, subjects(), THREE_MM, CORTEX, validate, tmp_path / f"{name}.npz", 5, report, patches_from)

    return call


def validate(network):
    return {"val_score": float(network(np.full((1, 16, 16, 16, 1), 0.5, np.float32)).mean())}


def weights(trained):
    return [w.numpy() for group in trained.state().values() for w in group]


def test_a_killed_training_goes_on_bit_by_bit(run, traced):
    whole, expected = run("whole"), weights(traced[0])
    assert ["loss_critic" in row for row in whole] == [False, True, True]  # from its share of the steps on

    def killed_in_the_third_epoch(step, row):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("killed", report=killed_in_the_third_epoch)
    seen = []
    assert run("killed", report=lambda step, row: seen.append(step)) == whole
    assert seen == [5, 6]
    np.testing.assert_equal(weights(traced[0]), expected)


def test_patches_that_are_drawn_elsewhere_train_the_same(run):
    def patches_from(start):
        return (numbered_patch(5, number, subjects(), SETTINGS, THREE_MM, CORTEX, False) for number in count(start))

    assert run("elsewhere", patches_from=patches_from) == run("here")


def sums_of_three(graph):
    """Return the nodes of a graph and its functions that add as the terms come, and so round otherwise each time."""
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    several = [node for node in nodes if "AddN" in node.op or "Accumulate" in node.op]
    several = [node for node in several if len([one for one in node.input if not one.startswith("^")]) > 2]
    return [node.name for node in (*several, *(node for node in nodes if node.op == "TemporaryVariable"))]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "channels", "groups", "batch"), [("unet", 1, (1,), 1), ("residual", 2, (4, 3), 2)])
def test_no_sum_is_made_in_the_order_in_which_its_terms_are_ready(name, channels, groups, batch):
    n = sum(groups)
    options = {"thickness_channel": channels == 2, "hemispheres": len(groups) == 2}
    model = build_generator(name, n_classes=groups[0], k=4, **options)
    settings = SETTINGS.model_copy(update={"optimizer": "muon", "lambda_ce": 0.3, "lambda_sides": 0.1})
    one = Trainer(model, build_critic(1 + n + (channels == 2), width=2), settings, groups)
    x, y = np.zeros((3, batch, 16, 16, 16, channels), np.float32), np.zeros((3, batch, 16, 16, 16, 1 + n), np.float32)
    for function, arguments in ((one.reconstruct, (x[0], y[0])), (one.adversarial, (x, y, np.zeros((2, batch))))):
        arguments = [tf.constant(a, tf.float32) for a in arguments]
        assert not sums_of_three(function.get_concrete_function(*arguments).graph.as_graph_def())
        context().enable_run_metadata()  # what the graph has become when it runs
        function(*arguments)
        graphs = [run.post_optimization_graph for run in context().export_run_metadata().function_graphs]
        context().disable_run_metadata()
        assert max(len(graph.node) for graph in graphs) > 500
        assert not [name for graph in graphs for name in sums_of_three(graph)]


def test_an_epochs_losses_are_the_means_of_its_steps(run):
    each, pairs = run("each", epochs=6, steps_per_epoch=1), run("pairs", epochs=3, steps_per_epoch=2)
    for name in ("loss_rec", "loss_dice"):
        steps = np.reshape([row[name] for row in each], (3, 2))
        assert [row[name] for row in pairs] == pytest.approx(steps.mean(axis=1), rel=1e-9)
        assert np.ptp(steps, axis=1).min() > 0


def test_a_step_moves_its_own_network_alone():
    one = trainer()
    x, y = np.random.default_rng(0).random((2, 1, 16, 16, 16, 2)).astype(np.float32)
    steps = {
        "critic": lambda: one._critic_step(x[..., :1], y, np.float32([0.5])),
        "generator": lambda: one._generator_step(x[..., :1], y, adversarial=True),
    }
    for moved, step in steps.items():
        before = {name: [w.numpy() for w in one.state()[name]] for name in steps}
        step()
        for name, old in before.items():
            assert all(map(np.array_equal, old, one.state()[name])) == (name != moved)


def test_a_batch_as_one_tensor_gives_the_mean_losses_and_gradients_of_its_samples():
    x, y = np.random.default_rng(0).random((2, 2, 2, 16, 16, 16, 2)).astype(np.float32)
    found = []
    for at_once in (1, 2):
        one = trainer(training(patch=16, batch=2, n_critic=1))
        one.at_once = at_once
        terms = one.adversarial(x[..., :1], y, np.float32([[0.3, 0.8]]))
        found.append([*terms.values(), *one.generator_optimizer._momentums, *one.critic_optimizer._momentums])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * np.abs(a).max())


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_rate_falls_along_half_a_cosine_over_the_last_share_of_the_steps(share):
    rate = trainer(training(epochs=10, steps_per_epoch=10, decay=share), critic=False)._schedule(0.2)
    if share == 0:
        assert rate == 0.2
        return
    begin = 100 * (1 - share)
    assert [float(rate(step)) for step in (0, begin)] == pytest.approx([0.2, 0.2])
    assert float(rate(begin + 50 * share)) == pytest.approx(0.2 * 0.51)
    assert float(rate(100)) == pytest.approx(0.2 * 0.02)


def overfit(right):
    one = trainer(training(patch=16, learning_rate=0.01, beta_1=0.9, decay=0, lambda_dice=1.0), critic=False)
    x = np.random.default_rng(0).random((1, 16, 16, 16, 1)).astype(np.float32)
    blob = np.zeros_like(x)
    blob[:, 4:12, 4:12, 4:12] = 1
    x = x * 0.1 + blob
    for step in range(60):
        labels = blob if right else np.random.default_rng(step).integers(0, 2, x.shape).astype(np.float32)
        dice = float(one.reconstruct(x, np.concatenate([x, labels], -1))["loss_dice"])
    return 1 - dice


def test_a_tiny_network_overfits_one_patch_and_learns_nothing_from_random_labels():
    assert overfit(right=True) > 0.95
    assert overfit(right=False) < 0.8


def test_softening_leaves_the_image_and_blurs_the_segmentation():
    real = np.zeros((1, 5, 5, 5, 2), np.float32)
    real[0, 2, 2, 2] = 1
    soft = soften(real).numpy()
    np.testing.assert_array_equal(soft[..., 0], real[..., 0])
    assert soft[0, 1, 1, 1, 1] == pytest.approx(1 / 27)
    assert soft[..., 1].sum() == pytest.approx(1, rel=1e-5)
