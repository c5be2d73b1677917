import json
import sys

import numpy as np
import pytest

from benchmarks import __main__ as bench
from benchmarks.common import comparison, interleaved
from benchmarks.published import PublishedTraining, as_first, published_critic, published_generator, window_count
from segsrgan_core.networks.critic import build_critic
from segsrgan_core.networks.generators import build_generator
from segsrgan_core.training import Trainer, soften
from tests.settings import training

RNG = np.random.default_rng(0)


@pytest.mark.slow
def test_the_published_networks_and_their_iteration_are_ours_in_another_form():
    generator, critic = build_generator("residual", k=2, policy="float32"), build_critic(2, width=2)
    theirs = published_generator(2), published_critic(2)
    for a, b in zip(theirs, (generator, critic), strict=True):
        a.set_weights(b.get_weights())
    settings = training(patch=16, batch=2, n_critic=2, learning_rate=1e-4, decay=0, lambda_adv=1.0)
    x = RNG.random((3, 2, 16, 16, 16, 1), np.float32)
    y = np.concatenate([x + 0.1, (x > 0.5).astype(np.float32)], -1)
    np.testing.assert_allclose(theirs[0](as_first(x[0])), as_first(generator(x[0]).numpy()), atol=2e-4)
    np.testing.assert_allclose(theirs[1](as_first(y[0])), critic(y[0]), atol=1e-5)
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


def test_work_is_done_in_turn_and_compared_round_by_round():
    done = []
    times = interleaved({name: lambda name=name: done.append(name) for name in "ab"}, 2)
    assert "".join(done) == "ab" + "ab" + "ba"
    assert [len(one) for one in times.values()] == [2, 2]
    assert comparison([4.0, 9.0], [2.0, 3.0], scale=10)["ratio"] == {"median": 25, "low": 20, "high": 30, "rounds": 2}


@pytest.mark.slow
def test_every_benchmark_leaves_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--small", "--out", str(tmp_path)])
    bench.main()
    found = {path.stem: json.loads(path.read_text()) for path in tmp_path.iterdir()}
    assert sorted(found) == sorted(bench.NAMES)
    assert all(one["machine"]["cores"] > 0 for one in found.values())
    assert found["heads"]["result"]["ratio"]["low"] > 0
    assert found["training"]["result"]["batch 1"]["ratio"]["low"] > 0
    assert 0 < found["memory"]["result"]["start"] < found["memory"]["result"]["training"]
