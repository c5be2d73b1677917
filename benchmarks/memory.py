"""Peak memory of a whole head and of a training, each measured in a process of its own."""

import re
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.common import SIZES, Size, head, settings_of
from segsrgan_study.progress import start_tensorflow


def memory(size: Size) -> dict:
    """Return the peak resident memory in GiB of each piece of work, Python included."""
    name = next(name for name, one in SIZES.items() if one == size)
    commands = {work: [sys.executable, "-m", __name__, work, name] for work in WORK}
    return {work: float(subprocess.check_output(command, text=True)) for work, command in commands.items()}


def _start(size: Size) -> None:
    """Start TensorFlow, as a training does."""
    start_tensorflow()


def _head(size: Size) -> None:
    """Segment a head of thick slices with the packaged weights, from the image to labels and uncertainty."""
    from nibabel.nifti1 import Nifti1Image

    from segsrgan_study.engines import load_segmenter
    from segsrgan_study.weights import find_model

    segmenter = load_segmenter(find_model("axial"))
    thick = Nifti1Image(np.ascontiguousarray(head(size.head)[..., ::6]), np.diag([0.5, 0.5, 3.0, 1.0]))
    replace(segmenter, card=replace(segmenter.card, spacing_mm=0.5))(thick)


def _training(size: Size) -> None:
    """Take two iterations of the published networks with 5 critic steps, at a batch of 4."""
    start_tensorflow()
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
    WORK[sys.argv[1]](SIZES[sys.argv[2]])
    print(_peak_gib())
