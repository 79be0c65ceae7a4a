"""Where the demo plays: it types real commands, shows what they answer, and believes none of them unchecked."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: Seconds that any one command may take.
PATIENCE = 180.0


class Broken(Exception):
    """Something that the demo claims is not so."""


@dataclass(frozen=True)
class Answer:
    """What a command ended with."""

    command: str
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"$ {self.command}\nexit code {self.code}\n{self.out}{self.err}"


class Running:
    """A command that goes on while the demo looks elsewhere."""

    def __init__(self, command: str, process: subprocess.Popen[str], drawing: bool) -> None:
        self.command, self.process, self._drawing = command, process, drawing

    def kill9(self) -> None:
        """What the kernel does to a process that took too much memory, or an operator to the wrong one."""
        self.process.send_signal(signal.SIGKILL)

    def wait(self) -> Answer:
        """Return its answer; raises Broken where it does not end."""
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise Broken(f"not done after {PATIENCE:.0f} s: {self.command}") from None
        if self._drawing and self.process.returncode < 0:
            # Whoever drew bars is dead: the cursor that it hid is for others to bring back.
            sys.stderr.write("\x1b[?25h\n")
            sys.stderr.flush()
        return Answer(self.command, self.process.returncode, out, err or "")


@dataclass
class Stage:
    """One folder to play in, its environment, and the count of claims that were checked."""

    folder: Path
    environment: Mapping[str, str]
    checked: int = 0
    began: float = field(default_factory=time.monotonic)
    _running: list[Running] = field(default_factory=list)

    # -- showing

    def tell(self, text: str = "") -> None:
        """Print a line."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def chapter(self, title: str) -> None:
        """Print a heading with the time since the curtain went up."""
        self.tell()
        self.tell(_bold(f"== {title}  ({time.monotonic() - self.began:.0f} s)"))

    def show(self, text: str, lines: int = 12) -> None:
        """Print the first lines of an answer, indented, and how many were left out."""
        whole = text.rstrip("\n").split("\n") if text.strip() else []
        for line in whole[:lines]:
            self.tell(f"    {line}"[:160].rstrip())
        if len(whole) > lines:
            self.tell(f"    … {len(whole) - lines} more lines")

    def claim(self, text: str, holds: bool, otherwise: object = "") -> None:
        """Print a claim, once it is known to hold; raises Broken for one that does not."""
        if not holds:
            raise Broken(f"this should be so and is not: {text}" + (f"\n{otherwise}" if otherwise != "" else ""))
        self.checked += 1
        self.tell(f"  checked: {text}")

    # -- doing

    def start(self, *words: str, typed: str = "", draw: bool = False) -> Running:
        """Type a command and let it run. `draw` lends it the terminal, if there is one, for its bars."""
        command = typed or shlex.join(("sensei", *words))
        self.tell(_bold(f"$ {command}"))
        drawing = draw and sys.stderr.isatty()
        process = subprocess.Popen(
            [sys.executable, "-m", "sensei", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if drawing else subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=self.folder,
            env={**os.environ, **self.environment},
        )
        running = Running(command, process, drawing)
        self._running.append(running)
        return running

    def run(self, *words: str, expect: int = 0, lines: int = 12, typed: str = "", draw: bool = False) -> Answer:
        """Type a command, wait for it, show its answer; raises Broken for another exit code than expected."""
        return self.finish(self.start(*words, typed=typed, draw=draw), expect, lines)

    def finish(self, running: Running, expect: int = 0, lines: int = 12) -> Answer:
        """Wait for a command, show its answer; raises Broken for another exit code than expected."""
        answer = running.wait()
        if answer.code != expect:
            raise Broken(f"exit code {expect} was expected, not {answer.code}:\n{answer}")
        self.show(answer.out, lines)
        return answer

    def until(self, look: Callable[[], bool], what: str, running: Sequence[Running] = ()) -> None:
        """Wait until something is so; raises Broken where it takes too long or a command ends before."""
        give_up = time.monotonic() + PATIENCE
        while not look():
            for one in running:
                if one.process.poll() is not None:
                    raise Broken(f"it ended before {what}:\n{one.wait()}")
            if time.monotonic() > give_up:
                raise Broken(f"waited {PATIENCE:.0f} s in vain: {what}")
            time.sleep(0.005)

    def clear(self) -> None:
        """End what this demo started and is still running."""
        for one in self._running:
            if one.process.poll() is None:
                one.process.terminate()
        for one in self._running:
            try:
                one.process.wait(10)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
            for stream in (one.process.stdout, one.process.stderr):
                if stream is not None:
                    stream.close()


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM end a block as Ctrl-C does, so that what was started is taken down."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep a second Ctrl-C from cutting the tidying short."""
    old = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
