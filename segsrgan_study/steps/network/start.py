"""Trained weights as the start of another training."""

from pathlib import Path

import keras
import numpy as np

from segsrgan_core.checkpoints import read_state
from segsrgan_core.classes import Classes
from segsrgan_core.errors import UserError
from segsrgan_core.segmenter import WEIGHTS, read_card


def start_from(generator: keras.Model, classes: Classes, folder: Path) -> None:
    """Copy the weights of a trained model into a generator.

    The last convolution gets the channels of the image, of the classes that both know and of the hemispheres; those of
    other classes keep their random start. The generator is fresh and segments `classes`.

    Raises:
        UserError: the folder holds no model, or one whose layers are of another size.
    """
    theirs = read_card(folder).tissues
    arrays, _ = read_state(folder / WEIGHTS)
    trained = [arrays[f"generator/{i}"] for i in range(len(arrays))]
    variables = generator.trainable_variables
    *body, head = [np.asarray(variable) for variable in variables]
    fits = [a.shape for a in trained[:-1]] == [a.shape for a in body] and trained[-1].shape[:-1] == head.shape[:-1]
    if not fits:
        raise UserError(f"{folder}: the layers have other sizes than those of the settings; choose the same `model`.")
    known = ["image", *theirs.channel_names]
    for channel, name in enumerate(["image", *classes.channel_names]):
        if name in known and name != "rest":
            head[..., channel] = trained[-1][..., known.index(name)]
    for variable, array in zip(variables, [*trained[:-1], head], strict=True):
        variable.assign(array)
