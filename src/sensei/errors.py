"""The error tree: the class says what happened, the hint names the next command, the exit code tells scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class SenseiError(Exception):
    """Something went wrong inside Sensei itself."""

    #: What the process exits with (contract: 0 done, 1 fault, 2 input, 3 refused, 4 difference, 5 server, 6 rule).
    exit_code: ClassVar[int] = 1
    #: True where doing the same thing again may succeed.
    retryable: ClassVar[bool] = False
    #: True where it is unknown whether the act took effect: look before retrying.
    outcome_unknown: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: Mapping[str, Any] = details

    @property
    def code(self) -> str:
        """Stable name of the class of error for scripts, such as ``wrong_state``."""
        name = type(self).__name__
        return "".join(("_" + c.lower()) if c.isupper() and i else c.lower() for i, c in enumerate(name))

    def __str__(self) -> str:
        return self.message


class Fault(SenseiError):
    """A promise that Sensei makes to itself was broken; nothing was continued on top of it."""


class BadInput(SenseiError):
    """The request can't be understood or names something that does not exist."""

    exit_code = 2


class ConfigError(BadInput):
    """The migration file is wrong; each complaint carries file:line:column."""


class UnknownName(BadInput):
    """A migration, connection, backup or table of that name is not known."""


class Refused(SenseiError):
    """Not allowed now; nothing was changed."""

    exit_code = 3


class WrongState(Refused):
    """The migration is in a state from which this can't be done."""


class NotYet(Refused):
    """Understood and checked, but this version does not carry it out."""


class CheckUnmet(Refused):
    """A required check is not met."""


class LeaseHeld(Refused):
    """Another live process holds the migration."""


class WorldChanged(Refused):
    """What was planned on is no longer what is there: schema, database or configuration differ."""


class MissingPrivilege(Refused):
    """The account lacks a privilege; the hint is the statement that grants it."""


class DifferenceFound(SenseiError):
    """A comparison that must be equal is not."""

    exit_code = 4


class SourceWritten(DifferenceFound):
    """The source was written while it was being copied in full mode."""


class ServerFailed(SenseiError):
    """A database server or the store failed; state is kept."""

    exit_code = 5

    #: "source", "target" or "store"; filled in by whoever knows.
    side: str = ""


class ConnectFailed(ServerFailed):
    """No connection could be made."""


class Transient(ServerFailed):
    """Failed in a way that may pass: lost connection, time-out, deadlock, busy file."""

    retryable = True


class CommitUnknown(Transient):
    """The answer to COMMIT was lost; the ledger knows whether it took effect."""

    outcome_unknown = True


class OutOfSpace(ServerFailed):
    """The server ran out of disk; free some, then resume."""


class OutOfMemory(ServerFailed):
    """The server has no memory, or no locks, left for what one transaction needs; a smaller one may pass."""


class StoreFailed(ServerFailed):
    """The state store can't be read or written."""


class TamperFound(DifferenceFound):
    """The journal or a certificate does not match its own hashes or signature."""


class StoppedByRule(SenseiError):
    """A rule of the configuration stopped the migration; state is kept."""

    exit_code = 6


class DataRejected(SenseiError):
    """A server refused data: a value that it can't hold or a violated constraint. Handled by bisecting."""

    #: True for a violated unique or primary key.
    duplicate: bool = False


class TakenOver(SenseiError):
    """Another runner raised the epoch: this one must stop at once and touch nothing more."""

    exit_code = 3


class Paused(SenseiError):
    """An operator asked for a pause; not an error for the operator."""

    exit_code = 0
