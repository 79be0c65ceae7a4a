"""The life of a private PostgreSQL server: in a temporary folder, gone with the process that started it."""

from __future__ import annotations

import atexit
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import psutil
import psycopg2

#: The variable that holds the password; URLs name it as ${SENSEI_TEST_PGPASSWORD}, as an operator's would.
PASSWORD_ENV = "SENSEI_TEST_PGPASSWORD"
USER = "sensei_test"

#: Ends the server and removes its folder when the owner is gone, however it went: a killed test run runs no
#: atexit handlers, but its end of the pipe closes. A stale pid file may name somebody else's process by now.
_GUARD = """
cat >/dev/null
ours() { { tr '\\0' ' ' <"/proc/$pid/cmdline" || ps -o args= -p "$pid"; } 2>/dev/null | grep -qF "$1/data"; }
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && ours "$1" && kill -QUIT "$pid" 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do ours "$1" || break; sleep 0.3; done
rm -rf "$1"
"""


class ServerError(RuntimeError):
    """A private server, or a client run against it, did not do what it was told; holds its output."""


def password() -> str:
    """The password of this process's servers, made up on first use and kept in the environment."""
    return os.environ.setdefault(PASSWORD_ENV, secrets.token_hex(12))


def find_postgres() -> Path | None:
    """The folder of the newest PostgreSQL server binaries, or None. SENSEI_TEST_PGBIN overrides."""
    if named := os.environ.get("SENSEI_TEST_PGBIN"):
        return Path(named)
    roots = [Path("/usr/lib/postgresql"), Path("/opt/homebrew/opt"), Path("/usr/local/opt")]
    found = [p.parent for root in roots for p in root.glob("*/bin/initdb") if (p.parent / "postgres").exists()]
    if found:
        return max(found, key=lambda p: [int(n) for n in re.findall(r"\d+", p.parent.name)] or [0])
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run the server as; None to stay who we are. initdb refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerError("root may not run PostgreSQL and there is neither a user postgres nor nobody")


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


class PostgresProcess:
    """A PostgreSQL server of one's own on 127.0.0.1.

    Life cycle: ``start`` (initialises on the first call), any of ``stop``, ``kill``, ``restart``, ``start``,
    and last ``close``, which removes every trace. The port stays the same throughout. Usable as a context.
    """

    #: All that are open in this process, for atexit.
    _open: ClassVar[list[PostgresProcess]] = []

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        bindir = find_postgres()
        if bindir is None:
            raise ServerError("no PostgreSQL server binaries found: run tests/install-servers.sh")
        self.bindir = bindir
        self.port = 0
        self._settings = {
            "fsync": "off",
            "full_page_writes": "off",
            "wal_level": "logical",
            "max_connections": "60",
            "max_wal_senders": "10",
            "max_replication_slots": "20",
            "shared_buffers": "64MB",
            "jit": "off",
            **(settings or {}),
        }
        self._owner = _unprivileged()
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = os.getpid()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # The server's life

    @property
    def folder(self) -> Path:
        if self._folder is None:
            raise ServerError("the server was never started")
        return self._folder

    @property
    def major(self) -> int:
        out = subprocess.run([self.bindir / "postgres", "-V"], capture_output=True, text=True, check=True).stdout
        return int(re.findall(r"\d+", out)[0])

    def start(self, timeout: float = 60) -> None:
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
            if attempt == tries or "Address already in use" not in self.log():
                raise ServerError(f"PostgreSQL did not start:\n{self.log()}")

    def stop(self, mode: str = "fast", timeout: float = 60) -> None:
        """Stop; mode "smart", "fast" (sessions are ended) or "immediate" (recovers at the next start)."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            sent = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
            process.send_signal(sent)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                log = self.log()
                self.kill()
                raise ServerError(f"PostgreSQL did not stop in {timeout} s and was killed:\n{log}") from None
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

    def is_up(self) -> bool:
        """Whether a connection is answered now."""
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            psycopg2.connect(
                host="127.0.0.1",
                port=self.port,
                dbname="postgres",
                user=USER,
                password=password(),
                connect_timeout=3,
            ).close()
        except psycopg2.OperationalError:
            return False
        return True

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

    def _initialise(self) -> None:
        folder = self._folder = Path(tempfile.mkdtemp(prefix="sensei-pg-"))
        folder.chmod(0o711)
        for name in ("data", "run"):
            (folder / name).mkdir(mode=0o700)
            if self._owner is not None:
                os.chown(folder / name, self._owner.pw_uid, self._owner.pw_gid)
        self._open.append(self)
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt from the keyboard must not end it before its work
            cwd="/",
        )
        pwfile = folder / "run" / "password"
        pwfile.touch(mode=0o600)
        pwfile.write_text(password() + "\n")
        if self._owner is not None:
            os.chown(pwfile, self._owner.pw_uid, self._owner.pw_gid)
        done = subprocess.run(
            [
                *[str(self.bindir / "initdb"), "-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256"],
                *[f"--pwfile={pwfile}", "-E", "UTF8", "--no-sync", f"--locale={_locale()}"],
            ],
            capture_output=True,
            text=True,
            env=plain_env(),
            cwd=folder,
            **self._run_as(),
        )
        pwfile.unlink()
        if done.returncode != 0:
            raise ServerError(f"initdb ended with {done.returncode}\n{done.stdout}\n{done.stderr}")

    def _launch(self, port: int, timeout: float) -> bool:
        folder = self.folder
        settings = self._settings | {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(folder / "run"),
        }
        arguments = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with (folder / "log").open("ab") as log:
            self._process = process = subprocess.Popen(
                [str(self.bindir / "postgres"), "-D", str(folder / "data"), *arguments],
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
    """Our environment without the operator's own PostgreSQL settings."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C", "TZ": "UTC"}


def _locale() -> str:
    return "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"


@atexit.register
def _close_all() -> None:
    for server in list(PostgresProcess._open):
        server.close()
