import json
import subprocess
import sys

import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.steps.network.build import devices
from tests.settings import ROOT, training

STEPS = 4
SCRIPT = f"""
import json, sys, tempfile
from pathlib import Path
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from segsrgan_core.training import train
from segsrgan_study.steps.network.build import devices
from tests.core.test_training import CORTEX, THREE_MM, subjects, trainer, validate
from tests.settings import training

found = {{}}
for count in (1, 2):
    settings = training(
        patch=16, batch=4, devices=count, epochs={STEPS}, steps_per_epoch=1, validate_every={STEPS},
        adversarial_from=0.5, n_critic=2, lambda_dice=1.0, optimizer="muon",
    )
    with devices(count).scope():
        one = trainer(settings)
    with tempfile.TemporaryDirectory() as folder:
        found[count] = train(one, subjects(), THREE_MM, CORTEX, validate, Path(folder, "state.npz"), seed=5)
print(json.dumps(found))
"""
# The gradients of a batch are summed in another order, and Adam's first steps follow their signs.
TOLERANCE = 1e-4


@pytest.mark.slow
def test_two_devices_give_the_loss_curve_of_one():
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
