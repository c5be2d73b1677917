"""Trained weights as the start of another training."""

from pathlib import Path

import keras
import numpy as np

from segsrgan_core.checkpoints import read_state
from segsrgan_core.classes import Classes
from segsrgan_core.errors import UserError
from segsrgan_core.segmenter import WEIGHTS, read_card


def start_from(generator: keras.Model, classes: Classes, folder: Path) -> None:
    """Copy the weights of a trained model into a fresh generator, which segments `classes`.

    The last convolution gets the channels of the image, of the classes that both know and of the hemispheres; those of
    other classes keep their random start. A UserError where the folder holds no model, or one of other layers.
    """
    own, theirs = generator.trainable_variables, read_card(folder).tissues
    arrays, _ = read_state(folder / WEIGHTS)
    trained = [arrays[f"generator/{i}"] for i in range(len(arrays))]
    fits = [a.shape for a in trained[:-1]] == [tuple(v.shape) for v in own[:-1]]
    if not fits or trained[-1].shape[:-1] != tuple(own[-1].shape)[:-1]:
        raise UserError(f"{folder}: the layers have other sizes than those of the settings; choose the same `model`.")
    head, known = np.asarray(own[-1]).copy(), ["image", *theirs.channel_names]
    for channel, name in enumerate(["image", *classes.channel_names]):
        if name in known and (name != "rest" or theirs == classes):  # else it is the rest of other classes
            head[..., channel] = trained[-1][..., known.index(name)]
    for variable, array in zip(own, [*trained[:-1], head], strict=True):
        variable.assign(array)
