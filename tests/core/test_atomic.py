import fcntl
import os
import signal
import subprocess
import sys
from unittest.mock import Mock

import pytest

from segsrgan_core.atomic import atomic


def put(text):
    return lambda part: part.write_text(text)


def test_a_failed_write_leaves_nothing_and_keeps_the_old_file(tmp_path):
    atomic(tmp_path / "a.txt", put("old"))

    def fail(part):
        part.write_text("half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        atomic(tmp_path / "a.txt", fail)
    assert os.listdir(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path):
    code = (
        "import os, signal, sys; from segsrgan_core.atomic import atomic\n"
        "def write(part): part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic(sys.argv[1], write)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "a.txt"], check=False).returncode == -signal.SIGKILL
    assert [name.startswith(".part-") for name in os.listdir(tmp_path)] == [True]
    atomic(tmp_path / "b.txt", put("whole"))
    assert os.listdir(tmp_path) == ["b.txt"]


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    atomic(tmp_path / "a.txt", lambda part: (atomic(tmp_path / "b.txt", put("other")), part.write_text("whole")))
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt"]


def test_a_file_system_without_locks_will_do(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError(38, "Function not implemented")))
    (tmp_path / ".part-other").mkdir()
    atomic(tmp_path / "a.txt", put("whole"))
    assert sorted(os.listdir(tmp_path)) == [".part-other", "a.txt"]
