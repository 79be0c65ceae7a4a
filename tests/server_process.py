"""The life of a private database server: in a temporary folder, gone with the process that started it."""

from __future__ import annotations

import abc
import atexit
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar, Self

import psutil

#: The variable that holds the password; URLs name it as ${SENSEI_TEST_PGPASSWORD}, as an operator's would.
PASSWORD_ENV = "SENSEI_TEST_PGPASSWORD"
USER = "sensei_test"

#: Ends the server and removes its folder when the owner is gone, however it went: a killed test run runs no
#: atexit handlers, but its end of the pipe closes. A stale pid file may name somebody else's process by now.
_GUARD = """
cat >/dev/null
ours() { { tr '\\0' ' ' <"/proc/$pid/cmdline" || ps -o args= -p "$pid"; } 2>/dev/null | grep -qF "$1/data"; }
pid=$(head -n 1 "$1/$2" 2>/dev/null) && ours "$1" && kill "-$3" "$pid" 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do ours "$1" || break; sleep 0.3; done
rm -rf "$1"
"""


class ServerError(RuntimeError):
    """A private server, or a client run against it, did not do what it was told; holds its output."""


def password() -> str:
    """The password of this process's servers, made up on first use and kept in the environment."""
    return os.environ.setdefault(PASSWORD_ENV, secrets.token_hex(12))


