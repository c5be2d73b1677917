import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from segsrgan_core.cores import cores
from segsrgan_core.errors import UserError
from segsrgan_study import cluster
from segsrgan_study.cluster import failures, map_cases, parse_workers, place, results, width

ROOT = Path(__file__).parents[2]
ITEMS = ["a", "bad", "b", "killed once", "c", "always killed", "bug", "d"]


def work(folder: Path, item: str) -> str:
    """Leave a file with the process's number, unless the item says otherwise; what is done is not done again."""
    done = folder / item
    if done.exists():
        return "there"
    if item == "bad":
        raise UserError("bad: expected a head; received a phantom.")
    if item == "bug":
        raise ZeroDivisionError("oh")
    if item == "always killed" or (item == "killed once" and not (folder / "mark").exists()):
        (folder / "mark").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.3)
    done.write_text(str(os.getpid()))
    return item.upper()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    return folder, map_cases(partial(work, folder), ITEMS, "worked", "2")


def test_a_killed_worker_costs_no_case_but_the_one_that_kills_always(first):
    folder, outcomes = first
    assert [one.item for one in outcomes] == ITEMS
    # A result that lay on the worker when it was killed is asked for again: then the case is there.
    done = [one.item for one in outcomes if one.result in (one.item.upper(), "there")]
    assert done == ["a", "b", "killed once", "c", "d"]
    reasons = {one.item: one.reason for one in failures(outcomes)}
    assert sorted(reasons) == ["always killed", "bad", "bug"]
    assert reasons["bad"] == "bad: expected a head; received a phantom"
    assert reasons["bug"] == "ZeroDivisionError: oh"
    assert "killed, alone as well" in reasons["always killed"]
    processes = {(folder / name).read_text() for name in ("a", "b", "c", "d", "killed once")}
    assert len(processes) > 1
    assert str(os.getpid()) not in processes


def test_this_process_keeps_its_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    map_cases(partial(work, tmp_path), ["a", "b"], "worked", "2")
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "NUMBA_NUM_THREADS" not in os.environ


def test_a_restart_does_only_what_is_missing(first):
    folder, _ = first
    (folder / "c").unlink()
    again = map_cases(partial(work, folder), ["a", "b", "c", "d"], "worked", "2")
    assert [one.result for one in again] == ["there", "there", "C", "there"]


def test_one_worker_works_here_and_goes_on_after_faults(tmp_path, capsys):
    outcomes = map_cases(partial(work, tmp_path), ["a", "bad", "bug", "b"], "worked", "1")
    assert [one.result for one in outcomes] == ["A", None, None, "B"]
    assert (tmp_path / "a").read_text() == str(os.getpid())
    said = capsys.readouterr().err
    assert "bad: expected a head; received a phantom." in said
    assert "worked 4/4" in said


@pytest.mark.parametrize(
    ("word", "meaning"),
    [("1", ("here", 1)), (1, ("here", 1)), ("4", ("local", 4)), ("auto", ("local", 0)), ("slurm:20", ("slurm", 20))],
)
def test_a_word_says_where(word, meaning):
    assert parse_workers(word) == meaning


@pytest.mark.parametrize("word", ["0", "-1", "slurm", "slurm:0", "many", "2.5", ""])
def test_other_words_are_refused(word):
    with pytest.raises(UserError, match="auto or slurm:NUMBER"):
        map_cases(work, [], "worked", word)


def test_no_more_cases_at_a_time_than_memory_cores_and_cases_allow():
    assert width(1e6) == 1
    assert width(1e-6) == cores()
    assert width(1e-6, cores_each=10**6) == 1
    assert place("auto", 1, 1e-6) == ("here", 1)
    assert place("7", 3) == ("local", 3)
    assert place("slurm:20", 3) == ("slurm", 20)


def test_a_process_among_several_is_told_its_share_of_the_cores(monkeypatch):
    monkeypatch.setenv("SEGSRGAN_CORES", "3")
    assert cores() == 3


def test_where_no_case_may_be_missing_all_that_failed_are_named(tmp_path):
    outcomes = map_cases(partial(work, tmp_path), ["a", "bad", "bug"], "worked", "1")
    with pytest.raises(UserError, match=r"cases: expected all 3; 2 failed and the others are done \(bad: .*; bug: "):
        results(outcomes, "cases")
    assert results(outcomes[:1], "cases") == ["A"]


def test_slurm_without_its_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(UserError, match="dask-jobqueue"):
        cluster._slurm(2)


SLEEPERS = """
import time
from segsrgan_study.cluster import map_cases
if __name__ == "__main__":
    map_cases(time.sleep, [300] * 4, "slept", "2")
"""


def test_ctrl_c_ends_every_process_at_once_and_quietly():
    options = {"cwd": ROOT, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    process = subprocess.Popen([sys.executable, "-c", SLEEPERS], **options)
    family = []
    while len(family) < 3:  # two workers, and what multiprocessing starts
        family = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: while they start
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert said.count("Traceback") == 1, said  # Python's own, of this process
    assert not psutil.wait_procs(family, timeout=20)[1]


def test_a_file_that_cannot_be_written_is_said_without_a_traceback(tmp_path, capsys):
    (outcome,) = map_cases(open, [str(tmp_path / "no" / "file")], "opened", "1")
    assert outcome.reason.endswith("No such file or directory; check the path")
    assert "Traceback" not in capsys.readouterr().err


def test_a_worker_that_is_killed_while_it_starts_is_one_sentence(monkeypatch):
    def start(*_, **__):
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr("distributed.LocalCluster", start)
    with pytest.raises(UserError, match=r"^workers: expected each to start; one was killed before it could"):
        map_cases(str, [1, 2], "named", "2")
