import io
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from segsrgan_study.explore import demo
from segsrgan_study.explore.app import App
from segsrgan_study.explore.demo import DemoPage, derived
from segsrgan_study.explore.looks import LOW, SEGSRGAN, SPLINE
from segsrgan_study.explore.subject import SubjectPage
from segsrgan_study.explore.te import TePage
from segsrgan_study.explore.training import NOTHING, TrainingPage
from segsrgan_study.files import load_image, load_labels, save_image, write_csv
from segsrgan_study.paths import Study


def pixels(page: App) -> np.ndarray:
    """The picture that a page shows; it must not be blank."""
    grey = np.asarray(Image.open(io.BytesIO(page.picture.value)).convert("L"), float)
    assert grey.std() > 10
    return grey


@pytest.fixture
def page(study) -> SubjectPage:
    return SubjectPage(study)


def test_the_subject_page_begins_with_a_test_case_and_says_what_is_not_there(page):
    assert (page.cohort.value, page.subject.value) == ("embedded", "sub-02")
    assert "No stage has segmented this image yet" in page.message.value
    assert "PSNR, cubic spline" in page.numbers.value
    pixels(page)


def test_the_slider_moves_the_picture(page):
    before = pixels(page)
    page.place.value = 30
    assert np.abs(pixels(page) - before).max() > 50


def test_a_patient_offers_its_echo_times(page):
    page.subject.value = "sub-p01"
    assert [title for title, _ in page.acquisition.options] == ["TE 120 ms", "TE 280 ms"]
    pixels(page)


def test_outlines_and_uncertainty_appear_when_the_image_is_segmented(page, segmenter):
    page._segmenter = segmenter
    narrow = pixels(page)
    page.segment.click()
    assert page.message.value == ""
    assert "Dice of the cortex" in page.numbers.value
    assert pixels(page).shape != narrow.shape  # more columns
    both = pixels(page)
    page.outlines.value = False
    assert np.abs(pixels(page) - both).max() > 50


def test_the_3d_view_stands_in_a_frame(page):
    page.solid.click()
    assert "<iframe" in page.frame.value
    page.place.value = 20
    assert page.frame.value == ""


def test_a_study_without_data_says_what_to_do(study):
    for image in (study.work / "embedded").rglob("*.nii.gz"):
        image.unlink()
    for page in (SubjectPage(study), TePage(study)):
        assert "nothing there; with `cohort: embedded` in params.yaml `make repro`" in page.message.value
        assert page.picture.value == b""
    study.manifest("embedded").unlink()
    assert "run `make repro` first" in SubjectPage(study).message.value


def test_segmenting_without_a_network_says_so(page):
    page.segment.click()
    assert "expected a trained model" in page.message.value


def test_an_unexpected_fault_is_not_swallowed(page, monkeypatch):
    monkeypatch.setattr(page, "_look", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # in JupyterLab its traceback shows under the page
        page.place.value = 10


def test_without_a_training_the_page_says_how_to_start_one(study):
    assert TrainingPage(study).message.value.find(NOTHING[:30]) > 0


def test_a_running_training_is_followed(study):
    path = study.scratch / "training" / "abcdef0123.csv"
    rows = [{"loss_rec": 1 / step, "step": step, "total": 40} for step in range(1, 21)]
    write_csv(path, pd.DataFrame(rows[:10]))
    page = TrainingPage(study)
    assert "step 10 of 40 (25%)" in page.state.value
    before = pixels(page)
    write_csv(path, pd.DataFrame(rows))
    page.follow.value += 1  # what the play button does every five seconds
    assert "step 20 of 40" in page.state.value
    assert np.any(pixels(page) != before)
    write_csv(study.results / "training" / "history.csv", pd.DataFrame({"epoch": [1, 2], "loss_rec": [0.2, 0.1]}))
    page.follow.value += 1
    assert page.curve.value == path  # what was chosen stays
    page.curve.value = page.curve.options[-1][1]
    assert page.state.value == "finished: 2 epochs"


def test_te_moves_contrast_and_segmentation(study, segmenter):
    page = TePage(study)
    assert "No network is trained yet" in page.message.value
    page._segmenter = segmenter
    page._choose()
    before = pixels(page)
    page.te.value = 360
    assert np.abs(pixels(page) - before).max() > 50
    assert "Dice with the truth" in page.numbers.value
    assert "signal of grey matter" in page.numbers.value


def test_the_demonstration_offers_an_image_of_the_study(study):
    page = DemoPage(study)
    assert page.path.value == "data/embedded/sub-p01/anat/sub-p01_acq-te120_T2w.nii.gz"
    page.path.value = "nowhere.nii.gz"
    page.run.click()
    assert "nothing is there" in page.message.value
    page.place.value = 20
    assert "Nothing has been run yet" in page.message.value
    assert demo.sample(Study(study.root / "data")) == ""


def test_what_the_command_says_at_its_end_is_the_fault(study, monkeypatch):
    script = "import sys; print('segsrgan: x.nii: expected an image.', file=sys.stderr); sys.exit(2)"
    monkeypatch.setattr(demo, "COMMAND", (sys.executable, "-c", script))
    page = DemoPage(study)
    page.run.click()
    assert "x.nii: expected an image." in page.message.value


def test_the_demonstration_shows_what_the_command_wrote(study, segmenter, monkeypatch):
    image = study.work / "embedded" / "sub-p01" / "anat" / "sub-p01_acq-te120_T2w.nii.gz"
    result, out = segmenter(load_image(image)), study.scratch / "demo" / "sub-p01_acq-te120_T2w"
    base = out / "sub-p01" / "anat" / "sub-p01_acq-te120"
    save_image(result.image, f"{base}_desc-segsrgan_T2w.nii.gz")
    save_image(result.labels, f"{base}_desc-segsrgan_dseg.nii.gz")
    save_image(result.uncertainty, f"{base}_desc-segsrganuncertainty_probseg.nii.gz")
    write_csv(out / "volumes.tsv", pd.DataFrame([{"image": "x", "cortex_ml": 12.34}]), sep="\t")
    monkeypatch.setattr(demo, "COMMAND", (sys.executable, "-c", "import sys; print('segsrgan: 1/1', file=sys.stderr)"))
    page = DemoPage(study)
    page.run.click()
    assert "12.3 ml" in page.numbers.value
    assert "segsrgan segment" in page.files.value
    pixels(page)
    assert list(derived(out, image).images) == [LOW, SPLINE, SEGSRGAN]
    labels = load_labels(f"{base}_desc-segsrgan_dseg.nii.gz")
    np.testing.assert_array_equal(np.asarray(derived(out, None).cortex[SEGSRGAN].dataobj) > 0, labels.dataobj == 2)
