import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from segsrgan_core.cores import cores
from segsrgan_core.errors import UserError
from segsrgan_study.pool import map_cases, place, results

ITEMS = ["a", "bad", "b", "killed once", "c", "always killed", "bug", "d"]


def work(folder: Path, item: str) -> str:
    """Leave a file with the process's number, unless the item says otherwise."""
    if item == "bad":
        raise UserError("bad: expected a head; received a phantom.")
    if item == "bug":
        raise ZeroDivisionError("oh")
    if item == "always killed" or (item == "killed once" and not (folder / "mark").exists()):
        (folder / "mark").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / item).write_text(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}")
    return item.upper()


def check_all_but_the_killer(found):
    assert [one.item for one in found] == ITEMS
    assert [one.item for one in found if one.result == one.item.upper()] == ["a", "b", "killed once", "c", "d"]
    reasons = {one.item: one.reason for one in found if one.reason}
    assert sorted(reasons) == ["always killed", "bad", "bug"]
    assert reasons["bad"] == "bad: expected a head; received a phantom"
    assert reasons["bug"] == "ZeroDivisionError: oh"
    assert "killed, even alone" in reasons["always killed"]


def test_a_killed_process_costs_no_case_but_the_one_that_kills_always(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGSRGAN_CORES", "6")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    before = dict(os.environ)
    check_all_but_the_killer(map_cases(partial(work, tmp_path), ITEMS, "worked", "2"))
    left = [(tmp_path / name).read_text().split() for name in ("a", "b", "c", "d")]
    assert str(os.getpid()) not in {process for process, _ in left}
    assert {threads for _, threads in left} == {"3"}  # each has its share of the cores
    assert dict(os.environ) == before


@pytest.mark.slow
def test_a_killed_job_of_a_cluster_costs_no_other_case(tmp_path, monkeypatch):
    from distributed import LocalCluster

    class Stand(LocalCluster):
        def __init__(self, **_):
            super().__init__(n_workers=0, threads_per_worker=1, dashboard_address=None)

        def scale(self, jobs):
            super().scale(jobs)

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setitem(sys.modules, "dask_jobqueue", SimpleNamespace(SLURMCluster=Stand))
    check_all_but_the_killer(map_cases(partial(work, tmp_path), ITEMS, "worked", "slurm:2"))


def test_one_worker_works_here_and_goes_on_after_faults(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = map_cases(partial(work, tmp_path), ["a", "bad", "no/file", "b"], "worked", "1")
    assert [one.result for one in found] == ["A", None, None, "B"]
    assert found[2].reason.endswith("No such file or directory; check the path")
    assert (tmp_path / "a").read_text().split()[0] == str(os.getpid())
    said = capsys.readouterr().err
    assert "bad: expected a head; received a phantom." in said
    assert "worked 4/4" in said
    assert "Traceback" not in said
    with pytest.raises(UserError, match=r"cases: 2 of 4 failed and the others are done \(bad: .*; no/file: "):
        results(found, "cases")
    assert results(found[:1], "cases") == ["A"]


@pytest.mark.parametrize(
    ("workers", "cases", "gib", "each", "expected"),
    [
        ("1", 9, 1, 1, ("here", 1)),
        (4, 9, 1, 1, ("local", 4)),
        ("7", 3, 1, 1, ("local", 3)),
        ("auto", 99, 1e-6, 1, ("local", 8)),
        ("auto", 99, 1e-6, 4, ("local", 2)),
        ("auto", 99, 1e-6, 9, ("here", 1)),
        ("auto", 99, 1e6, 1, ("here", 1)),
        ("auto", 1, 1e-6, 1, ("here", 1)),
        ("slurm:20", 3, 1, 1, ("slurm", 20)),
    ],
)
def test_no_more_cases_at_a_time_than_memory_cores_and_cases_allow(monkeypatch, workers, cases, gib, each, expected):
    monkeypatch.setenv("SEGSRGAN_CORES", "8")
    assert cores() == 8
    assert place(workers, cases, gib, each) == expected


def test_other_words_and_slurm_without_its_library_are_refused(monkeypatch):
    for word in ("0", "-1", "slurm", "slurm:0", "many", "2.5", ""):
        with pytest.raises(UserError, match="auto or slurm:NUMBER"):
            map_cases(work, [], "worked", word)
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(UserError, match="dask-jobqueue, which is not installed"):
        map_cases(str, [1, 2], "named", "slurm:2")


SLEEPERS = """
import time
from segsrgan_study.pool import map_cases
if __name__ == "__main__":
    map_cases(time.sleep, [300] * 4, "slept", "2")
"""


@pytest.fixture
def sleepers(tmp_path):
    """A program whose two processes sleep, and all its processes."""
    (tmp_path / "sleepers.py").write_text(SLEEPERS)
    command, family = [sys.executable, tmp_path / "sleepers.py"], []
    parent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while len(family) < 3:  # two workers, and multiprocessing's resource tracker
        family = psutil.Process(parent.pid).children(recursive=True)
        time.sleep(0.1)
    yield parent, family
    parent.kill()
    parent.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 4])  # while the workers start, and while they work
def test_ctrl_c_ends_every_process_at_once_and_quietly(sleepers, seconds):
    parent, family = sleepers
    time.sleep(seconds)
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does
    _, said = parent.communicate(timeout=60)
    assert parent.returncode == -signal.SIGINT
    assert said.count("Traceback") == 1, said  # Python's own, of this process
    assert not psutil.wait_procs(family, timeout=20)[1]


@pytest.mark.slow
def test_processes_do_not_outlive_a_killed_parent(sleepers):
    parent, family = sleepers
    time.sleep(4)
    parent.kill()
    assert not psutil.wait_procs(family, timeout=20)[1]
