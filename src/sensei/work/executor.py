"""The seam of `concurrent.futures`: the same picklable tasks run in local processes or, later, elsewhere."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor


def local(workers: int) -> Executor:
    """Return an executor of local processes.

    Processes are spawned, not forked: the coordinator has threads and connections that a fork would copy. A
    worker of another process group would survive Ctrl-C in the terminal, so workers ignore SIGINT and leave it to
    the coordinator to stop them at a chunk boundary.
    """
    return concurrent.futures.ProcessPoolExecutor(
        max_workers=workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(os.getpid(),),
    )


def warm(pool: Executor, workers: int, act: Callable[[], None]) -> None:
    """Let the workers start now, and import what `act` needs, so that the first task finds them there.

    What fails here shows with the first task.
    """
    for _ in range(workers):
        pool.submit(act)


def _start_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, args=(parent,), daemon=True).start()


def _follow_parent(parent: int) -> None:
    # A runner killed with -9 can't tell its workers. An orphan would go on with its chunk: harmless, the epoch
    # fences it off, but it would hold the target's locks against whoever resumes.
    while os.getppid() == parent:
        time.sleep(0.25)
    os._exit(1)
