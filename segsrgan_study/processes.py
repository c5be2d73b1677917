"""Work in several processes: they die with the one that started them, and a death among them is one sentence."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context, parent_process, resource_tracker

from segsrgan_core.errors import UserError


class ProcessDiedError(UserError):
    """A process was killed before its work was done."""


@contextmanager
def processes(n: int, prepare: Callable[..., None] | None = None, *arguments: object) -> Iterator[ProcessPoolExecutor]:
    """Start a pool; spawned, as TensorFlow's threads in this process do not survive a fork.

    Args:
        n: how many processes.
        prepare: called in each with the arguments before its first job.
        arguments: of `prepare`.

    Raises:
        ProcessDiedError: a process was killed, most often by the system for lack of memory.
    """
    with ProcessPoolExecutor(n, get_context("spawn"), _start, (prepare, *arguments)) as pool:
        try:
            with deaf_to_ctrl_c():
                for _ in range(n):
                    pool.submit(os.getpid)  # starts a process
            yield pool
        except BrokenProcessPool as error:
            raise ProcessDiedError(
                "processes: expected each to finish its work; received the death of one, most often for lack of "
                "memory; close other programs or take a larger machine, and run the same command again."
            ) from error
        except KeyboardInterrupt:
            kill_children()
            raise


def kill_children() -> None:
    """End every process that this one started, and theirs: what they were writing is not there, or as it was.

    Python's own resource tracker is left to clear up; it ends with this process.
    """
    import psutil

    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if not any("resource_tracker" in word for word in process.cmdline()):
                process.kill()


@contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Let processes that start here not hear Ctrl-C, which comes to this process, too: it ends them then.

    One that comes meanwhile is heard at the end: the signal is blocked, and processes inherit that.
    """
    resource_tracker.ensure_running()  # its start, with the first process, would lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(prepare: Callable[..., None] | None, *arguments: object) -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    if prepare:
        prepare(*arguments)


def _die_with_parent() -> None:
    """End this process when the one that started it has ended; a pool's processes would wait for work for ever."""
    connection.wait([parent_process().sentinel])
    os._exit(1)
