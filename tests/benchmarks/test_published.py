import numpy as np
import pytest

from benchmarks.published import (
    PublishedTraining,
    as_first,
    predict_windows,
    published_critic,
    published_generator,
    window_count,
)
from segsrgan_core.networks.critic import build_critic
from segsrgan_core.networks.generators import build_generator
from segsrgan_core.training import Trainer, soften
from tests.settings import training

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def networks():
    """Our networks and the published ones with the same weights."""
    ours = build_generator("residual", k=2, policy="float32"), build_critic(2, width=2)
    theirs = published_generator(2), published_critic(2)
    for a, b in zip(theirs, ours, strict=True):
        a.set_weights(b.get_weights())
    return ours, theirs


def test_the_published_networks_are_ours_in_another_form(networks):
    (generator, critic), (published, their_critic) = networks
    x = RNG.random((2, 16, 16, 16, 1), np.float32)
    y = generator(x).numpy()
    np.testing.assert_allclose(published(as_first(x)), as_first(y), atol=2e-4)
    np.testing.assert_allclose(their_critic(as_first(y)), critic(y), atol=1e-5)


def test_a_published_iteration_ends_where_ours_does(networks):
    (generator, critic), theirs = networks
    settings = training(
        patch=16, batch=2, n_critic=2, learning_rate=1e-4, beta_1=0.5, decay=0, optimizer="adam",
        lambda_rec=1.0, lambda_adv=1.0, lambda_dice=0.0, lambda_ce=0.0,
    )  # fmt: skip
    x = RNG.random((3, 2, 16, 16, 16, 1), np.float32)
    y = np.concatenate([x + 0.1, (x > 0.5).astype(np.float32)], -1)
    epsilon = RNG.random((2, 2)).astype(np.float32)
    soft = np.stack([*(soften(one).numpy() for one in y[:2]), y[2]])  # our critic sees blurred segmentations
    published = PublishedTraining(*theirs, n_critic=2, lambda_adv=1.0)
    before = critic(y[0]).numpy()
    loss = published.iteration(as_first(x), as_first(soft), epsilon)
    trainer = Trainer(generator, critic, settings)
    values = trainer.adversarial(x, y, epsilon)
    assert loss == pytest.approx(float(values["loss_rec"] + values["loss_adv"]), rel=1e-3)
    np.testing.assert_allclose(theirs[1](as_first(y[0])), critic(y[0]), atol=1e-3 * np.abs(before).max())
    assert np.abs(critic(y[0]) - before).max() > 5e-3 * np.abs(before).max()


def test_windows_of_a_head_are_those_of_step_30_with_zeros_at_the_ends():
    assert window_count((200, 230, 190)) == 4 * 5 * 4
    assert window_count((128, 129, 100)) == 1 * 2 * 1


def test_windows_go_through_predict(networks):
    _, (published, _) = networks
    windows = RNG.random((2, 1, 16, 16, 16), np.float32)
    np.testing.assert_allclose(predict_windows(published, windows), published(windows), atol=1e-5)
