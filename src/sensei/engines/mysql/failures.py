"""The one place where errors of MariaDB, MySQL and their driver get their meaning, and the list of what may pass."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pymysql

from sensei import errors

#: The one list of what may be retried.
RETRYABLE = frozenset(
    {
        1205, 1213, 1614, 3572,  # lock wait time-out, deadlock (also of a distributed transaction), NOWAIT
        1020, 1412,  # a row or a definition changed under the transaction's snapshot
        1040, 1203,  # too many connections, of all and of one user
        1053, 1317, 1927, 1969, 3024,  # shutdown, query or connection killed, statement time-outs
        1158, 1159, 1160, 1161, 4031,  # the server's side of a broken or idle connection
        2002, 2003, 2006, 2013, 2055,  # the client's side
    }
)  # fmt: skip
#: Of those, the ones after which the connection is gone, so that a COMMIT may have been carried out.
_LOST = frozenset({0, 1053, 1158, 1159, 1160, 1161, 1927, 2002, 2003, 2006, 2013, 2055, 4031})

#: Refusals of data rather than of the statement.
_DATA = frozenset(
    {
        1022, 1062, 1169, 1586,  # duplicates
        1048, 1138, 1263, 1364,  # NULL where none may be, no value
        1216, 1217, 1451, 1452, 1761, 1762, 3819, 4025,  # foreign keys and checks
        1261, 1262,  # too few and too many fields
        1264, 1265, 1292, 1300, 1366, 1367, 1406, 1411, 1416, 1441, 1525, 1690, 3140, 3141, 3143, 3903,
        1301,  # a value beyond max_allowed_packet
        1644,  # SIGNAL of a trigger
    }
)  # fmt: skip
_DUPLICATE = frozenset({1022, 1062, 1169, 1586})
_PRIVILEGE = frozenset({1044, 1142, 1143, 1227, 1370, 1419})
_MISSING = frozenset({1049, 1051, 1146})
_SPACE = frozenset({1021, 1114})
_TOO_LARGE = frozenset({1153, 2020})
_NO_SPACE = re.compile(r"Errcode: 28\b|No space left")
#: "Column 'c' cannot be null", "Data too long for column 'c' at row 1", "… for column `d`.`t`.`c` at row 1"
_COLUMN = re.compile(
    r"[Cc]olumn (?:`(?:[^`]|``)*`\.)*[`'](?P<name>.+?)[`'](?: at row \d+| cannot be null|$)", re.DOTALL
)


def number(exc: BaseException) -> int:
    """Return the server's or the driver's number of an error; 0 where it has none."""
    return exc.args[0] if exc.args and isinstance(exc.args[0], int) else 0


def translate(exc: BaseException, side: str = "", *, committing: bool = False) -> errors.SenseiError:
    """Return the error of our own tree that a driver's error means.

    `committing`: the statement was COMMIT, so that a lost connection leaves its outcome unknown.
    """
    found = _translate(exc, committing)
    if isinstance(found, errors.ServerFailed):
        found.side = side
    return found


def meaning(code: int, text: str) -> errors.SenseiError:
    """Return the error that a number of the server means, also where it came as a warning."""
    if code in RETRYABLE:
        return errors.Transient(text, errno=code)
    if code in _SPACE or _NO_SPACE.search(text):
        return errors.OutOfSpace(
            f"the server has no space left: {text}", hint="free space, then sensei migrations resume ID", errno=code
        )
    if code in _TOO_LARGE:
        return errors.ServerFailed(
            f"a row is larger than the server's max_allowed_packet: {text}",
            hint="raise max_allowed_packet on the server (SET GLOBAL max_allowed_packet = 1073741824), then"
            " sensei migrations resume ID",
            errno=code,
        )
    if code in _DATA:
        place = _COLUMN.search(text)
        rejected = errors.DataRejected(text, errno=code, **({"column": place["name"]} if place else {}))
        rejected.duplicate = code in _DUPLICATE
        return rejected
    if code in _PRIVILEGE:
        return errors.MissingPrivilege(text, errno=code)
    if code in _MISSING:
        return errors.UnknownName(text, errno=code)
    return errors.ServerFailed(text, errno=code)


def _translate(exc: BaseException, committing: bool) -> errors.SenseiError:
    code = number(exc)
    text = str(exc.args[1] if len(exc.args) > 1 else exc).strip() or "the connection was lost"
    if isinstance(exc, (UnicodeError, ValueError, pymysql.ProgrammingError)) and not code:
        return errors.DataRejected(f"a value can't be sent to the server: {text}")
    # The driver numbers a closed connection 0, and has no number for an answer that came to pieces.
    lost = code in _LOST and (code > 0 or isinstance(exc, (pymysql.InterfaceError, pymysql.InternalError, OSError)))
    if committing and lost:
        return errors.CommitUnknown(f"the answer to COMMIT was lost: {text}", errno=code)
    if lost:
        return errors.Transient(text, errno=code)
    return meaning(code, text)


@contextlib.contextmanager
def translated(side: str, *, committing: bool = False) -> Iterator[None]:
    """Let a driver's errors leave the block as ours."""
    try:
        yield
    except (pymysql.MySQLError, OSError, ValueError) as exc:
        raise translate(exc, side, committing=committing) from exc
