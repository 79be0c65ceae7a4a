"""Gives the server that is moved into a core of its own, as if it stood on another machine than the source."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks import peers


def pin(target: int, others: Sequence[int]) -> None:
    """Hold the target's server to one core, and its source, the tools and this process to the rest.

    Processes, threads and connections that come later inherit it. Raises peers.Missing where there is one core only,
    or where the system can't hold a process to a core.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise peers.Missing("--apart needs Linux: nothing else here holds a process to a core")
    first, *rest = sorted(os.sched_getaffinity(0))
    if not rest:
        raise peers.Missing("--apart needs two cores: one is the target's")
    if target in others:
        raise peers.Missing("--apart needs a pair of two servers: source and target are one here")
    _hold(target, {first})
    for pid in (*others, os.getpid()):
        _hold(pid, set(rest))


def free(servers: Sequence[int]) -> None:
    """Take that back: every core is everybody's again."""
    everywhere = set(range(os.cpu_count() or 1))
    for pid in (*servers, os.getpid()):
        _hold(pid, everywhere)


def _hold(pid: int, cores: set[int]) -> None:
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            try:
                os.sched_setaffinity(int(thread.name), cores)
            except ProcessLookupError:
                continue  # it has ended since
