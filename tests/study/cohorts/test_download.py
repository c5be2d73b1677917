import hashlib
import re
from pathlib import Path

import pandas as pd
import pytest
import requests

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts import download
from segsrgan_study.cohorts.manifest import COLUMNS, read_manifest, validated

FILES = {"week/srr.nii.gz": b"image", "week/seg.nii.gz": b"labels"}


def manifest(cohort="fetal_atlas", digests=True) -> pd.DataFrame:
    image, labels = (f"{cohort}/{name}" for name in FILES)
    sums = ";".join(hashlib.sha256(content).hexdigest() for content in FILES.values()) if digests else ""
    cells = {"cohort": cohort, "subject": "w", "split": "train", "image": image, "labels": labels, "sha256": sums}
    return validated(pd.DataFrame([dict.fromkeys(COLUMNS, "") | cells]))


@pytest.fixture
def server(monkeypatch):
    """Answer requests from `content`; an exception there is raised; `asked` has the addresses."""

    class Server:
        def __init__(self):
            self.content, self.asked = dict(FILES), []

        def get(self, url, **options):
            assert options["allow_redirects"] is False
            self.asked.append(url)
            found = self.content[url.removeprefix(download.PUBLIC["fetal_atlas"])]
            if isinstance(found, Exception):
                raise found
            response = requests.Response()
            response.status_code = 200
            response.iter_content = lambda chunk_size: [found]
            return response

    server = Server()
    monkeypatch.setattr(requests, "get", server.get)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return server


def test_fetches_what_is_missing_and_only_that(tmp_path, server):
    here = tmp_path / "fetal_atlas/week/srr.nii.gz"
    here.parent.mkdir(parents=True)
    here.write_bytes(b"my own")
    download.fetch_missing(manifest(), tmp_path)
    assert here.read_bytes() == b"my own"
    assert here.with_name("seg.nii.gz").read_bytes() == b"labels"
    assert server.asked == [download.PUBLIC["fetal_atlas"] + "week/seg.nii.gz"]
    download.fetch_missing(manifest(), tmp_path)
    assert len(server.asked) == 1


def test_the_address_is_https_at_a_commit():
    assert all(re.match(r"https://.*/[0-9a-f]{40}/.*/$", address) for address in download.PUBLIC.values())


def test_offline(tmp_path, server):
    server.content = dict.fromkeys(FILES, requests.ConnectionError("no network"))
    with pytest.raises(UserError, match=r"ConnectionError\); connect .* SEGSRGAN_DATA=folder"):
        download.fetch_missing(manifest(), tmp_path)


def test_other_content_is_refused_and_not_kept(tmp_path, server):
    server.content["week/srr.nii.gz"] = b"something else"
    with pytest.raises(UserError, match=r"week/srr\.nii\.gz does not have the manifest's checksum"):
        download.fetch_missing(manifest(), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_written(tmp_path, server):
    (tmp_path / "fetal_atlas").write_text("a file stands in the way")
    with pytest.raises(UserError, match="cannot be written"):
        download.fetch_missing(manifest(), tmp_path)


def test_no_checksum_no_download(tmp_path, server):
    with pytest.raises(UserError, match="no checksum"):
        download.fetch_missing(manifest(digests=False), tmp_path)


def test_a_cohort_of_ones_own_is_not_downloaded(tmp_path, server):
    with pytest.raises(UserError, match=r"2 files are missing, first week/srr\.nii\.gz"):
        download.fetch_missing(manifest("dhcp"), tmp_path)
    assert not server.asked


def test_the_committed_manifest_can_be_downloaded():
    rows = read_manifest(Path(__file__).parents[3] / "data_manifests" / "fetal_atlas.csv")
    assert (rows["sha256"].str.count(";") == 2).all()
    assert set(rows["cohort"]) == {"fetal_atlas"}
