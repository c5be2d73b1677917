"""Many cases at once: in this process, in several on this machine, or in jobs of a SLURM cluster.

One word says where, the setting `workers` of `params.yaml` and the option `--workers` of the commands:

    1         one case after the other in this process
    4         four at a time, each in a process of its own
    auto      as many at a time as memory and cores allow
    slurm:20  in 20 jobs; what a job asks for stands in dask-jobqueue's own file, see docs/cluster.md

What is done is not done again where the function that is called sees to it, as `segsrgan segment` and the stages do.
"""

import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segsrgan_core.errors import UserError
from segsrgan_core.processes import deaf_to_ctrl_c
from segsrgan_core.progress import Progress, say

if TYPE_CHECKING:
    from distributed import Client

THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
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
        name: of a case, for messages.

    Returns:
        One outcome a case, in the order of the cases. A case whose process is killed is tried once more, alone, as a
        neighbour may have taken the memory.

    Raises:
        UserError: `workers` is none of these words, or a library is missing.
    """
    where, count = parse_workers(workers)
    progress = Progress(label, len(items))
    found: dict[int, Outcome] = {}
    for index, outcome in _run(function, items, where, count or width(memory_gib, len(items))):
        found[index] = outcome
        if outcome.reason:
            say(f"{name(outcome.item)}: {outcome.reason}.")
        progress.reach(len(found))
    progress.close()
    return [found[index] for index in sorted(found)]


def parse_workers(workers: str) -> tuple[str, int]:
    """Return where and how many: ("here", 1), ("local", n), ("local", 0) for `auto`, ("slurm", n)."""
    match = re.fullmatch(r"(auto)|(slurm:)?([1-9]\d{0,3})", str(workers))
    if not match:
        raise UserError(f"workers: expected a number, auto or slurm:NUMBER; received {workers!r}.")
    if match[1]:
        return "local", 0
    count = int(match[3])
    return ("slurm" if match[2] else "here" if count == 1 else "local"), count


def width(memory_gib: float, cases: int) -> int:
    """Return how many cases run at a time on this machine: one a core, as far as memory that is free now goes."""
    import psutil
    from distributed.system import CPU_COUNT, MEMORY_LIMIT

    free = min(psutil.virtual_memory().available, MEMORY_LIMIT)
    return max(1, min(CPU_COUNT, int(free / (memory_gib * 2**30)), cases))


def _run(function: Callable, items: Sequence[Any], where: str, count: int) -> Iterator[tuple[int, Outcome]]:
    if where != "slurm" and min(count, len(items)) <= 1:
        yield from ((index, _attempt(function, item)) for index, item in enumerate(items))
        return
    with _client(where, count) as client:
        yield from _run_on(client, function, items)


def _attempt(function: Callable, item: Any) -> Outcome:
    try:
        return Outcome(item, function(item))
    except UserError as error:
        return Outcome(item, reason=" ".join(str(error).split()).rstrip("."))
    except MemoryError:
        return Outcome(item, reason="expected enough memory for this case; there was not")
    except Exception as error:  # the other cases go on; the traceback is for whoever mends it
        traceback.print_exc(file=sys.stderr)
        return Outcome(item, reason=f"{type(error).__name__}: {' '.join(str(error).split())}")


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
def _client(where: str, count: int) -> Iterator["Client"]:
    """Start workers, one case at a time each, and take them away at the end."""
    import dask
    from distributed import Client
    from distributed.system import CPU_COUNT

    logging.getLogger("distributed").setLevel(logging.ERROR)
    settings = {
        "distributed.scheduler.allowed-failures": 0,  # which case kills is found out here, not by guessing
        "distributed.worker.daemon": False,  # a case may start processes of its own
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(THREADS, str(max(1, CPU_COUNT // count))),
    }
    start = _slurm if where == "slurm" else _local
    with dask.config.set(settings), start(count) as cluster, Client(cluster) as client:
        yield client


def _local(count: int) -> Any:
    from distributed import LocalCluster

    with deaf_to_ctrl_c():
        return LocalCluster(n_workers=count, threads_per_worker=1, memory_limit=0, dashboard_address=None)


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
