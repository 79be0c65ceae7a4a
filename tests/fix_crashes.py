"""Fixtures of migrations that are killed on purpose: run by a fork server, put back to planned in a moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import crash_cases
import servers
from fix_postgres import MakeDatabase
from fix_sensei import Sensei
from fork_server import ForkServer


@pytest.fixture
def fork(sensei: Sensei) -> Iterator[ForkServer]:
    server = ForkServer(sensei.environment(), sensei.folder)
    yield server
    server.close()


@pytest.fixture(params=["postgres", "sqlite"])
def bench(
    request: pytest.FixtureRequest, sensei: Sensei, fork: ForkServer, make_pg_db: MakeDatabase, tmp_path: Path
) -> crash_cases.Bench:
    """A planned migration into a target of that engine, from the other engine."""
    source: servers.Database | Path
    target: servers.Database | Path
    if request.param == "postgres":
        source, target = tmp_path / "source.db", make_pg_db()
        crash_cases.fill_sqlite(source)
        target.execute(crash_cases.FILL_TARGET)
    else:
        source, target = make_pg_db(), tmp_path / "target" / "target.db"
        source.execute(crash_cases.FILL_POSTGRES)
        target.parent.mkdir()
    made = crash_cases.Bench(sensei, fork, tmp_path, source, target)
    made.plan()
    return made
