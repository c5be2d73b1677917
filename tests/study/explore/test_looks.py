import numpy as np
import pandas as pd
import pytest

from segsrgan_core.atomic import write_json
from segsrgan_core.errors import UserError
from segsrgan_study.explore.looks import LOW, SEGSRGAN, SPLINE, TRUTH, cohorts, look_at, rows_by_subject
from segsrgan_study.explore.panels import UNCERTAINTY, side_by_side, three_dimensions
from segsrgan_study.files import load_image, load_labels, save_image, write_csv
from segsrgan_study.params import read_params

pytestmark = pytest.mark.filterwarnings("ignore:Casting data")  # nilearn's own


@pytest.fixture
def settings(study):
    return read_params(study.params)


def store(study, stage: str, folder: str, name: str, cohort: str = "embedded") -> None:
    """Put a result of a stage where it would stand: the true image and labels."""
    row = rows_by_subject(study, "embedded")["sub-02"][0]
    write_json(study.results / stage / "metrics.json", {"cohort": cohort})
    save_image(load_image(study.work / row.image), study.work / folder / f"{name}_desc-segsrgan_T2w.nii.gz")
    save_image(load_labels(study.work / row.labels), study.work / folder / f"{name}_desc-segsrgan_dseg.nii.gz")


def test_a_test_case_shows_what_the_stages_left(study, settings):
    store(study, "evaluation", "evaluated", "sub-02")
    look = look_at(study, settings, rows_by_subject(study, "embedded")["sub-02"][0])
    assert list(look.images) == [LOW, SPLINE, SEGSRGAN, TRUTH]
    assert look.numbers["Dice of the cortex"] == "1.000"
    assert look.numbers["error of the volume"] == "+0.0 %"
    assert look.uncertainty is None
    assert float(look.numbers[f"PSNR, {SPLINE}"].removesuffix(" dB")) > 15


def test_results_of_another_cohort_are_not_shown(study, settings):
    store(study, "evaluation", "evaluated", "sub-02", cohort="dhcp")
    assert SEGSRGAN not in look_at(study, settings, rows_by_subject(study, "embedded")["sub-02"][0]).images


def test_a_patient_shows_thick_slices_as_acquired_and_the_measured_volume(study, settings):
    store(study, "variability", "measured", "sub-p01_acq-te280")
    volumes = [{"subject": "sub-p01", "te_ms": te, "icv_ml": icv} for te, icv in ((120, 400.0), (280, 444.4))]
    write_csv(study.results / "variability" / "volumes.csv", pd.DataFrame(volumes))
    first, second = rows_by_subject(study, "embedded")["sub-p01"]
    assert SEGSRGAN not in look_at(study, settings, first).images
    look = look_at(study, settings, second)
    assert list(look.images) == [LOW, SPLINE, SEGSRGAN]
    assert look.images[SPLINE].shape == look.images[SEGSRGAN].shape
    assert look.numbers["intracranial volume (BET)"] == "444 ml"
    assert "cortex, truth" in look.numbers  # its labels are known, its image is not


def test_segmenting_now_gives_the_uncertainty(study, settings, segmenter):
    look = look_at(study, settings, rows_by_subject(study, "embedded")["sub-02"][0], segmenter)
    assert float(look.numbers["Dice of the cortex"]) > 0.5
    values = np.asarray(look.uncertainty.dataobj)
    assert 0 <= values.min() < 0.01
    assert 0.3 < values.max() <= 0.5


def test_a_missing_image_says_how_it_comes_there(study, settings):
    row = rows_by_subject(study, "embedded")["sub-02"][0]
    (study.work / row.image).unlink()
    with pytest.raises(UserError, match=r"with `cohort: embedded` in params\.yaml `make repro` makes"):
        look_at(study, settings, row)


def test_cohorts_are_those_with_a_manifest(study):
    assert cohorts(study) == ["embedded"]


def test_a_patients_true_image_is_shown_where_it_lies_beside_the_thick_slices(study, settings, segmenter):
    row, fine = rows_by_subject(study, "embedded")["sub-p01"][0], rows_by_subject(study, "embedded")["sub-02"][0]
    look = look_at(study, settings, row._replace(hr=fine.image), segmenter)
    assert list(look.images) == [LOW, SPLINE, SEGSRGAN, TRUTH]
    assert f"PSNR, {SEGSRGAN}" in look.numbers


def test_every_image_gets_a_column_and_both_outlines_are_drawn(study, settings, segmenter):
    look = look_at(study, settings, rows_by_subject(study, "embedded")["sub-02"][0], segmenter)
    fig = side_by_side(look, 0.5, outlines=True, uncertainty=True)
    assert [ax.get_title() for ax in fig.axes[:5]] == [LOW, SPLINE, SEGSRGAN, TRUTH, UNCERTAINTY]
    assert [len(ax.collections) for ax in fig.axes[:5]] == [0, 0, 2, 1, 0]
    assert len(side_by_side(look, outlines=False).axes) == 12
    assert not any(ax.collections for ax in side_by_side(look, outlines=False).axes)


@pytest.mark.parametrize("place", [0.0, 1.0])
def test_the_slider_reaches_both_ends_of_the_head(study, settings, place):
    look = look_at(study, settings, rows_by_subject(study, "embedded")["sub-p01"][0])
    shown = [ax.images[0].get_array() for ax in side_by_side(look, place).axes]
    assert all(pixels.size for pixels in shown)


def test_the_3d_view_needs_no_network(study, settings, segmenter):
    look = look_at(study, settings, rows_by_subject(study, "embedded")["sub-02"][0], segmenter)
    page = three_dimensions(look)
    assert page.lstrip().startswith("<iframe")
    assert "brainsprite" in page
    assert "src=&quot;http" not in page
    assert 'src="http' not in page


def test_the_3d_view_shows_a_head_without_cortex_and_says_nothing(study, settings, recwarn):
    look = look_at(study, settings, rows_by_subject(study, "embedded")["sub-02"][0])
    for name, mask in look.cortex.items():
        look.cortex[name] = type(mask)(np.zeros(mask.shape, np.uint8), mask.affine)
    assert "brainsprite" in three_dimensions(look)
    assert [str(one.message) for one in recwarn if "Casting data" not in str(one.message)] == []
