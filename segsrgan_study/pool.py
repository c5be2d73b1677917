"""Parallel processing of cases: in this process, in local processes, or in jobs of a SLURM cluster.

Values of `workers` in `params.yaml` and of the option `--workers`:

    1         one case after the other in this process
    4         four at a time, each in a process of its own
    auto      as many at a time as memory and cores allow
    slurm:20  in 20 jobs, configured by dask-jobqueue (docs/cluster.md)

Processes are spawned, because TensorFlow's threads do not survive a fork, and end with the process that started them.
"""

import logging
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext, suppress
from functools import partial
from multiprocessing import connection, get_context, parent_process, resource_tracker
from pathlib import Path
from typing import Any, NamedTuple

from segsrgan_core.cores import CORES_VARIABLE, cores
from segsrgan_core.errors import UserError
from segsrgan_study.faults import in_one_line, sentence
from segsrgan_study.params import WORKERS
from segsrgan_study.progress import Progress, say

THREADS = (CORES_VARIABLE, "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
KILLED = "its process was killed, even alone, most often for lack of memory; use a larger machine or a smaller image"


class ProcessDiedError(UserError):
    """A process was killed before its work was done."""


class CaseResult(NamedTuple):
    """A case, what the function returned for it, and the cause of a failure: one sentence without a full stop."""

    item: Any
    result: Any = None
    reason: str = ""


def map_cases(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    label: str,
    workers: str = "1",
    memory_gib: float = 3.0,
    cores_each: int = 1,
    name: Callable[[Any], str] = str,
) -> list[CaseResult]:
    """Call a function for each case, and return a result each, in this order; a failure is told and stops no other.

    A case whose process was killed is tried once more, alone, because another case may have taken the memory. A
    UserError tells of another value of `workers` or a missing library, a ProcessDiedError of processes that were killed
    before they began a case.

    The function is defined at the top of a module, or a `functools.partial` of such a one; `label` is the text of the
    progress, such as "segmented", and `name` returns that of a case for messages. What limits `auto` are the memory
    that a case needs, in GiB, and the number of cores that it keeps busy.
    """
    where, count = place(workers, len(items), memory_gib, cores_each)
    found: dict[int, CaseResult] = {}
    with ExitStack() as stack:
        worker = {"here": _ThisProcess, "local": partial(processes, 1, beside=count)}.get(where)
        if where == "slurm":
            worker = partial(nullcontext, stack.enter_context(_slurm_jobs(count)))
        progress = stack.enter_context(Progress(label, len(items)))
        for last_try in (False, True):
            left = {index: item for index, item in enumerate(items) if index not in found}
            runs = _spread(function, left, 1 if last_try else count, worker)
            for index, one in stack.enter_context(closing(runs)):
                if one is None and not last_try:
                    continue
                found[index] = one = one or CaseResult(items[index], reason=KILLED)
                if one.reason:
                    told = in_one_line(name(one.item))
                    say(f"{one.reason}." if told in one.reason else f"{told}: {one.reason}.")
                progress.reach(len(found))
    return [found[index] for index in sorted(found)]


def results(found: Sequence[CaseResult], what: str, name: Callable[[Any], str] = str) -> list[Any]:
    """Return the values of all cases that `map_cases` returned; a UserError names those of `what` that failed."""
    if failed := [f"{name(one.item)}: {one.reason}" for one in found if one.reason]:
        count = f"{len(failed)} of {len(found)} failed and the others are done"
        raise UserError(f"{what}: {count} ({'; '.join(failed)}); correct these and run the same command again.")
    return [one.result for one in found]


def place(workers: str, cases: int, memory_gib: float = 3.0, cores_each: int = 1) -> tuple[str, int]:
    """Return where cases run ("here", "local" or "slurm") and how many at a time; arguments as in `map_cases`."""
    if not (match := re.fullmatch(WORKERS, str(workers))):
        raise UserError(f"workers: {workers!r} is not a number above 0, auto or slurm:NUMBER; correct it.")
    auto, slurm, number = match.groups()
    if slurm:
        return "slurm", int(number)
    most = min(cores() // cores_each, int(_free_memory() / (memory_gib * 2**30))) if auto else int(number)
    count = min(most, cases)
    return ("local", count) if count > 1 else ("here", 1)


def _free_memory() -> int:
    """Return the bytes that are free on this machine, or at most the limit of the container."""
    import psutil

    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else ""
    return min(psutil.virtual_memory().available, int(text) if text.isdecimal() else sys.maxsize)


class _ThisProcess(Executor):
    """Calls a function at once."""

    def submit(self, function: Callable, *arguments: Any) -> Future:
        future: Future = Future()
        future.set_result(function(*arguments))
        return future


def _spread(
    function: Callable, items: dict[int, Any], count: int, worker: Callable[[], AbstractContextManager[Executor]]
) -> Iterator[tuple[int, CaseResult | None]]:
    """Run numbered cases on executors, one case at a time on each; the result is None where the process was killed."""
    waiting, running = list(items.items()), {}
    with ExitStack() as stack:
        free = [stack.enter_context(worker()) for _ in waiting[:count]]
        while waiting or running:
            while waiting and free:
                (index, item), executor = waiting.pop(0), free.pop()
                running[executor.submit(_attempt, function, item)] = index, executor
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                index, executor = running.pop(future)
                killed = type(future.exception()).__name__ in ("BrokenProcessPool", "KilledWorker")
                free.append(stack.enter_context(worker()) if killed else executor)
                yield index, None if killed else future.result()


def _attempt(function: Callable, item: Any) -> CaseResult:
    try:
        return CaseResult(item, function(item))
    except Exception as error:  # the other cases go on
        if not isinstance(error, (UserError, MemoryError, OSError)):
            traceback.print_exc(file=sys.stderr)
        return CaseResult(item, reason=sentence(error))


@contextmanager
def processes(n: int, beside: int | None = None) -> Iterator[ProcessPoolExecutor]:
    """Start a pool of n local processes, which share the cores with `beside` (n) in all; Ctrl-C ends them at once.

    A ProcessDiedError where one was killed, most often by the system for lack of memory.
    """
    with ProcessPoolExecutor(n, get_context("spawn"), _die_with_parent) as pool:
        try:
            _start(pool, n, str(max(1, cores() // (beside or n))))
            yield pool
        except BrokenProcessPool as error:
            reason = "one was killed before its work was done, most often for lack of memory"
            raise ProcessDiedError(f"processes: {reason}; free memory and run the same command again.") from error
        except (KeyboardInterrupt, GeneratorExit):
            kill_children()
            raise


def _start(pool: ProcessPoolExecutor, n: int, threads: str) -> None:
    """Start processes with a number of threads each; they ignore Ctrl-C, which this process handles."""
    resource_tracker.ensure_running()  # its start, with the first process, would lift the block
    before, mask = dict(os.environ), signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(dict.fromkeys(THREADS, threads))
    try:
        for _ in range(n):
            pool.submit(os.getpid)  # starts a process
    finally:
        for name in set(THREADS) - before.keys():
            del os.environ[name]
        os.environ.update(before)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _die_with_parent() -> None:
    """End this process when its parent has ended; otherwise it would wait for work forever."""
    parent = [parent_process().sentinel]
    threading.Thread(target=lambda: (connection.wait(parent), os._exit(1)), daemon=True).start()


def kill_children() -> None:
    """Kill all descendants of this process except Python's resource tracker, which cleans up and ends by itself."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if not any("resource_tracker" in word for word in process.cmdline()):
                process.kill()


@contextmanager
def _slurm_jobs(count: int) -> Iterator[Any]:
    """Submit jobs and yield their executor; each runs one case at a time."""
    try:
        import dask
        from dask_jobqueue import SLURMCluster
        from distributed import Client
    except ImportError as error:
        advice = "pip install 'segsrgan-core[cluster]'"
        raise UserError(f"workers: slurm:NUMBER needs dask-jobqueue, which is not installed: {advice}.") from error
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # `map_cases` reports what matters
    os.environ["DASK_DISTRIBUTED__WORKER__DAEMON"] = "False"  # for the jobs: a case may start processes of its own
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):  # the first kill is reported
        try:
            cluster = SLURMCluster(processes=1, worker_extra_args=["--nthreads", "1"])
        except (ValueError, TypeError) as error:
            raise UserError(f"workers: dask-jobqueue is not configured ({error}); see docs/cluster.md.") from error
        with cluster, Client(cluster) as client:
            cluster.scale(jobs=count)
            yield client.get_executor(pure=False)
