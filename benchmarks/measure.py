"""Runs a command and says what it cost: time, CPU of each side, memory, and what strangers took meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Seconds between two looks at the processes.
INTERVAL = 0.05


@dataclass(frozen=True)
class Cost:
    """One command's run; seconds and bytes."""

    wall: float
    #: CPU of the command and all its descendants, from the kernel's account at their end.
    cpu_tool: float
    #: CPU of the database server meanwhile, its background processes included.
    cpu_server: float
    #: CPU that neither of them, nor this program, used: neighbours on the machine.
    cpu_foreign: float
    #: CPU that the hypervisor gave to somebody else.
    steal: float
    #: High-water mark of the largest process.
    peak_process: int
    #: Largest sum over all processes at one moment; pages that they share count for each.
    peak_sum: int
    processes: int
    #: ru_maxrss of the largest process; not below that of this program, which it is forked from.
    maxrss: int
    #: CPU seconds that the machine could have given.
    cpu_possible: float

    @property
    def disturbed(self) -> bool:
        """Whether neighbours took more than a twentieth of the machine meanwhile."""
        return self.cpu_foreign + self.steal > 0.05 * self.cpu_possible

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            wall=self.wall + other.wall,
            cpu_tool=self.cpu_tool + other.cpu_tool,
            cpu_server=self.cpu_server + other.cpu_server,
            cpu_foreign=self.cpu_foreign + other.cpu_foreign,
            steal=self.steal + other.steal,
            peak_process=max(self.peak_process, other.peak_process),
            peak_sum=max(self.peak_sum, other.peak_sum),
            processes=max(self.processes, other.processes),
            maxrss=max(self.maxrss, other.maxrss),
            cpu_possible=self.cpu_possible + other.cpu_possible,
        )


class Failed(Exception):
    """The command ended with an error; the message ends with what it said."""


def family_cpu(pid: int) -> float:
    """CPU seconds of a process, of its children that ended, and of those that live."""
    total = 0.0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            try:
                spent = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += spent.user + spent.system
            total += getattr(spent, "children_user", 0.0) + getattr(spent, "children_system", 0.0)
    except psutil.NoSuchProcess:
        pass
    return total


def _machine() -> tuple[float, float]:
    """Busy CPU seconds of the whole machine and those stolen from it."""
    spent = psutil.cpu_times()
    busy = spent.user + spent.system + getattr(spent, "irq", 0.0) + getattr(spent, "softirq", 0.0)
    return busy + getattr(spent, "nice", 0.0), getattr(spent, "steal", 0.0)


def _resident(process: psutil.Process) -> tuple[int, int]:
    """What the process holds now and the most it ever held since its exec."""
    now: int = process.memory_info().rss
    try:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return now, int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return now, now


class _Watch(threading.Thread):
    """Looks at a process and its descendants until told to stop."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(pid)
        self._done = threading.Event()
        self.peak_process = self.peak_sum = 0
        self.pids: set[int] = set()

    def run(self) -> None:
        while True:
            total = 0
            try:
                family = [self._root, *self._root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            for process in family:
                try:
                    now, most = _resident(process)
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
                total += now
                self.pids.add(process.pid)
                self.peak_process = max(self.peak_process, most)
            self.peak_sum = max(self.peak_sum, total)
            if self._done.wait(INTERVAL):
                return

    def stop(self) -> None:
        self._done.set()
        self.join()


def run(
    command: Sequence[str],
    *,
    log: Path,
    servers: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    expect: Sequence[int] = (0,),
    output: Path | None = None,
    sampled: bool = True,
    timeout: float = 3600,
) -> Cost:
    """Run to its end. Standard output goes to ``output`` where given, all else is appended to ``log``.

    Memory is looked at every INTERVAL unless ``sampled`` is false: then it reads 0.

    Raises Failed where the exit code is none of ``expect``, or when it had to be killed after ``timeout``
    seconds.
    """
    server_before = sum(map(family_cpu, servers))
    own_before, (busy_before, steal_before) = time.process_time(), _machine()
    with log.open("ab") as said, (output or log).open("wb" if output else "ab") as answered:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=answered,
            stderr=said,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        watch = _Watch(process.pid)
        if sampled:
            watch.start()
        # wait4, which tells the CPU of the descendants too, has no time-out of its own.
        overdue = threading.Timer(timeout, os.killpg, (process.pid, signal.SIGKILL))
        overdue.daemon = True
        overdue.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            os.wait4(process.pid, 0)
            raise
        finally:
            overdue.cancel()
            wall = time.perf_counter() - began
            if sampled:
                watch.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in expect:
        tail = log.read_text(errors="replace")[-3000:]
        how = f"ended with {process.returncode}" if wall < timeout else f"was killed after {timeout:.0f} s"
        raise Failed(f"{Path(command[0]).name} {how}:\n{tail}")
    busy, steal = _machine()
    cpu_tool = usage.ru_utime + usage.ru_stime
    cpu_server = sum(map(family_cpu, servers)) - server_before
    own = time.process_time() - own_before
    return Cost(
        wall=wall,
        cpu_tool=cpu_tool,
        cpu_server=cpu_server,
        cpu_foreign=max(0.0, busy - busy_before - cpu_tool - cpu_server - own),
        steal=steal - steal_before,
        peak_process=watch.peak_process,
        # The high-water mark may fall between two looks.
        peak_sum=max(watch.peak_sum, watch.peak_process),
        processes=len(watch.pids),
        maxrss=usage.ru_maxrss * (1 if psutil.MACOS else 1024),
        cpu_possible=wall * (os.cpu_count() or 1),
    )
