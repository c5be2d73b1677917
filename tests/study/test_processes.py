import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.processes import processes

SLEEPERS = """
import time
from segsrgan_study.processes import processes
if __name__ == "__main__":
    with processes(2) as pool:
        jobs = [pool.submit(time.sleep, 300) for _ in range(2)]
        while not all(job.running() for job in jobs):
            time.sleep(0.1)
        print("running", flush=True)
        jobs[0].result()
"""


def double(x):
    return 2 * x


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


WORDS = []  # what `prepare` leaves in the process


def greet(word):
    WORDS.append(word)
    return WORDS[0]


def test_work_is_done_in_order():
    with processes(2) as pool:
        assert list(pool.map(double, range(4))) == [0, 2, 4, 6]


def test_a_process_is_prepared_before_its_first_job():
    with processes(1, greet, "first") as pool:
        assert pool.submit(greet, "second").result() == "first"


def test_a_worker_that_is_killed_is_one_sentence():
    with (
        pytest.raises(UserError, match="received the death of one, most often for lack of memory"),
        processes(1) as pool,
    ):
        pool.submit(die, 0).result()


@pytest.fixture
def sleepers(tmp_path):
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "running\n"
    yield parent, psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.communicate()


def all_end(children):
    _, alive = psutil.wait_procs(children, timeout=20)
    return not alive


def test_workers_do_not_outlive_a_killed_parent(sleepers):
    parent, children = sleepers
    parent.kill()
    assert len(children) >= 2
    assert all_end(children)


def test_ctrl_c_ends_the_workers_at_once_and_quietly(sleepers):
    parent, children = sleepers
    for process in (psutil.Process(parent.pid), *children):  # as a terminal does
        process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, said = parent.communicate(timeout=60)
    assert time.monotonic() - start < 60
    assert all_end(children)
    assert said.count("KeyboardInterrupt") == 1  # the parent's own