def unprivileged(*names: str) -> pwd.struct_passwd | None:
    """Whom to run a server as, the first of these users that there is; None to stay who we are."""
    if os.geteuid() != 0:
        return None
    for name in (*names, "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerError(f"root may not run the server and there is none of the users {', '.join(names)}, nobody")


def _free_port() -> int:
    # Below the range that the system gives to outgoing connections, so that a stopped server finds its port
    # free again.
    for _ in range(200):
        port = random.SystemRandom().randrange(20000, 30000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerError("no free port between 20000 and 30000")


class ServerProcess(abc.ABC):
    """A database server of one's own on 127.0.0.1.

    Life cycle: ``start`` (initialises on the first call), any of ``stop``, ``kill``, ``restart``, ``start``,
    and last ``close``, which removes every trace. The port stays the same throughout. Usable as a context.
    An engine says how it is initialised and launched, and how it is asked whether it is up.
    """

    #: All that are open in this process, for atexit.
    _open: ClassVar[list[ServerProcess]] = []

    #: The engine in words, and the beginning of its folder's name.
    title: ClassVar[str]
    prefix: ClassVar[str]
    #: Where the server writes its pid, within its folder.
    pid_file: ClassVar[str]
    #: What ends the server at once; it recovers at the next start.
    at_once: ClassVar[signal.Signals]
    #: Modes of stopping, and the signals that ask for them.
    modes: ClassVar[dict[str, signal.Signals]]
    #: What the log says where somebody else has the port.
    port_taken: ClassVar[str] = "Address already in use"

    def __init__(self, owner: pwd.struct_passwd | None) -> None:
        self.port = 0
        self._owner = owner
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = os.getpid()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # What an engine says

    @abc.abstractmethod
    def is_up(self) -> bool:
        """Whether a connection is answered now."""

    @abc.abstractmethod
    def _initialise_data(self, folder: Path) -> None:
        """Fill ``folder``/data, which is there and belongs to the server's user; ``folder``/run is too."""

    @abc.abstractmethod
    def _command(self, folder: Path, port: int) -> list[str]:
        """The server's command line, in the foreground."""

    # The server's life

    @property
    def folder(self) -> Path:
        if self._folder is None:
            raise ServerError("the server was never started")
        return self._folder

    @property
    def pid(self) -> int:
        """Of the server, while it runs; where it has children, of their parent."""
        if self._process is None:
            raise ServerError("the server does not run")
        return self._process.pid

    def start(self, timeout: float = 120) -> None:
        """Start and return when connections are answered. Does nothing when it is up."""
        if self._process is not None and self._process.poll() is None:
            return
        if self._folder is None:
            self._initialise()
        tries = 1 if self.port else 5
        for attempt in range(1, tries + 1):
            port = self.port or _free_port()
            if self._launch(port, timeout):
                self.port = port
                return
            if attempt == tries or self.port_taken not in self.log():
                raise ServerError(f"{self.title} did not start:\n{self.log()}")

    def stop(self, mode: str = "fast", timeout: float = 60) -> None:
        """Stop; mode "smart", "fast" (sessions are ended) or "immediate" (recovers at the next start)."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(self.modes[mode])
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                log = self.log()
                self.kill()
                raise ServerError(f"{self.title} did not stop in {timeout} s and was killed:\n{log}") from None
        self._process = None

    def kill(self) -> None:
        """SIGKILL to the server and all its children, as when the machine's power goes."""
        process = self._process
        if process is None:
            return
        # Backends sit in sessions of their own: a signal to the process group would not reach them.
        doomed: list[psutil.Process] = []
        try:
            parent = psutil.Process(process.pid)
            parent.suspend()  # so that it can't fork between the listing and the killing
            doomed = parent.children(recursive=True)
        except psutil.NoSuchProcess:
            pass
        for child in [*doomed]:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                pass
        process.kill()
        process.wait(30)
        psutil.wait_procs(doomed, timeout=30)
        self._process = None

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stop for good and remove the folder. May be called twice."""
        if self in self._open:
            self._open.remove(self)
        if self._folder is None or os.getpid() != self._pid:
            return
        try:
            self.stop("immediate")
        finally:
            if self._guard is not None and self._guard.stdin is not None:
                self._guard.stdin.close()
                self._guard.wait(30)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = self._guard = None

    def log(self, lines: int = 60) -> str:
        """The last lines of the server's log."""
        path = self.folder / "log"
        text = path.read_text(errors="replace") if path.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    # Within

    def _run_as(self) -> dict[str, Any]:
        if self._owner is None:
            return {}
        return {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []}

    def _give(self, path: Path) -> None:
        """Let a file or folder belong to the server's user."""
        if self._owner is not None:
            os.chown(path, self._owner.pw_uid, self._owner.pw_gid)

    def _secret_file(self, path: Path, text: str) -> Path:
        path.touch(mode=0o600)
        path.write_text(text)
        self._give(path)
        return path

    def _initialise(self) -> None:
        folder = self._folder = Path(tempfile.mkdtemp(prefix=self.prefix))
        folder.chmod(0o711)
        for name in ("data", "run"):
            (folder / name).mkdir(mode=0o700)
            self._give(folder / name)
        self._open.append(self)
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(folder), self.pid_file, self.at_once.name.removeprefix("SIG")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt from the keyboard must not end it before its work
            cwd="/",
        )
        self._initialise_data(folder)

    def _run(self, command: list[str], folder: Path) -> None:
        """Run a command of the server's own to its end, as the server's user."""
        done = subprocess.run(command, capture_output=True, text=True, env=plain_env(), cwd=folder, **self._run_as())
        if done.returncode != 0:
            name = Path(command[0]).name
            raise ServerError(f"{name} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")

    def _launch(self, port: int, timeout: float) -> bool:
        folder = self.folder
        with (folder / "log").open("ab") as log:
            self._process = process = subprocess.Popen(
                self._command(folder, port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=plain_env(),
                cwd=folder,
                start_new_session=True,
                **self._run_as(),
            )
        self.port, before = port, self.port
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and process.poll() is None:
            if self.is_up():
                return True
            time.sleep(0.05)
        self.kill()
        self.port = before
        return False


def plain_env() -> dict[str, str]:
    """Our environment without the operator's own settings for PostgreSQL, MariaDB and MySQL."""
    theirs = ("PG", "MYSQL", "MARIADB")
    return {k: v for k, v in os.environ.items() if not k.startswith(theirs)} | {"LC_ALL": "C", "TZ": "UTC"}


@atexit.register
def _close_all() -> None:
    for server in list(ServerProcess._open):
        server.close()
