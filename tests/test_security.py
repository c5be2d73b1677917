"""What must never happen, whatever a file holds. Shells, unsafe loaders and unpacking are refused by ruff's rules S."""

import gzip
import json
import re
from pathlib import Path

import pytest
from nibabel.nifti1 import Nifti1Extension

from segsrgan_study.own_images.names import InputImage, entities_of_file, joined
from segsrgan_study.own_images.run import segment_all
from tests.core.test_segmenter import head
from tests.settings import ROOT
from tests.study.own_images.conftest import job, network  # noqa: F401 (fixtures)

MARK = b"DOE"


def content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_a_name_in_behind_beside_and_above_an_image_is_in_no_result(save, tmp_path, job):  # noqa: F811
    image = head()
    for field in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        image.header[field] = b"DOE^JANE"
    image.header.extensions.append(Nifti1Extension("comment", b"DOE^JANE 2020-01-01"))
    image.header.extensions.append(Nifti1Extension("dicom", b"\x10\x00\x10\x00PN\x08\x00DOE^JANE"))
    path = save(image, tmp_path / "DOE_JANE" / "sub-07_T2w.nii.gz")
    path.with_name("sub-07_T2w.json").write_text(json.dumps({"PatientName": "DOE^JANE", "EchoTime": 0.12}))
    assert MARK in content(path)
    segment_all([InputImage(path, joined(entities_of_file(path.name)), path.name)], [], job)
    results = [path for path in job.out.rglob("*") if path.is_file()]
    assert len(results) > 8
    assert [path for path in results if MARK in content(path) or "DOE" in str(path.relative_to(job.out))] == []


def files_with(pattern: str) -> set[str]:
    """Return the files of the packages in which a pattern stands."""
    paths = ROOT.glob("segsrgan_*/**/*.py")
    return {path.relative_to(ROOT).as_posix() for path in paths if re.search(pattern, path.read_text())}


def test_images_are_written_by_the_one_function_that_cleans_them():
    assert files_with(r"nib\.save\(|\.to_filename\(|nib\.loadsave") == {"segsrgan_study/files.py"}


def test_downloads_go_over_https_alone():
    assert files_with(r"[\"']http://(?!www\.w3\.org|localhost|127\.)") == set()
    # Whose tests are of addresses, checksums and redirections.
    downloads = r"urlopen|urlretrieve|requests\.(get|post|Session)|HTTPDownloader|pooch\.retrieve"
    assert files_with(downloads) == {"segsrgan_study/cohorts/download.py"}


@pytest.mark.parametrize("word", [r"(import|from) (pickle|joblib|dill|marshal)", r"load_model\(", "allow_pickle=True"])
def test_nothing_that_is_read_can_be_code(word):
    assert files_with(word) == set()
