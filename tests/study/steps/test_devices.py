"""Training on two devices against one: two virtual processors, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.steps.network.build import devices
from tests.settings import training

ROOT = Path(__file__).parents[3]
STEPS = 4
SCRIPT = f"""
import json, sys, tempfile
from pathlib import Path
import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from segsrgan_core.classes import Classes
from segsrgan_core.networks.critic import build_critic
from segsrgan_core.networks.generators import BODIES, build_generator
from tests.settings import simulation, training
from segsrgan_core.patches import prepare_subject
from segsrgan_core.training import Trainer, train
from segsrgan_study.steps.network.build import devices

BODIES["tiny"] = (lambda blocks, x, k, kernel: blocks.unit(blocks.unit(x, k), k),)  # soon traced
image = np.random.default_rng(0).random((24, 24, 32)).astype(np.float32)
classes = Classes(("cortex",))
subject = prepare_subject("s", image, 2 * (image > 0.6).astype(np.uint8), classes, 0.8, simulation(slice_mm=3.0), 16, 0)
found = {{}}
for count in (1, 2):
    settings = training(
        patch=16, batch=4, devices=count, epochs={STEPS}, steps_per_epoch=1, validate_every={STEPS},
        adversarial_from=0.5, n_critic=2, lambda_dice=1.0, optimizer="muon",
    )
    with devices(count).scope():
        generator = build_generator("tiny", k=4, kernel=3, padding="zero", seed=1)
        trainer = Trainer(generator, build_critic(2, width=2, seed=2), settings)
    with tempfile.TemporaryDirectory() as folder:
        score = lambda network: {{"val_score": float(network(np.full((1, 16, 16, 16, 1), 0.5, np.float32)).mean())}}
        state = Path(folder, "state.npz")
        found[count] = train(trainer, [subject], simulation(slice_mm=3.0), classes, score, state, seed=5)
print(json.dumps(found))
"""
# The gradients of a batch are summed in another order, and Adam's first steps follow their signs.
TOLERANCE = 1e-4


@pytest.mark.slow
def test_two_devices_give_the_loss_curve_of_one():
    """Muon for the generator, Adam for the critic."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = json.loads(done.stdout.splitlines()[-1]).values()
    assert [set(row) for row in one] == [set(row) for row in two]
    assert "loss_critic" in one[-1]
    for a, b in zip(one, two, strict=True):
        for name, value in a.items():
            assert b[name] == pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE), name
    assert len({round(row["loss_rec"], 6) for row in one}) == STEPS  # the curve moves
    assert np.isfinite(list(one[-1].values())).all()


def test_devices_that_cannot_share_a_batch_or_are_not_there_are_refused():
    with pytest.raises(ValueError, match="a batch that 3 devices can share, not 4"):
        training(batch=4, devices=3)
    with pytest.raises(UserError, match=r"training\.devices: 99 is more than"):
        devices(99)
