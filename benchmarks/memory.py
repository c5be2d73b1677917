"""Peak memory of a whole head and of a training, each measured in a process of its own."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.common import SIZES, Size, head, settings_of
from segsrgan_study.quiet import start_tensorflow


def memory(size: Size) -> dict:
    """Return the peak resident memory in GiB of each piece of work, TensorFlow and Python (`start`) included."""
    name = next(name for name, one in SIZES.items() if one == size)
    commands = {work: [sys.executable, "-m", __name__, work, name] for work in WORK}
    return {work: float(subprocess.check_output(command, text=True)) for work, command in commands.items()}


def _start(size: Size) -> None:
    """Do nothing more."""


def _head(size: Size) -> None:
    """Segment a head of thick slices at the study's settings, from the image to labels and uncertainty."""
    from nibabel.nifti1 import Nifti1Image

    from segsrgan_core.networks.functions import as_function, choose_policy
    from segsrgan_core.networks.generators import build_generator
    from segsrgan_core.segmenter import ModelCard, Segmenter
    from segsrgan_study.steps.network.build import generator_arguments

    settings = settings_of("quick", size)
    arguments, windows = generator_arguments(settings), settings.inference
    network = as_function(build_generator(**arguments, policy=choose_policy("auto")))
    facts = {"spacing_mm": 0.5, "patch": size.patch, "thickness_mm": (3.0, 3.0), "plane": "axial", "cohort": "none"}
    card = ModelCard(arguments, tuple(settings.model.classes), **facts, step=windows.step, flips=tuple(windows.flips))
    thick = Nifti1Image(np.ascontiguousarray(head(size.head)[..., ::6]), np.diag([0.5, 0.5, 3.0, 1.0]))
    Segmenter(card, network)(thick)


def _training(size: Size) -> None:
    """Take two iterations of the published networks with 5 critic steps, at a batch of 4."""
    import tensorflow as tf

    from benchmarks.training import paper_trainer

    settings = settings_of("paper", size, batch=4)
    trainer, n = paper_trainer(settings), settings.training.n_critic
    x = tf.random.stateless_uniform((n + 1, 4, *[size.patch] * 3, 1), (0, 0))
    for _ in range(2):
        trainer.adversarial(x, tf.concat([x, tf.round(x)], -1), tf.ones((n, 4)) / 2)


def _peak_gib() -> float:
    status = Path("/proc/self/status")
    if status.is_file():  # Linux counts the parent's memory into ru_maxrss
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30  # in bytes on macOS


WORK = {"start": _start, "head": _head, "training": _training}

if __name__ == "__main__":
    start_tensorflow()
    WORK[sys.argv[1]](SIZES[sys.argv[2]])
    print(_peak_gib())
