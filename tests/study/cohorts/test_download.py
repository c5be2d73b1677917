import hashlib
import re

import pandas as pd
import pytest
import requests

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts import download
from segsrgan_study.cohorts.manifest import COLUMNS, read_manifest, validated
from tests.settings import ROOT

FILES = {"week/srr.nii.gz": b"image", "week/seg.nii.gz": b"labels"}


def manifest(cohort="fetal_atlas", digests=True) -> pd.DataFrame:
    image, labels = (f"{cohort}/{name}" for name in FILES)
    sums = ";".join(hashlib.sha256(content).hexdigest() for content in FILES.values()) if digests else ""
    cells = {"cohort": cohort, "subject": "w", "split": "train", "image": image, "labels": labels, "sha256": sums}
    return validated(pd.DataFrame([dict.fromkeys(COLUMNS, "") | cells]))


@pytest.fixture
def server(monkeypatch):
    """Answer requests; returns the list of the addresses that were asked for."""
    asked = []

    def get(url, **options):
        assert options["allow_redirects"] is False
        asked.append(url)
        response = requests.Response()
        response.status_code = 200
        response.iter_content = lambda chunk_size: [FILES[url.removeprefix(download.PUBLIC["fetal_atlas"])]]
        return response

    monkeypatch.setattr(requests, "get", get)
    return asked


def test_fetches_what_is_missing_and_only_that(tmp_path, server):
    here = tmp_path / "fetal_atlas/week/srr.nii.gz"
    here.parent.mkdir(parents=True)
    here.write_bytes(b"my own")
    download.fetch_missing(manifest(), tmp_path)
    assert here.read_bytes() == b"my own"
    assert here.with_name("seg.nii.gz").read_bytes() == b"labels"
    assert server == [download.PUBLIC["fetal_atlas"] + "week/seg.nii.gz"]
    download.fetch_missing(manifest(), tmp_path)
    assert len(server) == 1


@pytest.mark.parametrize("cohort", download.PUBLIC)
def test_what_is_committed_can_be_downloaded_by_https_and_checked(cohort):
    rows = read_manifest(ROOT / "data_manifests" / f"{cohort}.csv")
    assert (rows["sha256"].str.count(";") == 2).all()
    assert re.match(r"https://.*/$", download.PUBLIC[cohort])


def test_a_folder_that_cannot_be_written(tmp_path, server):
    (tmp_path / "fetal_atlas").write_text("a file stands in the way")
    with pytest.raises(UserError, match="cannot be written"):
        download.fetch_missing(manifest(), tmp_path)


@pytest.mark.parametrize(
    ("cohort", "digests", "expected"),
    [("fetal_atlas", False, "no checksum"), ("dhcp", True, r"2 files are missing, first week/srr\.nii\.gz")],
)
def test_nothing_is_asked_for_in_vain(tmp_path, server, cohort, digests, expected):
    with pytest.raises(UserError, match=expected):
        download.fetch_missing(manifest(cohort, digests), tmp_path)
    assert not server
