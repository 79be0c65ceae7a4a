"""Fixtures of migrations that are killed on purpose: run by a fork server, put back to planned in a moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import crash_cases
import ends
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


#: Target engine by name, and the source that is migrated into it.
PAIRS = {"postgres": "sqlite", "sqlite": "mysql", "mysql": "postgres"}


@pytest.fixture(params=PAIRS)
def bench(request: pytest.FixtureRequest, warm_sensei: Sensei, maker: ends.Maker, tmp_path: Path) -> crash_cases.Bench:
    """A planned migration into a target of that engine, from another engine."""
    source, target = _source(PAIRS[request.param], maker, tmp_path), _target(request.param, maker, tmp_path)
    made = crash_cases.Bench(warm_sensei, tmp_path, source, target)
    made.plan()
    return made


def _source(engine: str, maker: ends.Maker, folder: Path) -> ends.End:
    if engine == "sqlite":
        path = folder / "source.db"
        crash_cases.fill_sqlite(path)
        return path
    made = maker(engine)()
    ends.run(made, {"postgres": crash_cases.FILL_POSTGRES, "mysql": crash_cases.FILL_MYSQL}[engine])
    return made


def _target(engine: str, maker: ends.Maker, folder: Path) -> ends.End:
    if engine == "sqlite":
        path = folder / "target" / "target.db"
        path.parent.mkdir()
        return path
    made = maker(engine)()
    ends.run(made, {"postgres": crash_cases.FILL_TARGET, "mysql": crash_cases.FILL_TARGET_MYSQL}[engine])
    return made
