"""The lock that keeps two runners of one migration apart while DDL, which sheds every other lock, is run."""

from __future__ import annotations

import contextlib
import hashlib

from sensei import errors
from sensei.engines import base
from sensei.engines.mysql.facts import own

#: Seconds to wait for a runner that is about to end, and for the end of a statement that was ended.
PATIENCE, AFTER_KILL = 10, 60


def name(migration: str) -> str:
    """Return the lock's name: at most 64 characters, whatever the migration's id."""
    return f"sensei_{hashlib.sha256(migration.encode()).hexdigest()[:40]}"


class Fence:
    """GET_LOCK: held by the session, through commits, until it is released or the connection ends."""

    def take(self, session: base.Session, migration: str) -> None:
        """Wait for the lock.

        Who holds it after that was killed or taken over, but the server still carries out its statement, as it does
        with an index half built when the client is gone. That statement is ended.
        """
        mine, lock = own(session), name(migration)
        if self._got(session, lock, PATIENCE):
            return
        holder = session.rows("SELECT IS_USED_LOCK(?)", [lock])[0][0]
        if holder is not None and int(holder) != mine.number:
            with contextlib.suppress(errors.ServerFailed):  # it may have ended by itself
                session.run(f"KILL {int(holder)}")
        if not self._got(session, lock, AFTER_KILL):
            raise errors.Transient(
                f"a statement of an earlier runner of {migration} is still being carried out",
                hint=f"look at connection {holder} in SHOW PROCESSLIST, wait for it or KILL it, then sensei migrations"
                f" resume {migration}",
            )

    def leave(self, session: base.Session, migration: str) -> None:
        with contextlib.suppress(errors.SenseiError):
            session.rows("SELECT RELEASE_LOCK(?)", [name(migration)])

    def _got(self, session: base.Session, lock: str, seconds: int) -> bool:
        return bool(session.rows("SELECT GET_LOCK(?, ?)", [lock, seconds])[0][0])
