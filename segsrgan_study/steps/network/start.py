"""Trained weights as the start of another training."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from segsrgan_core.checkpoints import read_state
from segsrgan_core.classes import Classes
from segsrgan_core.errors import UserError
from segsrgan_core.segmenter import WEIGHTS, read_card


def start_from(generator: keras.Model, classes: Classes, folders: Sequence[Path]) -> None:
    """Copy the weights of trained models into a generator, one model for each of its members.

    The last convolution of a member gets the channels of the image, of the classes that both know and of the
    hemispheres. Those of other classes keep their random start; in a generator of several members, which average what
    they say, they are 0. The generator is fresh and segments `classes`.

    Raises:
        UserError: a folder holds no model, or one whose layers are of another size.
    """
    variables, first = generator.trainable_variables, 0
    for folder in folders:
        theirs = read_card(folder).tissues
        arrays, _ = read_state(folder / WEIGHTS)
        trained = [arrays[f"generator/{i}"] for i in range(len(arrays))]
        own = variables[first : first + len(trained)]
        fits = [a.shape for a in trained[:-1]] == [tuple(v.shape) for v in own[:-1]]
        if not fits or trained[-1].shape[:-1] != tuple(own[-1].shape)[:-1]:
            raise UserError(
                f"{folder}: the layers have other sizes than those of the settings; choose the same `model`."
            )
        head = np.asarray(own[-1]) * (len(folders) == 1)
        known = ["image", *theirs.channel_names]
        for channel, name in enumerate(["image", *classes.channel_names]):
            if name in known and (name != "rest" or theirs == classes):  # else it is the rest of other classes
                head[..., channel] = trained[-1][..., known.index(name)]
        for variable, array in zip(own, [*trained[:-1], head], strict=True):
            variable.assign(array)
        first += len(trained)
    if first != len(variables):
        raise UserError(f"--start: the settings' generator begins with more models than {len(folders)}; name each.")
