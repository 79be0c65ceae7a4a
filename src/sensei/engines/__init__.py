"""Adapters: the only SQL in the house, one package an engine."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from sensei import errors
from sensei.engines import base


def _postgres() -> base.Engine:
    from sensei.engines import postgres

    return postgres.engine()


def _sqlite() -> base.Engine:
    from sensei.engines import sqlite

    return sqlite.engine()


def _mysql() -> base.Engine:
    from sensei.engines import mysql

    return mysql.engine()


#: URL scheme -> factory. Drivers are imported by the factory, so that nobody pays for an engine not in use.
ENGINES: dict[str, Callable[[], base.Engine]] = {
    "postgresql": _postgres,
    "postgres": _postgres,
    "mysql": _mysql,
    "mariadb": _mysql,
    "sqlite": _sqlite,
}


def for_url(url: str) -> base.Engine:
    """Return the engine that a URL names; raises BadInput for an unknown one."""
    scheme = urlsplit(url).scheme.lower()
    factory = ENGINES.get(scheme)
    if factory is None:
        raise errors.BadInput(
            f"no engine answers to {scheme or 'a URL without a scheme'}",
            hint="use postgresql://…, mysql://…, mariadb://… or sqlite:///file",
        )
    return factory()


def by_name(name: str) -> base.Engine:
    """Return an engine by the name that plans remember it by."""
    return {"postgres": _postgres, "mysql": _mysql, "sqlite": _sqlite}[name]()
