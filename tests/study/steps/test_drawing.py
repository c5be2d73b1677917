import numpy as np

from segsrgan_core.classes import Classes
from segsrgan_core.patches import patch_dataset, prepare_subject
from segsrgan_study.steps.network.drawing import drawing_processes
from tests.settings import simulation, training

CLASSES, THREE_MM = Classes(("cortex",), hemispheres=True), simulation(slice_mm=3.0)


def subject(name, sides):
    image = np.random.default_rng(0).random((24, 26, 40)).astype(np.float32)
    labels = 2 * (image > 0.5).astype(np.uint8)
    return prepare_subject(name, image, labels, CLASSES, 0.8, THREE_MM, 16, 0, np.full_like(labels, sides))


def test_processes_draw_the_patches_of_the_dataset_bit_by_bit_from_any_number_on():
    subjects = [subject("s/1", 1), subject("s/2", 2)]
    arguments = training(patch=16, turned=0.5, batch=1, n_critic=1), THREE_MM, CLASSES, True
    with drawing_processes(subjects, *arguments, seed=7) as patches_from:
        for start in (0, 4):
            expected = patch_dataset(subjects, *arguments, seed=7, start=start).take(5)
            for pair, same in zip(expected, patches_from(start), strict=False):
                assert [one.numpy().tobytes() for one in pair] == [one.tobytes() for one in same]
