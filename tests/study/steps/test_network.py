"""The training's parts that notebook 02 calls, and the objective that stands in it."""

import nbformat
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from nibabel.nifti1 import Nifti1Image

from segsrgan_core import losses
from segsrgan_core.classes import Classes
from segsrgan_core.networks.critic import build_critic
from segsrgan_core.patches import patch_dataset, prepare_subject
from segsrgan_study.params import read_params
from segsrgan_study.paths import Study
from segsrgan_study.steps.data.cases import PreparedCase
from segsrgan_study.steps.network import fit
from segsrgan_study.steps.network.build import build_trainer, model_classes
from segsrgan_study.steps.network.drawing import drawing_processes
from segsrgan_study.steps.network.fit import LiveCurve, state_files, training_subjects
from tests.settings import PARAMS, QUICK, ROOT, simulation, training

NOTEBOOK = ROOT / "notebooks" / "02_train.ipynb"
TWO_TISSUES = {"model": {"classes": ["cortex", "white"], "hemispheres": False}}
SETTINGS = {"default": QUICK, "published": read_params(PARAMS, setting="paper")}
SETTINGS |= {"three classes": read_params(PARAMS, changes=TWO_TISSUES)}


@pytest.fixture(params=SETTINGS)
def settings(request):
    return SETTINGS[request.param]


@pytest.fixture
def objectives(settings):
    """The functions of the cell of notebook 02 that holds the objective."""
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if "def objective(" in cell.source]
    names = {"settings": settings, "classes": model_classes(settings)}
    exec(cells[0], names)
    return names["objective"], names["critic_objective"]


@pytest.fixture
def pair(settings):
    """A truth and an estimate (2, 8, 8, 8, 1 + n): an image, and probabilities."""
    rng = np.random.default_rng(1)
    shape = (2, 8, 8, 8, 1 + model_classes(settings).channels)
    real, fake = rng.uniform(size=shape), rng.uniform(0.01, 0.99, shape)
    real[..., 1:] = real[..., 1:] > 0.5
    return tf.constant(real, tf.float32), tf.constant(fake, tf.float32)


@pytest.mark.parametrize("scores", [None, [[0.3], [-1.2]]])
def test_the_notebooks_objective_is_that_of_the_core(settings, objectives, pair, scores):
    scores = None if scores is None else tf.constant(scores)
    reference = losses.generator_objective(settings.training, model_classes(settings).groups)
    found, expected = [], []
    for results, objective in ((found, objectives[0]), (expected, reference)):
        with tf.GradientTape() as tape:
            tape.watch(pair[1])
            total, terms = objective(*pair, scores)
        results += [total, tape.gradient(total, pair[1])]
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert terms.keys() == reference(*pair, scores)[1].keys()


def test_the_notebooks_objective_of_the_critic_is_that_of_the_core(settings, objectives, pair):
    critic, epsilon = build_critic(pair[0].shape[-1], 2), tf.constant([0.2, 0.7])
    expected = losses.critic_objective(settings.training)(critic, *pair, epsilon)
    np.testing.assert_array_equal(objectives[1](critic, *pair, epsilon), expected)


def other(real, fake, scores=None):
    """Another objective."""


def test_a_trainer_minimises_the_objective_that_it_is_given():
    trainer = build_trainer(read_params(PARAMS, setting="miniature"), other, other)
    assert trainer.objective is trainer.critic_objective is other


def test_another_objective_or_case_or_setting_is_another_training(tmp_path):
    study = Study(tmp_path)
    cases = tmp_path / "data" / "prepared" / "cases.csv"
    cases.parent.mkdir(parents=True)
    cases.write_text("name\n")
    states = [state_files(study, QUICK), state_files(study, QUICK, other), state_files(study, SETTINGS["published"])]
    cases.write_text("name\nsub-01\n")
    states.append(state_files(study, QUICK))
    assert len({str(paths) for paths in states}) == 4
    assert state_files(study, QUICK, other) == state_files(study, QUICK, other)
    two = QUICK.model_copy(update={"training": QUICK.training.model_copy(update={"networks": 2})})
    first, second = state_files(study, two)
    assert second.stem == f"{first.stem}-1"


def test_a_curve_is_thinned_but_keeps_every_epochs_end(tmp_path):
    curve = LiveCurve(tmp_path / "a.csv", total=2000)  # every tenth step
    for step in range(1, 26):
        curve.add(step, {"loss_rec": np.float32(1 / step), **({"epoch": 3, "val_psnr": 25.0} if step == 17 else {})})
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table["step"]) == [10, 17, 20]
    assert table["loss_rec"][0] == pytest.approx(0.1)
    assert table["val_psnr"].notna().sum() == 1
    assert set(table["total"]) == {2000}


@pytest.mark.parametrize(("again", "steps"), [(6, [1, 2, 3, 4, 5, 6]), (1, [1])])
def test_a_training_that_goes_on_continues_its_curve_and_one_that_begins_anew_starts_another(tmp_path, again, steps):
    first, resumed = (LiveCurve(tmp_path / "a.csv", total=100) for _ in range(2))
    for step in range(1, 9):
        first.add(step, {"loss_rec": 1.0})
    resumed.add(again, {"loss_rec": 2.0})  # the state was written after the step before
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table["step"]) == steps
    assert list(table["loss_rec"]) == [1] * (len(steps) - 1) + [2]


CLASSES, THREE_MM = Classes(("cortex",), hemispheres=True), simulation(slice_mm=3.0)


def subject(name, sides):
    image = np.random.default_rng(0).random((24, 26, 40)).astype(np.float32)
    labels = 2 * (image > 0.5).astype(np.uint8)
    return prepare_subject(name, image, labels, CLASSES, 0.8, THREE_MM, 16, 0, np.full_like(labels, sides))


def test_processes_draw_the_patches_of_the_dataset_bit_by_bit_from_any_number_on():
    one, other = subject("s/1", 1), subject("s/2", 2)
    subjects = [one, other, other]  # of a small cohort
    arguments = training(patch=16, turned=0.5, batch=1, n_critic=1), THREE_MM, CLASSES, True
    with drawing_processes(subjects, *arguments, seed=7) as patches_from:
        for start in (0, 4):
            expected = patch_dataset(subjects, *arguments, seed=7, start=start).take(5)
            for pair, same in zip(expected, patches_from(start), strict=False):
                assert [one.numpy().tobytes() for one in pair] == [one.tobytes() for one in same]


def test_a_small_cohort_is_drawn_as_often_as_a_large_one(monkeypatch):
    cases = [PreparedCase(f"{cohort} {n}", "", "train", cohort=cohort) for n, cohort in enumerate("aabaaaab", 1)]
    image = Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4))
    for name, value in (("prepared_cases", cases), ("load_image", image)):
        monkeypatch.setattr(fit, name, lambda *_, value=value: value)
    monkeypatch.setattr(fit, "prepare_subject", lambda name, *_: name)
    assert training_subjects(None, QUICK) == [*(f"a {n}" for n in "124567"), *["b 3", "b 8"] * 3]
