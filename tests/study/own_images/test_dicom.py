import nibabel as nib
import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.own_images.dicom import PLACE, choose, convert
from segsrgan_study.own_images.inputs import find_images
from segsrgan_study.own_images.names import WITHDRAWN
from segsrgan_study.own_images.run import segment_all

dicoms = pytest.importorskip("tests.study.own_images.dicoms", reason="pydicom is not installed: no DICOM can be made")


@pytest.fixture
def scratch(tmp_path_factory):
    return lambda: tmp_path_factory.mktemp("scratch")


@pytest.fixture
def folder(tmp_path):
    """A patient's folder as exported: named by the person, with a survey and two T2w series."""
    place = tmp_path / "DOE_JANE"
    dicoms.write_series(place / "1", 1, "survey", n_slices=3)
    dicoms.write_series(place / "2", 2, "T2 TSE AX", te_ms=120)
    dicoms.write_series(place / "3", 3, "T2 TSE AX long", te_ms=280)
    return place


def test_every_series_is_found_and_one_of_several_usable_ones_must_be_chosen(folder, scratch, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    (folder / "3").rename(tmp_path / "elsewhere")
    (folder / "3").symlink_to(tmp_path / "elsewhere")
    series = convert(tmp_path / "link", scratch())
    assert [one.number for one in series] == [1, 2, 3]
    assert series[1].te_ms == pytest.approx(120)
    assert "slices" in series[0].fault
    np.testing.assert_allclose(nib.affines.voxel_sizes(nib.load(series[1].file).affine), [1, 1, 3], atol=1e-4)
    with pytest.raises(UserError, match=r"series 2 'T2 TSE AX'.*series 3 'T2 TSE AX long'.*--series"):
        choose(folder, series)
    for wanted, numbers in {"3": [3], "LONG": [3], "t2 tse": [2, 3]}.items():
        assert [one.number for one in choose(folder, series, wanted)] == numbers
    with pytest.raises(UserError, match="'flair'"):
        choose(folder, series, "flair")
    assert choose(folder, series[:2]) == [series[1]]
    assert [one.te_ms for one in choose(folder, series, te_ms=285)] == [280]
    with pytest.raises(UserError, match=r"TE 200 ms.*TE 120 ms"):
        choose(folder, series, te_ms=200)


def test_a_patients_name_goes_nowhere(folder, scratch, job, capsys):
    images, failures = find_images([folder], scratch(), series="t2 tse")
    assert len(images) == 2
    segment_all(images, failures, job)
    assert "DOE_JANE" in capsys.readouterr().err  # the screen says which folder became which subject
    files = [path for path in job.out.rglob("*") if path.is_file()]
    for path in files:
        data = path.read_bytes() if path.suffix != ".gz" else nib.load(path).header.binaryblock
        for word in ("doe", "jane", "4711", "20200301"):
            assert word not in str(path.relative_to(job.out)).lower()
            assert word.encode() not in data.lower(), (word, path)


def test_a_series_has_the_same_name_in_every_run_unless_a_table_names_the_subject(folder, scratch, tmp_path):
    (first,), (second,) = (find_images([folder], scratch(), series="2")[0] for _ in range(2))
    assert first.name == second.name
    assert first.name.startswith("sub-")
    (tmp_path / "list.csv").write_text("image,subject\nDOE_JANE,P07\n")
    ((case,), _) = find_images([tmp_path / "list.csv"], scratch(), series="2")
    assert (case.name, case.source) == ("sub-P07_acq-series2te120", "DICOM series2te120")


def test_two_patients_in_one_folder_are_refused_without_their_names(scratch, tmp_path):
    for patient in ("Doe^Jane", "Roe^Ann"):
        dicoms.write_series(tmp_path / "export" / patient[:3], 2, patient=patient)
    with pytest.raises(UserError, match="2 patients") as error:
        convert(tmp_path / "export", scratch())
    assert "Doe" not in str(error.value)


def change(folder, **facts):
    for index, path in enumerate(sorted(folder.rglob("*.dcm"))):
        one = dicoms.dcmread(path)
        for name, value in facts.items():
            delattr(one, name) if value is None else setattr(one, name, value(index) if callable(value) else value)
        one.save_as(path)


def test_two_examinations_of_a_patient_are_two_sessions_and_without_an_id_refused(scratch, tmp_path):
    for name, uid in (("b", "1.2.3"), ("a", "1.2.4")):
        dicoms.write_series(tmp_path / "P1" / name, int(uid[-1]))
        change(tmp_path / "P1" / name, StudyInstanceUID=uid, AcquisitionDate=f"2020030{uid[-1]}", SeriesInstanceUID=uid)
    images, _ = find_images([tmp_path / "P1"], scratch())
    assert [image.name.partition("_")[2] for image in images] == ["ses-1", "ses-2"]
    assert len({image.name.partition("_")[0] for image in images}) == 1
    (tmp_path / "list.csv").write_text("image,subject,age_weeks\nP1,P1,40\n")  # of which of them?
    images, _ = find_images([tmp_path / "list.csv"], scratch())
    assert [image.age_weeks for image in images] == [WITHDRAWN] * 2
    nobody = [("REMOVED", ""), ("", "Anonymous^"), ("000", "[Anonymized]"), ("ANON", "Patient"), ("", "")]
    for who, name in [*nobody, ("4711", "Doe^Jane")]:  # the last is one of the two alone
        change(tmp_path / "P1" / "b" if who == "4711" else tmp_path / "P1", PatientID=who, PatientName=name)
        with pytest.raises(UserError, match="without a PatientID"):
            convert(tmp_path / "P1", scratch())


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"PixelSpacing": None}, "no pixel sizes"),
        ({"PixelSpacing": lambda index: [1, 1] if index < 6 else [1.2, 1.2]}, "2 pixel sizes"),
        ({"ImagePositionPatient": lambda index: [-16, index / 2 - 16, 3 * index]}, "do not lie above each other"),
        ({"ImagePositionPatient": lambda index: [-16, -16, 3 * index + (index == 5)]}, "unevenly spaced"),
        ({"SeriesDescription": "T2 FLAIR ax", "ProtocolName": ""}, "says FLAIR"),
        ({"PatientID": lambda index: str(index // 8)}, "images of 2 patients"),
        ({"SeriesInstanceUID": lambda index: f"1.2.{index // 8}"}, "2 parts"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "no magnitude image"),
    ],
)
def test_files_of_a_series_that_do_not_fit_each_other_give_no_image(scratch, tmp_path, facts, says):
    dicoms.write_series(tmp_path / "P1", n_slices=16)
    change(tmp_path / "P1", **facts)
    with pytest.raises(UserError, match=says):
        choose(tmp_path / "P1", convert(tmp_path / "P1", scratch()))


def test_a_place_that_is_no_number_is_a_slice_that_is_missing(scratch, tmp_path):
    dicoms.write_series(tmp_path / "P1", n_slices=16)
    path = sorted((tmp_path / "P1").rglob("*.dcm"))[5]
    data = path.read_bytes()
    found = PLACE.search(data)
    path.write_bytes(data[: found.start(3)] + b"-" * len(found[3]) + data[found.end(3) :])
    with pytest.raises(UserError, match="unevenly spaced"):
        choose(tmp_path / "P1", convert(tmp_path / "P1", scratch()))


def test_dicom_files_called_img_are_converted_beside_a_folder_without_images(folder, scratch, tmp_path):
    for path in (folder / "2").iterdir():
        path.rename(path.with_suffix(".img"))
    (tmp_path / "DOE_JOHN").mkdir()
    (image,), ((source, reason, *_),) = find_images([tmp_path / "DOE_JOHN", folder], scratch(), series="2")
    assert image.source == "DICOM series2te120"
    assert "DOE" not in source + reason


def test_one_file_of_all_slices_is_the_image_of_its_slices(scratch, tmp_path):
    dicoms.write_series(tmp_path / "slices", 3)
    dicoms.write_enhanced(tmp_path / "enhanced")
    dicoms.write_mosaic(tmp_path / "mosaic", 12)
    images = []
    for name in ("slices", "enhanced", "mosaic"):
        (series,) = convert(tmp_path / name, scratch())
        assert (series.fault, series.te_ms) == ("", 120)
        images.append(nib.load(series.file))
    for image in images[1:]:
        np.testing.assert_allclose(image.affine, images[0].affine, atol=1e-3)
        np.testing.assert_array_equal(image.dataobj, images[0].dataobj)


@pytest.mark.parametrize(
    ("write", "option", "says"),
    [
        ("write_enhanced", {"missing": (5, 6)}, "missing or unevenly spaced"),
        ("write_enhanced", {"repeats": 2}, "12 places for 24 slices"),
        ("write_mosaic", {"count": None}, "not a 3-D image"),
    ],
)
def test_one_file_that_is_no_stack_is_one_sentence(scratch, tmp_path, write, option, says):
    getattr(dicoms, write)(tmp_path / "P1", **option)
    with pytest.raises(UserError, match=f"{says}.*export it again"):
        choose(tmp_path / "P1", convert(tmp_path / "P1", scratch()))
