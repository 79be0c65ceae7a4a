"""The real command line in processes of its own, with a home of its own, and nothing left running."""

from __future__ import annotations

import json as jsonlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

import servers
from fork_server import ForkServer

SRC = Path(__file__).resolve().parent.parent / "src"
#: Exit code of a process that a crash point killed, as subprocess reports it.
KILLED = -signal.SIGKILL

T = TypeVar("T")
Argument = str | Path


@dataclass(frozen=True)
class Result:
    """What a command ended with. ``data`` is the one JSON document of stdout where --json was asked for."""

    command: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    data: Any = None

    def __str__(self) -> str:
        return (
            f"$ {' '.join(self.command)}\n[exit code {self.returncode}]\n"
            f"--- stdout\n{self.stdout[-8000:]}\n--- stderr\n{self.stderr[-8000:]}"
        )


class Spawned:
    """A command still running, in a process group of its own, its output in files."""

    def __init__(self, command: tuple[str, ...], env: Mapping[str, str], folder: Path, name: str) -> None:
        self.command = command
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=dict(env),
                cwd=folder,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_running(self) -> bool:
        return self.process.poll() is None

    def so_far(self) -> Result:
        """What was written up to now; returncode 0 means nothing while it runs."""
        out, err = (p.read_bytes().decode(errors="replace") for p in (self._out, self._err))
        return Result(self.command, self.process.poll() or 0, out, err)

    def signal(self, number: int) -> None:
        """To the command alone, such as SIGINT for an operator's Ctrl-C."""
        self.process.send_signal(number)

    def kill9(self) -> Result:
        """SIGKILL to the process and the group that it leads, and its result."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(30)
        return self.so_far()

    def wait(self, timeout: float = 600, *, expect: int | None = None) -> Result:
        """Its result; fails, after killing it, when it takes longer than ``timeout`` seconds."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            # SIGABRT first: faulthandler then says where each thread stands.
            self.process.send_signal(signal.SIGABRT)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                pass
            pytest.fail(f"not done after {timeout} s:\n{self.kill9()}", pytrace=False)
        result = self.so_far()
        if expect is not None and result.returncode != expect:
            pytest.fail(f"expected exit code {expect}:\n{result}", pytrace=False)
        return result


