"""Killed at every named point, forward and on the way back, a migration goes on to the same end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import crash_cases
import servers
from fix_postgres import MakeDatabase
from fix_sensei import KILLED, Sensei
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


def test_killed_at_any_point_a_migration_goes_on_to_the_same_end_and_back(
    bench: crash_cases.Bench, record_property: pytest.RecordProperty, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each point of a run gets a case of its own: killed there, resumed, compared, rolled back, compared.

    The points of a rollback are taken in turn by the rollbacks that end the cases: killed there, repeated.
    """
    forward = bench.points("migrations", "start", bench.migration)
    bench.carried = bench.differences()
    # The undisturbed run itself must have carried everything but the one row that can't be.
    assert len(bench.carried) == 2 and "only in the source" in bench.carried[1], bench.carried
    bench.check_completed()
    back = bench.points("migrations", "rollback", bench.migration, "--full", "--verify")
    bench.check_rolled_back()
    assert len(forward) > len(back) > 10

    tried, survived, untried = 0, 0, list(back)
    for number, point in enumerate(forward[:12]+forward[40:52]):
        import time; t=time.time()
        bench.reset()
        print("reset",time.time()-t)
        bench.shown = ""
        code = bench.run("migrations", "start", bench.migration, expect=None, SENSEI_CRASH_AT=point)
        # A worker that is killed each time takes the run down in good order; the runner itself dies.
        assert code in (KILLED, 5, 0), f"{point} was not reached:\n{bench.shown}"
        if code != 0:
            again = "start" if bench.status()["status"] == "planned" else "resume"
            if bench.status()["status"] != "completed":
                bench.run("migrations", again, bench.migration)
        bench.check_completed()
        tried += 1
        survived += 1
        there = back[number % len(back)]
        if bench.rollback(crash_at=there) and there in untried:
            untried.remove(there)
            tried += 1
            survived += 1
    assert 0
    record_property("points", f"{survived}/{tried}")
    with capsys.disabled():
        print(f"\npoints tried / survived: {tried} / {survived} (target {type(bench.target).__name__})")
