import time

import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.baselines import drawem
from segsrgan_study.baselines.case import Case, MethodFailed
from segsrgan_study.faults import NotAvailable
from segsrgan_study.files import save_image
from tests.study.baselines.phantoms import COARSE, image_of, labels_of, nifti

LABELS = labels_of((16, 15, 14), (6, 5, 4))
OUT = "mkdir -p segmentations; cp {} segmentations/image_tissue_labels.nii.gz"


@pytest.fixture
def mirtk(program):
    """Return a function that puts a stand-in for mirtk on PATH."""
    return lambda body: program("mirtk", f'if [ "$1" = --version ]; then echo "mirtk 2.0.0"; exit 0; fi\n{body}')


def case(tmp_path, age_weeks=41.6):
    return Case(nifti(image_of(LABELS)), (), tmp_path, COARSE, age_weeks)


def test_success(tmp_path, mirtk):
    save_image(nifti(LABELS), tmp_path / "labels.nii.gz")
    right = 'test "$1 $2 $3 $4" = "neonatal-segmentation image.nii.gz 42 -t" && test -f image.nii.gz || exit 9'
    mirtk(f"{right}\n{OUT.format(tmp_path / 'labels.nii.gz')}")
    np.testing.assert_array_equal(np.asarray(drawem.METHOD.run(case(tmp_path)).dataobj), LABELS)
    assert drawem.METHOD.version() == "mirtk 2.0.0"


@pytest.mark.parametrize(("age", "passed"), [(24.0, "28"), (50.0, "44")])
def test_age_is_kept_within_the_templates(tmp_path, mirtk, age, passed):
    mirtk(f'test "$3" = {passed} && echo right && exit 5')
    with pytest.raises(MethodFailed, match="exit code 5: right"):
        drawem.METHOD.run(case(tmp_path, age))


@pytest.mark.parametrize(
    ("result", "body", "says"),
    [
        (None, "echo preprocess.sh : failed >&2; exit 1", r"exit code 1: preprocess\.sh : failed"),
        (None, "echo done", "without a label map .*image_tissue_labels.*: done"),
        (np.zeros_like(LABELS), OUT, "map of zeros"),  # with exit code 0
        (np.full_like(LABELS, 77), OUT, "no drawem9 labels"),
        (LABELS[1:], OUT, "no drawem9 labels on the image's grid"),
        ("no image", OUT, "without a label map"),
    ],
)
def test_a_result_that_cannot_be_used_is_a_failure(tmp_path, mirtk, result, body, says):
    path = tmp_path / "result.nii.gz"
    if isinstance(result, np.ndarray):
        save_image(nifti(result), path)
    elif result:
        path.write_text(result)
    mirtk(body.format(path))
    with pytest.raises(MethodFailed, match=says):
        drawem.METHOD.run(case(tmp_path))


def test_time_out_stops_all_that_it_started(tmp_path, mirtk):
    mirtk(f"(sleep 2; touch {tmp_path / 'survived'}) & sleep 60")
    start = time.monotonic()
    with pytest.raises(MethodFailed, match="stopped after"):
        drawem.METHOD.tuned(timeout_hours=0.3 / 3600).run(case(tmp_path))
    assert time.monotonic() - start < 10
    time.sleep(2.2)
    assert not (tmp_path / "survived").exists()


def test_without_mirtk_or_an_age(tmp_path, mirtk, monkeypatch):
    mirtk("exit 1")
    with pytest.raises(UserError, match="age_weeks"):
        drawem.METHOD.run(case(tmp_path, float("nan")))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotAvailable, match="mirtk not found"):
        drawem.METHOD.run(case(tmp_path))
    assert drawem.METHOD.version() == "not found"
