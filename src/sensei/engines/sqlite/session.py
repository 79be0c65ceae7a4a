"""A connection to an SQLite file: pinned settings, one place where apsw's errors become Sensei's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import apsw

from sensei import catalog, errors
from sensei.catalog import sight
from sensei.engines import base

BUSY_TIMEOUT_MS = 30_000

#: What may go away by itself; everything else needs somebody.
RETRYABLE = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.InterruptError,
    apsw.ProtocolError,
    apsw.SchemaChangeError,
)

_REFUSED_VALUE = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, apsw.RangeError)
_DUPLICATE = (
    apsw.SQLITE_CONSTRAINT_UNIQUE,
    apsw.SQLITE_CONSTRAINT_PRIMARYKEY,
    apsw.SQLITE_CONSTRAINT_ROWID,
)
# "UNIQUE constraint failed: t.a, t.b"; "CHECK constraint failed: name"; "cannot store TEXT value in INTEGER column t.a"
_CONSTRAINT = re.compile(r"(UNIQUE|NOT NULL|CHECK|FOREIGN KEY) constraint failed(?:: (.*))?", re.DOTALL)
_STRICT = re.compile(r"cannot store \S+ value in \S+ column (.*)", re.DOTALL)
_WRITES_NOTHING = re.compile(r"\s*(SELECT|PRAGMA|EXPLAIN|VALUES)\b", re.IGNORECASE)


def path_of(url: str) -> Path:
    """Return the file of ``sqlite:///relative`` or ``sqlite:////absolute``; raises BadInput."""
    parts = urlsplit(url)
    path = unquote(parts.path[1:])
    if parts.scheme != "sqlite" or parts.netloc or not path or "\0" in path:
        raise errors.BadInput(
            "an SQLite database is written sqlite:///relative/file or sqlite:////absolute/file",
            hint="a ? or # in a file's name is written %3F or %23",
        )
    return Path(path).expanduser()


def options_of(url: str) -> dict[str, str]:
    """Return the query parameters: `timeout` in seconds is understood."""
    return dict(parse_qsl(urlsplit(url).query))


def translate(exc: BaseException, side: str = "") -> errors.SenseiError:
    """Return the Sensei error for one of the driver's."""
    found = _translate(exc)
    if isinstance(found, errors.ServerFailed):
        found.side = side
    return found


def _translate(exc: BaseException) -> errors.SenseiError:
    text = str(exc)
    if isinstance(exc, errors.SenseiError):
        return exc
    if isinstance(exc, RETRYABLE):
        return errors.Transient(f"the SQLite file is in use by another program: {text}")
    if isinstance(exc, apsw.FullError) or "No space left" in text:
        return errors.OutOfSpace(
            "the disk of the SQLite file is full",
            hint="free space, then `sensei migrations resume ID`",
        )
    if isinstance(exc, _REFUSED_VALUE):
        return _rejected(exc, text)
    if isinstance(exc, OverflowError):
        return errors.DataRejected(f"a whole number beyond 64 bits: {text}")
    if isinstance(exc, UnicodeError):
        return errors.DataRejected(f"text that is not valid UTF-8: {text}")
    if isinstance(exc, apsw.ReadOnlyError | apsw.PermissionsError | apsw.AuthError):
        return errors.MissingPrivilege(
            f"the SQLite file can't be written: {text}",
            hint="check the owner and the mode of the file and its folder",
        )
    if isinstance(exc, apsw.CantOpenError):
        return errors.ConnectFailed(
            f"the SQLite file can't be opened: {text}",
            hint="check the owner and the mode of the file and its folder",
        )
    if isinstance(exc, apsw.NotADBError):
        return errors.ConnectFailed("the file is not an SQLite database, or it is encrypted")
    if isinstance(exc, apsw.SQLError) and text.removeprefix("SQLError: ").startswith("no such table"):
        return errors.UnknownName(text)
    return errors.ServerFailed(f"SQLite says: {text}")


def _rejected(exc: BaseException, text: str) -> errors.DataRejected:
    details: dict[str, Any] = {}
    m = _CONSTRAINT.search(text)
    if m is not None:
        details["constraint"] = m[1]
        if m[2] and m[1] in ("UNIQUE", "NOT NULL"):
            # Names may hold ", " and ".": good for telling, not for acting on.
            pairs = [part.rpartition(".") for part in m[2].split(", ")]
            details["table"], details["columns"] = pairs[0][0], [column for _, _, column in pairs]
            details["column"] = details["columns"][0]
        elif m[2] and m[1] == "CHECK":
            details["constraint"] = m[2]
    elif (s := _STRICT.search(text)) is not None:
        details["table"], _, details["column"] = s[1].rpartition(".")
    found = errors.DataRejected(text, **details)
    found.duplicate = getattr(exc, "extendedresult", 0) in _DUPLICATE
    return found


