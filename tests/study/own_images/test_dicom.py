import nibabel as nib
import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.own_images.dicom import choose, convert
from segsrgan_study.own_images.inputs import find_images
from segsrgan_study.own_images.run import segment_all

dicoms = pytest.importorskip("tests.study.own_images.dicoms", reason="pydicom is not installed: no DICOM can be made")


@pytest.fixture
def scratch(tmp_path):
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def folder(tmp_path):
    """A patient's folder as exported: named by the person, with a localiser and two T2w series."""
    place = tmp_path / "DOE_JANE"
    dicoms.write_series(place / "1", 1, "localizer", n_slices=3)
    dicoms.write_series(place / "2", 2, "T2 TSE AX", te_ms=120)
    dicoms.write_series(place / "3", 3, "T2 TSE AX long", te_ms=280, seed=1)
    return place


def test_every_series_is_found_with_its_geometry(folder, scratch):
    series = convert(folder, scratch)
    assert [one.number for one in series] == [1, 2, 3]
    assert series[1].te_ms == pytest.approx(120)
    assert "slices" in series[0].fault
    np.testing.assert_allclose(nib.affines.voxel_sizes(nib.load(series[1].file).affine), [1, 1, 3], atol=1e-4)


def test_several_usable_series_are_told_and_one_must_be_named(folder, scratch):
    series = convert(folder, scratch)
    with pytest.raises(UserError, match=r"series 2 'T2 TSE AX'.*series 3 'T2 TSE AX long'.*--series"):
        choose(folder, series)
    assert [one.number for one in choose(folder, series, "3")] == [3]
    assert [one.number for one in choose(folder, series, "LONG")] == [3]
    assert [one.number for one in choose(folder, series, "t2 tse")] == [2, 3]
    with pytest.raises(UserError, match="'flair'"):
        choose(folder, series, "flair")


def test_the_only_usable_series_is_taken(tmp_path, scratch):
    dicoms.write_series(tmp_path / "p", 1, "localizer", n_slices=3)
    dicoms.write_series(tmp_path / "p", 5)
    assert [one.number for one in choose(tmp_path, convert(tmp_path / "p", scratch))] == [5]


def test_a_patients_name_goes_nowhere(folder, scratch, job, capsys):
    images, failures = find_images([folder], scratch, series="t2 tse")
    assert len(images) == 2
    segment_all(images, failures, job)
    assert "DOE_JANE" in capsys.readouterr().err  # the screen says which folder became which subject
    files = [path for path in job.out.rglob("*") if path.is_file()]
    for path in files:
        data = path.read_bytes() if path.suffix != ".gz" else nib.load(path).to_bytes()
        for word in ("doe", "jane", "4711", "20200301"):
            assert word not in str(path.relative_to(job.out)).lower()
            assert word.encode() not in data.lower(), (word, path)


def test_a_series_has_the_same_name_in_every_run(folder, scratch, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    first, second = (find_images([folder], place, series="2")[0] for place in (scratch, again))
    assert [case.name for case in first] == [case.name for case in second]
    assert first[0].name.startswith("sub-")


def test_a_table_names_the_subject_of_a_dicom_folder(folder, scratch, tmp_path):
    table = tmp_path / "list.csv"
    table.write_text("image,subject\nDOE_JANE,P07\n")
    ((case,), _) = find_images([table], scratch, series="2")
    assert (case.name, case.source) == ("sub-P07", "DICOM series2te120")


def test_a_folder_without_images_does_not_stop_the_others(folder, scratch, tmp_path):
    (tmp_path / "empty").mkdir()
    images, failures = find_images([tmp_path / "empty", folder], scratch, series="2")
    assert len(images) == len(failures) == 1
