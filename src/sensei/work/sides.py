"""The two ends of a migration, and how sessions on them are opened and retried."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sensei import catalog, engines, errors
from sensei.catalog import sight
from sensei.engines import base

T = TypeVar("T")


@dataclass(frozen=True)
class Side:
    """One end: which engine, under which name it is known, and where. Picklable; the URL never prints."""

    role: base.Purpose
    name: str  #: the connection's name in the migration file
    url: str = field(repr=False)
    #: How the migration sees tables of a source: what is read of them is read so.
    seen: Mapping[catalog.TableName, sight.Sight] = field(default_factory=dict, repr=False, compare=False)

    @property
    def engine(self) -> base.Engine:
        """The engine that the URL names."""
        return engines.for_url(self.url)

    def open(self, application: str = "sensei") -> base.Session:
        """Connect and pin; errors tell which side failed."""
        with told(self.role.value, self.name):
            session = self.engine.connect(self.url, self.role, application=application)
        session.seen = self.seen
        return session

    @contextlib.contextmanager
    def session(self, application: str = "sensei") -> Iterator[base.Session]:
        """A session for one block."""
        session = self.open(application)
        try:
            with told(self.role.value, self.name):
                yield session
        finally:
            session.close()


@contextlib.contextmanager
def told(side: str, name: str) -> Iterator[None]:
    """Let a server's failure say which side it was, and under which name it is known; once is enough."""
    try:
        yield
    except (errors.ServerFailed, errors.MissingPrivilege) as error:
        if "connection" not in error.details:
            if isinstance(error, errors.ServerFailed):
                error.side = side
            error.message = f"{side} {name}: {error.message}"
            error.details = {**error.details, "side": side, "connection": name}
        raise


@dataclass
class Budget:
    """How often, and for how long in all, what may pass is tried again (seconds)."""

    attempts: int = 6
    first_wait: float = 0.2
    longest_wait: float = 5.0
    spent: int = 0

    def again(self, error: errors.SenseiError, connected: bool = False) -> bool:
        """Sleep and return True where another attempt is within the budget; exponential with jitter.

        `connected`: a connection was there before, so that a refused one may be a server that restarts.
        """
        passing = error.retryable or (connected and isinstance(error, errors.ConnectFailed))
        if not passing or self.spent + 1 >= self.attempts:
            return False
        wait = min(self.first_wait * 2**self.spent, self.longest_wait)
        self.spent += 1
        time.sleep(wait * random.uniform(0.7, 1.3))
        return True


def retried(act: Callable[[], T], budget: Budget | None = None) -> T:
    """Call, and call again while the error may pass. Only for acts that are safe to repeat."""
    budget = budget or Budget()
    while True:
        try:
            return act()
        except errors.Transient as error:
            if not budget.again(error):
                raise
