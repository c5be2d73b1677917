"""Downloads of the cohort `dhcp_atlas` as stand-ins: files of the same names, made from a phantom, served here."""

import http.server
import re
import shutil
import threading
from functools import partial

import numpy as np
import pytest
import requests
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts import download
from segsrgan_study.cohorts.manifest import checksums, image_rows, read_manifest, write_manifest
from segsrgan_study.cohorts.presets import make_manifest
from segsrgan_study.files import save_image
from segsrgan_study.params import read_params
from segsrgan_study.paths import Study
from segsrgan_study.phantoms.cohort import make_subject
from segsrgan_study.steps.data.prepare import load_cohort, prepare
from tests.settings import PARAMS, ROOT, phantom_cohort

COMMITTED = ROOT / "data_manifests" / "dhcp_atlas.csv"
KINDS = {"image": "T2w", "labels": "desc-tissues_dseg", "mask": "desc-brain_mask"}


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """A folder as TemplateFlow's, its nine weeks a phantom's middle in voxels of 0.5 mm, each with other noise."""
    folder = tmp_path_factory.mktemp("served") / "tpl-dhcpVol"
    ((_, images),) = make_subject(phantom_cohort(spacing_mm=2.5), 0)[1].items()
    arrays = {kind: np.asarray(images[kind].dataobj)[8:-8, 8:-8, 8:-8] for kind in KINDS}
    for week in range(36, 45):
        noise = np.random.default_rng(week).normal(0, 5, arrays["image"].shape)
        for kind, end in KINDS.items():
            array = np.int16(np.clip(arrays[kind] + noise, 0, None) if kind == "image" else arrays[kind])
            path = folder / f"cohort-{week}" / f"tpl-dhcpVol_cohort-{week}_{end}.nii.gz"
            save_image(Nifti1Image(array, np.diag([0.5, 0.5, 0.5, 1.0])), path)
    return folder


@pytest.fixture
def study(stand_ins, tmp_path, monkeypatch):
    """A study, the working directory, with the committed manifest and the MD5 sums of the stand-ins."""
    root = tmp_path / "study"
    root.mkdir()
    (root / "params.yaml").write_text(PARAMS.read_text())
    (root / "dvc.yaml").touch()
    monkeypatch.delenv("SEGSRGAN_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.chdir(root)
    rows = read_manifest(COMMITTED)
    files = [[stand_ins / name.partition("/")[2] for name in row.files.values()] for row in image_rows(rows)]
    rows["sha256"] = [";".join(checksums(file.read_bytes())[1] for file in three) for three in files]
    write_manifest(rows, root / "data_manifests" / "dhcp_atlas.csv")
    return Study(root)


@pytest.fixture
def asked(stand_ins, monkeypatch):
    """Serve the stand-ins; the names of the files that were asked for."""

    def get(url, *, whole=requests.get, **options):
        assert options["allow_redirects"] is False
        names.append(url.rpartition("/")[2])
        return whole(url, **options)

    names, handler = [], http.server.SimpleHTTPRequestHandler
    monkeypatch.setattr(handler, "log_message", lambda *said: None)
    monkeypatch.setattr(requests, "get", get)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=stand_ins.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setitem(download.PUBLIC, "dhcp_atlas", f"http://127.0.0.1:{server.server_port}/tpl-dhcpVol/")
        yield names
        server.shutdown()


def test_from_the_download_to_the_cases(study, asked, stand_ins, run):
    run("download", "dhcp_atlas")
    assert len(asked) == 27
    for path in stand_ins.rglob("*.nii.gz"):
        assert (study.work / "dhcp_atlas" / path.relative_to(stand_ins)).read_bytes() == path.read_bytes()
    cases = prepare(study, read_params(study.params, cohort="dhcp_atlas"), load_cohort(study, "dhcp_atlas"))
    assert cases.groupby("split").size().to_dict() == {"train": 5, "val": 1, "test": 3, "variability": 12}
    weeks = cases.groupby("split")["age_weeks"].unique().map(set)
    assert weeks.drop("train").to_dict() == {"test": {37, 40, 43}, "val": {41}, "variability": {37, 40, 43}}


def test_only_what_is_missing_is_fetched(study, asked, stand_ins):
    shutil.copytree(stand_ins, study.work / "dhcp_atlas")
    own, *_, gone = (study.work / "dhcp_atlas").rglob("*.nii.gz")
    own.write_bytes(b"my own")
    gone.unlink()
    for _ in range(2):
        download.fetch_missing(read_manifest(study.manifest("dhcp_atlas")), study.work)
        assert asked == [gone.name]
    assert own.read_bytes() == b"my own"


def test_the_manifest_made_from_the_files_is_the_committed_one_but_for_its_checksums(stand_ins, tmp_path):
    made = read_manifest(make_manifest("dhcp_atlas", stand_ins, tmp_path, tmp_path / "data"))
    assert read_manifest(COMMITTED).drop(columns="sha256").equals(made.drop(columns="sha256"))


@pytest.mark.parametrize("cohort", download.PUBLIC)
def test_what_is_committed_can_be_downloaded_by_https_and_checked(cohort):
    assert (read_manifest(ROOT / "data_manifests" / f"{cohort}.csv")["sha256"].str.count(";") == 2).all()
    assert re.match(r"https://.*/$", download.PUBLIC[cohort])


def test_nothing_is_asked_for_in_vain(study, asked, monkeypatch):
    rows = read_manifest(study.manifest("dhcp_atlas"))
    with pytest.raises(UserError, match="no checksum"):
        download.fetch_missing(rows.assign(sha256=""), study.work)
    monkeypatch.delitem(download.PUBLIC, "dhcp_atlas")
    with pytest.raises(UserError, match=r"27 files are missing, first cohort-36/tpl-dhcpVol_cohort-36_T2w\.nii\.gz"):
        download.fetch_missing(rows, study.work)
    assert not asked


def test_what_cannot_be_kept_is_told(study, asked, run):
    path = study.manifest("dhcp_atlas")
    text = path.read_text()
    wrong = text.index("md5:")
    path.write_text(f"{text[:wrong]}md5:{'0' * 32}{text[wrong + 36 :]}")
    said = run("download", "dhcp_atlas", code=2)
    assert "cohort-36/tpl-dhcpVol_cohort-36_T2w.nii.gz does not have the manifest's checksum" in said
    assert not list((study.work / "dhcp_atlas").rglob("*T2w*"))
    shutil.rmtree(study.work / "dhcp_atlas")
    (study.work / "dhcp_atlas").write_text("a file stands in the way")
    assert "cannot be written" in run("download", "dhcp_atlas", code=2)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/", "missing"])
def test_without_a_server_or_without_its_files_one_sentence(study, asked, run, monkeypatch, address):
    address = address if address != "missing" else download.PUBLIC["dhcp_atlas"].replace("dhcpVol", "moved")
    monkeypatch.setitem(download.PUBLIC, "dhcp_atlas", address)
    said = run("download", "dhcp_atlas", code=2)
    assert f"{address} cannot be reached ({'ConnectionError' if ':9/' in address else 'HTTP 404'})" in said
    assert said.strip().splitlines()[-1].startswith("segsrgan: dhcp_atlas:")
    assert not [path for path in study.work.rglob("*") if path.is_file()]