@dataclass
class Sensei:
    """Runs ``python -m sensei``: call it with the words of a command line."""

    folder: Path
    home: Path
    #: Laid over the environment of every command.
    env: dict[str, str] = field(default_factory=dict)
    #: Runs commands that are called, where there is one; see `fork_server`.
    fork: ForkServer | None = None
    _spawned: list[Spawned] = field(default_factory=list)
    _count: int = 0

    def __call__(
        self,
        *args: Argument,
        json: bool = False,
        expect: int | None = 0,
        env: Mapping[str, str] | None = None,
        crash_at: str | None = None,
        timeout: float = 600,
    ) -> Result:
        """Run to the end and check the exit code (``expect=None``: any).

        ``json`` adds --json, demands exactly one JSON document on stdout and gives it as ``data``.
        ``crash_at`` is "point" or "point:n": the process must die at the n-th passing of that point.
        """
        words = (*args, "--json") if json else args
        if crash_at is not None and expect == 0:
            expect = KILLED
        if self.fork is not None:
            result = self._forked(self.fork, words, self.environment(env, crash_at), timeout)
            if expect is not None and result.returncode != expect:
                pytest.fail(f"expected exit code {expect}:\n{result}", pytrace=False)
        else:
            result = self.spawn(*words, env=env, crash_at=crash_at).wait(timeout, expect=expect)
        if not json or result.returncode < 0:
            return result
        try:
            data = jsonlib.loads(result.stdout)
        except ValueError as wrong:
            pytest.fail(f"stdout is not one JSON document ({wrong}):\n{result}", pytrace=False)
        return Result(result.command, result.returncode, result.stdout, result.stderr, data)

    def _forked(self, fork: ForkServer, args: tuple[Argument, ...], env: Mapping[str, str], timeout: float) -> Result:
        out, err = self.folder / "forked.out", self.folder / "forked.err"
        words = [str(a) for a in args]
        code = fork.run(words, env, self.folder, out, err, timeout)
        texts = [p.read_bytes().decode(errors="replace") for p in (out, err)]
        return Result(("sensei", *words), code, *texts)

    def spawn(self, *args: Argument, env: Mapping[str, str] | None = None, crash_at: str | None = None) -> Spawned:
        """Start and return at once."""
        self._count += 1
        command = ("sensei", *(str(a) for a in args))
        whole = self.environment(env, crash_at)
        running = Spawned(command, whole, self.folder, f"command-{self._count:03}")
        self._spawned.append(running)
        return running

    def on_terminal(self, *args: Argument, answers: str = "", expect: int | None = 0, timeout: float = 60) -> Result:
        """Run with a terminal for its three streams, typing ``answers``; stdout holds all that was shown."""
        command = ("sensei", *(str(a) for a in args))
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self.environment(),
            cwd=self.folder,
            start_new_session=True,
        )
        os.close(slave)
        typed = [f"{line}\n".encode() for line in answers.splitlines()]
        shown, deadline = b"", time.monotonic() + timeout
        try:
            while time.monotonic() < deadline:
                if not select.select([master], [], [], 0.2)[0]:
                    if process.poll() is not None:
                        break
                    continue
                try:
                    block = os.read(master, 65536)
                except OSError:  # how Linux reports that the other end is closed
                    break
                if not block:
                    break
                shown += block
                if typed and shown.endswith((b": ", b"] ", b"? ", b"?")):
                    os.write(master, typed.pop(0))  # not before: a prompt for a secret drops what was typed
            else:
                pytest.fail(f"not done after {timeout} s, shown so far:\n{shown.decode(errors='replace')}")
        finally:
            if process.poll() is None:
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(30)
            os.close(master)
        result = Result(command, process.returncode, shown.decode(errors="replace").replace("\r\n", "\n"), "")
        if expect is not None and result.returncode != expect:
            pytest.fail(f"expected exit code {expect}:\n{result}", pytrace=False)
        return result

    @property
    def last_pid(self) -> int:
        """The process that was started last."""
        return self._spawned[-1].pid

    def environment(self, env: Mapping[str, str] | None = None, crash_at: str | None = None) -> dict[str, str]:
        """What a command sees: ours without anybody's own settings for Sensei or a server, and a fresh home."""
        ours = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("PG", "MYSQL", "MARIADB", "SENSEI_")) or k.startswith("SENSEI_TEST_")
        }
        ours |= {
            "SENSEI_HOME": str(self.home),
            servers.PASSWORD_ENV: servers.password(),
            "PYTHONPATH": os.pathsep.join(p for p in (str(SRC), os.environ.get("PYTHONPATH", "")) if p),
            "PYTHONFAULTHANDLER": "1",
            "PYTHONIOENCODING": "utf-8",
            "NO_COLOR": "1",
            "COLUMNS": "160",
        }
        if crash_at is not None:
            ours["SENSEI_CRASH_AT"] = crash_at
        return ours | self.env | dict(env or {})

    def write(self, name: str, content: str | Mapping[str, Any]) -> Path:
        """A file beside the home, such as a migration file; a mapping is written as JSON, which is YAML."""
        path = self.folder / name
        text = content if isinstance(content, str) else jsonlib.dumps(content, indent=2, ensure_ascii=False)
        path.write_text(text, encoding="utf-8")
        return path

    def processes(self) -> list[psutil.Process]:
        """Every live process that works for this home, detached ones included."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SENSEI_HOME") == str(self.home) and process.status() != "zombie":
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill9_all(self) -> None:
        """SIGKILL to every process of this home."""
        doomed = self.processes()
        for process in doomed:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                pass
        psutil.wait_procs(doomed, timeout=30)
        for running in self._spawned:
            if running.is_running():
                running.kill9()


@pytest.fixture
def sensei(tmp_path: Path) -> Iterator[Sensei]:
    """The command line with a fresh home; whatever still runs at the test's end is killed."""
    folder = tmp_path / "sensei"
    folder.mkdir()
    runner = Sensei(folder, folder / "home")
    yield runner
    runner.kill9_all()


def wait_until(look: Callable[[], T], timeout: float = 30, *, what: str = "", interval: float = 0.05) -> T:
    """Call ``look`` until it returns something true, and return that; fails after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        last = look()
        if last:
            return last
        if time.monotonic() > deadline:
            pytest.fail(f"{what or 'what was waited for'} did not come true in {timeout} s (last: {last!r})")
        time.sleep(interval)
