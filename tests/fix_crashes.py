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


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """A warm process that forks for each command of a module's tests."""
    folder = tmp_path_factory.mktemp("fork")
    server = ForkServer(Sensei(folder, folder / "home").environment())
    yield server
    server.close()


@pytest.fixture
def warm_sensei(sensei: Sensei, fork: ForkServer) -> Sensei:
    """The command line whose commands are forked when they are run to the end; spawned ones are not."""
    sensei.fork = fork
    return sensei


@pytest.fixture(params=["postgres", "sqlite"])
def bench(
    request: pytest.FixtureRequest, warm_sensei: Sensei, make_pg_db: MakeDatabase, tmp_path: Path
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
    made = crash_cases.Bench(warm_sensei, tmp_path, source, target)
    made.plan()
    return made
