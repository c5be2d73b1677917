"""Many cases at once: in this process, in several on this machine, or in jobs of a SLURM cluster.

One word says where, the setting `workers` of `params.yaml` and the option `--workers` of the commands:

    1         one case after the other in this process
    4         four at a time, each in a process of its own
    auto      as many at a time as memory and cores allow
    slurm:20  in 20 jobs; what a job asks for stands in dask-jobqueue's own file, see docs/cluster.md

What is done is not done again where the function that is called sees to it, as `segsrgan segment` and the stages do.
Starting processes takes about 3 seconds; `auto` starts none where one case at a time is as fast.
"""

import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segsrgan_core.cores import CORES_VARIABLE, cores
from segsrgan_core.errors import UserError
from segsrgan_study.faults import sentence
from segsrgan_study.params import WORKERS
from segsrgan_study.processes import ProcessDiedError, deaf_to_ctrl_c, kill_children
from segsrgan_study.progress import Progress, say

if TYPE_CHECKING:
    from distributed import Client

THREADS = (CORES_VARIABLE, "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
QUIET = "DASK_LOGGING__DISTRIBUTED"  # a worker whose master is killed would print tracebacks
DIED = (
    "expected its process to finish; it was killed, alone as well as beside others, most often for lack of memory; "
    "take a larger machine or a smaller image"
)


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        item: the case.
        result: what the function returned; None where it failed.
        reason: why it failed, in one sentence; "" where it did not.
    """

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
) -> list[Outcome]:
    """Call a function for each case; one that fails is told and does not stop the others.

    Args:
        function: of one case; with several workers it is sent to other processes, so it stands at the top of a module
            (or is a `functools.partial` of such a one).
        items: the cases.
        label: of the progress, such as "segmented".
        workers: where, see above.
        memory_gib: that one case may need; `auto` starts no more processes than there is memory for.
        cores_each: how many cores one case keeps busy by itself; `auto` starts no more processes than they are for.
        name: of a case, for messages.

    Returns:
        One outcome a case, in the order of the cases. A case whose process is killed is tried once more, alone, as a
        neighbour may have taken the memory.

    Raises:
        UserError: `workers` is none of these words, or a library is missing.
    """
    where, count = place(workers, len(items), memory_gib, cores_each)
    found: dict[int, Outcome] = {}
    with Progress(label, len(items)) as progress:
        for index, outcome in _run(function, items, where, count):
            found[index] = outcome
            if outcome.reason:
                say(f"{name(outcome.item)}: {outcome.reason}.")
            progress.reach(len(found))
    return [found[index] for index in sorted(found)]


def parse_workers(workers: str) -> tuple[str, int]:
    """Return where and how many: ("here", 1), ("local", n), ("local", 0) for `auto`, ("slurm", n)."""
    match = re.fullmatch(WORKERS, str(workers))
    if not match:
        raise UserError(f"workers: expected a number, auto or slurm:NUMBER; received {workers!r}.")
    if match[1]:
        return "local", 0
    count = int(match[3])
    return ("slurm" if match[2] else "here" if count == 1 else "local"), count


def place(workers: str, cases: int, memory_gib: float = 3.0, cores_each: int = 1) -> tuple[str, int]:
    """Return where so many cases run, "here", "local" or "slurm", and how many at a time; see `map_cases`."""
    where, count = parse_workers(workers)
    if where == "slurm":
        return where, count
    count = min(count or width(memory_gib, cores_each), cases)
    return ("local", count) if count > 1 else ("here", 1)


def width(memory_gib: float, cores_each: int = 1) -> int:
    """Return how many cases run at a time on this machine, as far as its cores and the memory free now go."""
    most = cores() // cores_each
    if most <= 1:
        return 1
    import psutil
    from distributed.system import MEMORY_LIMIT  # a container's, where it has one

    free = min(psutil.virtual_memory().available, MEMORY_LIMIT)
    return max(1, min(most, int(free / (memory_gib * 2**30))))


def _run(function: Callable, items: Sequence[Any], where: str, count: int) -> Iterator[tuple[int, Outcome]]:
    if where == "here":
        yield from ((index, _attempt(function, item)) for index, item in enumerate(items))
        return
    with _client(where, count) as client:
        yield from _run_on(client, function, items)


def _attempt(function: Callable, item: Any) -> Outcome:
    try:
        return Outcome(item, function(item))
    except Exception as error:  # the other cases go on
        if not isinstance(error, (UserError, MemoryError, OSError)):
            traceback.print_exc(file=sys.stderr)
        return Outcome(item, reason=sentence(error))


def _run_on(client: "Client", function: Callable, items: Sequence[Any]) -> Iterator[tuple[int, Outcome]]:
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    def submit(index: int) -> Any:
        return client.submit(_attempt, function, items[index], pure=False)

    futures = {submit(index): index for index in range(len(items))}
    again = []
    for future in as_completed(futures):
        index = futures.pop(future)
        if isinstance(future.exception(), KilledWorker):
            again.append(index)
        else:
            yield index, future.result()
    for index in again:
        future = submit(index)
        killed = isinstance(future.exception(), KilledWorker)
        yield index, Outcome(items[index], reason=DIED) if killed else future.result()


@contextmanager
def _same_variables(names: Iterable[str]) -> Iterator[None]:
    """Give this process its environment back: what is meant for the workers is set here, too, when they start."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _client(where: str, count: int) -> Iterator["Client"]:
    """Start workers, one case at a time each, and take them away at the end."""
    import dask
    from distributed import Client

    for name in ("distributed", "distributed.client"):  # what matters is told by `map_cases`
        logging.getLogger(name).setLevel(logging.CRITICAL)
    variables = {**dict.fromkeys(THREADS, str(max(1, cores() // count))), QUIET: "critical"}
    settings = {
        "distributed.scheduler.allowed-failures": 0,  # which case kills is found out here, not by guessing
        "distributed.worker.daemon": False,  # a case may start processes of its own
        "distributed.nanny.pre-spawn-environ": variables,
    }
    start = _slurm if where == "slurm" else _local
    with _same_variables(variables), dask.config.set(settings), start(count) as cluster, Client(cluster) as client:
        try:
            yield client
        except KeyboardInterrupt:
            kill_children()
            raise


def _local(count: int) -> Any:
    from distributed import LocalCluster

    options = {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}  # a free port
    try:
        with deaf_to_ctrl_c():
            return LocalCluster(n_workers=count, threads_per_worker=1, memory_limit=0, **options)
    except RuntimeError as error:  # a worker was killed before it could work
        if "failed to start" not in str(error):
            raise
        raise ProcessDiedError(
            "workers: expected each to start; one was killed before it could, most often for lack of memory; "
            "close other programs or name fewer workers, and run the same command again."
        ) from error


def _slurm(count: int) -> Any:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise UserError(
            "workers: expected dask-jobqueue for slurm:NUMBER; it is not installed; "
            "run `.venv/bin/uv pip install --python .venv/bin/python dask-jobqueue`."
        ) from error
    try:
        cluster = SLURMCluster(processes=1)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"workers: expected what a job asks for in dask-jobqueue's settings; {error}; see docs/cluster.md."
        ) from error
    cluster.scale(jobs=count)
    return cluster


def failures(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return those that failed."""
    return [outcome for outcome in outcomes if outcome.reason]


def results(outcomes: Sequence[Outcome], what: str, name: Callable[[Any], str] = str) -> list[Any]:
    """Return the results, where no case may be missing.

    Args:
        outcomes: of `map_cases`.
        what: the cases are, for the message.
        name: of a case.

    Raises:
        UserError: a case failed; the others are done.
    """
    failed = failures(outcomes)
    if failed:
        reasons = "; ".join(f"{name(one.item)}: {one.reason}" for one in failed)
        raise UserError(
            f"{what}: expected all {len(outcomes)}; {len(failed)} failed and the others are done ({reasons}); "
            "mend what is named and run the same command again."
        )
    return [outcome.result for outcome in outcomes]