class SqliteSession:
    """One connection to one file.

    A target file that does not exist yet is not made by connecting: an empty stand-in answers reads until the
    first transaction or writing statement, so that planning writes nothing.
    """

    def __init__(self, path: Path, purpose: base.Purpose, timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        self.path = path
        self.purpose = purpose
        self._timeout_ms = timeout_ms
        self._absent = purpose is base.Purpose.TARGET and not path.exists()
        self._file: tuple[int, int] | None = None
        self.seen: Mapping[catalog.TableName, sight.Sight] = {}
        self._db = self._open()

    @property
    def db(self) -> apsw.Connection:
        """The driver's connection, for the rooms of this package."""
        if self._absent and self.path.exists():
            self._replace(absent=False)
        return self._db

    @property
    def absent(self) -> bool:
        """True while the file does not exist yet."""
        return self._absent and not self.path.exists()

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Execute; return the number of rows affected."""
        if self._absent and not _WRITES_NOTHING.match(sql):
            self._replace(absent=False)
        db = self.db
        before = db.total_changes()
        try:
            for _ in db.execute(sql, tuple(params)):
                pass
        except Exception as e:
            raise translate(e, self.purpose) from e
        return db.changes() if db.total_changes() != before else 0

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[base.Row]:
        """Execute; return all rows."""
        try:
            return list(self.db.execute(sql, tuple(params)))
        except Exception as e:
            raise translate(e, self.purpose) from e

    def begin(self) -> None:
        """Open a transaction; on a target it takes the file's only write lock now, rather than fail later."""
        if self._absent:
            self._replace(absent=False)
        self.run("BEGIN IMMEDIATE" if self.purpose is base.Purpose.TARGET else "BEGIN")

    def commit(self) -> None:
        """Commit; raises CommitUnknown where the file system failed in the middle of it."""
        try:
            self._db.execute("COMMIT")
        except apsw.IOError as e:
            unknown = errors.CommitUnknown(f"the file system failed during COMMIT: {e}")
            unknown.side = self.purpose
            raise unknown from e
        except Exception as e:
            raise translate(e, self.purpose) from e

    def rollback(self) -> None:
        """Roll back; never raises."""
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except apsw.Error:
            pass  # the file system is gone, and the transaction with it

    def close(self) -> None:
        """Close; never raises."""
        try:
            self._db.close(True)
        except apsw.Error:
            pass  # nothing is left that could be done

    def confirm_pinned(self) -> None:
        """Raise Refused where another file was put in the place of the one that connect() opened."""
        if self._absent:
            return
        try:
            now: tuple[int, int] | None = _same(self.path)
        except OSError:
            now = None
        if now != self._file:
            raise errors.Refused(
                f"{self.path} is no longer the file that was opened",
                hint="check that nothing else moves or replaces the file, then resume",
            )

    def _replace(self, *, absent: bool) -> None:
        self._db.close(True)
        self._absent = absent
        self._db = self._open()

    def _open(self) -> apsw.Connection:
        try:
            if self._absent:
                db = apsw.Connection(":memory:")
            elif self.purpose is base.Purpose.SOURCE:
                # quote() keeps a ? or # of the name out of the URI's own syntax.
                uri = f"file:{quote(str(self.path.absolute()))}?mode=ro"
                db = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
            else:
                db = apsw.Connection(
                    str(self.path.absolute()), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
                )
            self._pin(db)
        except Exception as e:
            raise translate(e, self.purpose) from e
        if not self._absent:
            self._file = _same(self.path)
        return db

    def _pin(self, db: apsw.Connection) -> None:
        db.set_busy_timeout(self._timeout_ms)
        # With this on, a misspelt quoted column is silently a string.
        db.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        # 64 MB for the writer's B-trees; a reader passes by each page once.
        pages = -64_000 if self.purpose is base.Purpose.TARGET else -16_000
        for pragma in (f"cache_size={pages}", "foreign_keys=OFF", "legacy_alter_table=OFF"):
            db.execute(f"PRAGMA {pragma}")
        if self.purpose is base.Purpose.SOURCE:
            db.execute("PRAGMA query_only=ON")
        else:
            # Whatever the owner's triggers do for the owner's writes, Sensei's are none of those.
            db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        # The header is read here, so that "not a database" is said by connect and not by some later statement.
        db.execute("PRAGMA schema_version").fetchall()


def _same(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def connect(url: str, purpose: base.Purpose, *, application: str = "sensei") -> SqliteSession:
    """Open the file of a URL; raises ConnectFailed for a missing source, a missing folder or no database."""
    path = path_of(url)
    timeout = options_of(url).get("timeout", "")
    if not path.exists() and purpose is base.Purpose.SOURCE:
        raise _failed(f"there is no such file: {path}", purpose)
    if path.is_dir():
        raise _failed(f"{path} is a folder, not a database file", purpose)
    if not path.absolute().parent.is_dir():
        raise _failed(f"there is no folder {path.absolute().parent}", purpose)
    return SqliteSession(
        path,
        purpose,
        int(float(timeout) * 1000) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", timeout) else BUSY_TIMEOUT_MS,
    )


def _failed(message: str, purpose: base.Purpose) -> errors.ConnectFailed:
    found = errors.ConnectFailed(message, hint="check the connection's URL: sqlite:////absolute/file")
    found.side = purpose
    return found
