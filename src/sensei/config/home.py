"""The home folder: where the store, logs, artifacts and connections live, for the owner's eyes only."""

from __future__ import annotations

import os
import re
import urllib.parse
from pathlib import Path

from sensei import errors
from sensei.config import connections

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def home() -> Path:
    """Return `$SENSEI_HOME` or `~/.sensei`, absolute; made with mode 0700 where it is missing.

    Raises errors.StoreFailed where it can't be made or written to.
    """
    chosen = os.environ.get("SENSEI_HOME", "")
    try:
        path = (Path(chosen).expanduser() if chosen else Path.home() / ".sensei").absolute()
    except RuntimeError as problem:  # no home directory is known for this user
        raise errors.StoreFailed(
            f"the home folder can't be found: {problem}", hint="set SENSEI_HOME to a folder of your own"
        ) from problem
    return _folder(path)


def store_url() -> str:
    """Return the state store's URL: `$SENSEI_STORE`, its variables expanded, or an SQLite file in home.

    It may hold a password: show it through connections.mask only.
    """
    chosen = os.environ.get("SENSEI_STORE", "")
    if chosen:
        return connections.expand(chosen, os.environ)
    return "sqlite:///" + urllib.parse.quote(str(home() / "sensei.db"), safe="/ ")


def artifacts(migration_id: str) -> Path:
    """Return the folder for what a migration leaves behind; made where it is missing."""
    return _folder(_folder(home() / "artifacts") / _checked(migration_id))


def logs(migration_id: str) -> Path:
    """Return the log file of a migration; its folder is made, the file is not (see private_file)."""
    return _folder(home() / "logs") / f"{_checked(migration_id)}.log"


def private_file(path: Path) -> Path:
    """Make a file with mode 0600 where it is missing, and return it. Raises errors.StoreFailed."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as problem:
        raise _failed(path, "written", problem) from problem
    return path


def _folder(path: Path) -> Path:
    try:
        # Parents get the usual mode: only the last folder is Sensei's own.
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as problem:
        raise _failed(path, "made", problem) from problem
    if not os.access(path, os.W_OK | os.X_OK):
        raise _failed(path, "written to", PermissionError(13, "Permission denied"))
    return path


def _failed(path: Path, verb: str, problem: OSError) -> errors.StoreFailed:
    reason = problem.strerror or type(problem).__name__
    return errors.StoreFailed(
        f"{path} can't be {verb}: {reason}",
        hint="set SENSEI_HOME to a folder that you can write to",
        path=str(path),
    )


def _checked(migration_id: str) -> str:
    if not _ID.fullmatch(migration_id):
        raise errors.BadInput(f"'{migration_id}' is no migration's id", hint="sensei migrations list shows them")
    return migration_id
