"""Processes, servers, connections and disks that go away in the middle: nothing twice, nothing missing."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

import ends
import mid_copy
import servers
import small_disk
from fix_postgres import MakeDatabase
from fix_sensei import Sensei, wait_until
from mid_copy import Where
from sensei import engines, errors
from sensei.engines import base, ledger
from wire_proxy import WireProxy

#: For each target the engine to come from.
FROM = {"postgres": "sqlite", "sqlite": "postgres", "mysql": "postgres"}


@pytest.fixture
def sensei(warm_sensei: Sensei) -> Sensei:
    """Commands that are not killed start in a moment."""
    return warm_sensei


@pytest.fixture(params=[t for t in FROM if t in ends.ENGINES])
def pair(request: pytest.FixtureRequest, maker: ends.Maker) -> tuple[Where, Where]:
    """A filled source and an empty target of that engine, across engines."""
    source, target = maker(FROM[request.param])(), maker(request.param)()
    mid_copy.fill(source)
    return source, target


def _workers(of: int) -> list[psutil.Process]:
    return [p for p in psutil.Process(of).children() if any("spawn_main" in word for word in p.cmdline())]


def test_a_runner_killed_in_the_middle_of_the_copy_is_taken_over(sensei: Sensei, pair: tuple[Where, Where]) -> None:
    source, target = pair
    migration = mid_copy.plan(sensei, source, target)
    running = sensei.spawn("migrations", "start", migration)
    with mid_copy.held_still(sensei, target):
        os.kill(running.pid, signal.SIGKILL)  # the runner alone: its workers have to notice by themselves
        running.wait()
    assert mid_copy.status(sensei, migration)["status"] == "running"
    wait_until(lambda: not sensei.processes(), what="orphaned workers end by themselves")
    sensei("migrations", "resume", migration)
    mid_copy.check_finished(sensei, migration, source, target)


def test_a_detached_runner_killed_in_the_middle_of_the_copy_is_taken_over(
    sensei: Sensei, pg_db: servers.Database, tmp_path: Path
) -> None:
    source, target = tmp_path / "source.db", pg_db
    mid_copy.fill(source)
    migration = mid_copy.plan(sensei, source, target)
    started = sensei("migrations", "start", migration, "--detach", json=True)
    with mid_copy.held_still(sensei, target):
        os.kill(started.data["pid"], signal.SIGKILL)
    found = mid_copy.status(sensei, migration)
    assert found["status"] == "running"
    assert not found["runner"]["alive"]
    assert "resume" in found["next"]
    sensei("migrations", "resume", migration)
    mid_copy.check_finished(sensei, migration, source, target)


def test_a_killed_worker_costs_its_chunk_and_no_row(sensei: Sensei, pair: tuple[Where, Where]) -> None:
    source, target = pair
    migration = mid_copy.plan(sensei, source, target)
    running = sensei.spawn("migrations", "start", migration)
    with mid_copy.held_still(sensei, target):
        doomed = _workers(running.pid)
        assert doomed
        for worker in doomed:
            worker.kill()
    running.wait(expect=0)
    mid_copy.check_finished(sensei, migration, source, target)


def test_a_target_server_that_dies_and_stays_down_fails_the_run_and_resume_completes_it(
    sensei: Sensei, make_pg_db: MakeDatabase, pg_server2: servers.PostgresServer, tmp_path: Path
) -> None:
    source, target = tmp_path / "source.db", make_pg_db(server=pg_server2)
    mid_copy.fill(source)
    migration = mid_copy.plan(sensei, source, target)
    running = sensei.spawn("migrations", "start", migration, "--json")
    try:
        with mid_copy.held_still(sensei, target):
            pg_server2.kill()
        died = running.wait(expect=5)
        assert "target" in died.stdout
        assert mid_copy.status(sensei, migration)["status"] == "failed"
        refused = sensei("migrations", "resume", migration, json=True, expect=5)
        assert "target" in refused.data["error"]["message"]
    finally:
        pg_server2.start()
    sensei("migrations", "resume", migration)
    mid_copy.check_finished(sensei, migration, source, target)


def test_a_source_server_that_dies_and_stays_down_fails_the_run_and_resume_completes_it(
    sensei: Sensei, make_pg_db: MakeDatabase, pg_server2: servers.PostgresServer, tmp_path: Path
) -> None:
    source, target = make_pg_db(server=pg_server2), tmp_path / "target.db"
    mid_copy.fill(source)
    migration = mid_copy.plan(sensei, source, target)
    running = sensei.spawn("migrations", "start", migration, "--json")
    try:
        with mid_copy.held_still(sensei, target):
            pg_server2.kill()
        died = running.wait(expect=5)
        assert "source" in died.stdout
        assert mid_copy.status(sensei, migration)["status"] == "failed"
    finally:
        pg_server2.start()
    sensei("migrations", "resume", migration)
    mid_copy.check_finished(sensei, migration, source, target)


def test_a_target_server_that_restarts_is_waited_for(
    sensei: Sensei, make_pg_db: MakeDatabase, pg_server2: servers.PostgresServer, tmp_path: Path
) -> None:
    source, target = tmp_path / "source.db", make_pg_db(server=pg_server2)
    mid_copy.fill(source)
    migration = mid_copy.plan(sensei, source, target)
    running = sensei.spawn("migrations", "start", migration)
    with mid_copy.held_still(sensei, target):
        pg_server2.restart()
    if running.wait(expect=None).returncode != 0:  # slower than the budget of retries: the state is kept
        assert mid_copy.status(sensei, migration)["status"] == "failed"
        sensei("migrations", "resume", migration)
    mid_copy.check_finished(sensei, migration, source, target)


def test_terminated_sessions_cost_their_chunks_and_no_row(sensei: Sensei, pair: tuple[Where, Where]) -> None:
    source, target = pair
    server = target if isinstance(target, servers.Database) else source
    assert isinstance(server, servers.Database)
    migration = mid_copy.plan(sensei, source, target)
    running = sensei.spawn("migrations", "start", migration)
    for _ in range(2):
        with mid_copy.held_still(sensei, target):
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = current_database() AND application_name = 'sensei {migration}'"
            )
    code = running.wait().returncode
    assert code in (0, 5)
    if code:
        sensei("migrations", "resume", migration)
    mid_copy.check_finished(sensei, migration, source, target)


@pytest.mark.parametrize("answers", [True, False], ids=["answer_lost", "commit_lost"])
def test_a_commit_whose_outcome_is_unknown_is_settled_by_the_ledger(
    sensei: Sensei, pg_db: servers.Database, tmp_path: Path, answers: bool
) -> None:
    source = tmp_path / "source.db"
    mid_copy.fill(source)
    with WireProxy(pg_db.server.port) as proxy:
        direct = f"@127.0.0.1:{pg_db.server.port}/"
        behind = pg_db.url.replace(direct, f"@127.0.0.1:{proxy.port}/")
        assert behind != pg_db.url
        migration = mid_copy.plan(sensei, source, pg_db, target_url=behind)
        for _ in range(3):
            proxy.cut(answers=answers)
        sensei("migrations", "start", migration)
        assert proxy.cuts == 3
        # Each chunk is in the ledger once, and its rows with it.
        assert mid_copy.chunks_done(pg_db) == pg_db.value("SELECT count(*) FROM sensei_.chunk_plan") > 100
        mid_copy.check_finished(sensei, migration, source, pg_db)


def test_a_full_disk_under_an_sqlite_target_is_told_and_resume_completes_once_there_is_room(
    sensei: Sensei, pg_db: servers.Database, tmp_path: Path
) -> None:
    mid_copy.fill(pg_db, width=1000)
    disk = tmp_path / "disk"
    with small_disk.mounted(disk, "2m") as mounted:
        target = disk / "target.db"
        migration = mid_copy.plan(sensei, pg_db, target)
        running = sensei.spawn("migrations", "start", migration, "--json")
        if not mounted:  # the nearest that is left: a limit on the size of any file that it writes
            psutil.Process(running.pid).rlimit(psutil.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        failed = running.wait(expect=5)
        assert not mounted or "full" in failed.stdout, failed
        found = mid_copy.status(sensei, migration)
        assert found["status"] == "failed"
        assert found["failure"]["exit_code"] == 5
        if mounted:
            sensei("migrations", "resume", migration, expect=5)  # still full
            small_disk.grow(disk)
        sensei("migrations", "resume", migration)
        mid_copy.check_finished(sensei, migration, pg_db, target)


def test_a_full_disk_under_a_postgres_target_is_told_and_resume_completes_once_there_is_room(
    sensei: Sensei, make_pg_db: MakeDatabase, pg_server2: servers.PostgresServer, tmp_path: Path
) -> None:
    source, target = tmp_path / "source.db", make_pg_db(server=pg_server2)
    with small_disk.mounted(pg_server2.folder / "disk", "2m") as mounted:
        rows = mid_copy.ROWS if mounted else 25_000
        mid_copy.fill(source, rows=rows, width=1000)
        if mounted:
            place = pg_server2.folder / "disk" / "space"
            place.mkdir(mode=0o700)
            owner = (pg_server2.folder / "data").stat()
            os.chown(place, owner.st_uid, owner.st_gid)
            target.execute(f"CREATE TABLESPACE small LOCATION {servers.literal(str(place))}")
            target.set_defaults({"default_tablespace": "small"})
        else:  # above the 16 MB of a WAL segment, below the table
            _restart_limited(pg_server2, 20 << 20)
        migration = mid_copy.plan(sensei, source, target, rows=rows)
        failed = sensei("migrations", "start", migration, json=True, expect=5)
        assert not mounted or failed.data["error"]["code"] == "out_of_space", failed
        assert mid_copy.status(sensei, migration)["status"] == "failed"
        if mounted:
            sensei("migrations", "resume", migration, expect=5)  # still full
            small_disk.grow(pg_server2.folder / "disk")
        else:
            pg_server2.restart()
        sensei("migrations", "resume", migration)
        mid_copy.check_finished(sensei, migration, source, target)
        if mounted:
            target.server.drop_db(target.name)
            pg_server2.database("postgres").execute("DROP TABLESPACE small")


def _restart_limited(server: servers.PostgresServer, file_bytes: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, hard))
    try:
        server.restart()  # inherits the limit
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("engine_name", ends.ENGINES)
def test_a_late_transaction_of_a_dead_runner_cannot_land_after_a_take_over(engine_name: str, maker: ends.Maker) -> None:
    """By hand, as no clock can be trusted to bring it about: the chunk is claimed, the epoch raised, then committed."""
    engine = engines.by_name(engine_name)
    url = ends.url(maker(engine_name)()).replace(f"${{{servers.PASSWORD_ENV}}}", servers.password())
    late, other, looking = (engine.connect(url, base.Purpose.TARGET) for _ in range(3))
    book = ledger.Ledger(engine, "mig_late")
    first, second = (ledger.Chunk("items", 1, n, None, None) for n in (0, 1))
    try:
        book.set_up(late, "token", "source", "plan")
        book.raise_epoch(late, 1)
        late.begin()
        assert book.claim_chunk(late, 1, first)
        taken = threading.Thread(target=book.raise_epoch, args=(other, 2), daemon=True)
        taken.start()
        time.sleep(0.5)
        assert taken.is_alive(), "the epoch was raised over a chunk that was still under way"
        book.close_chunk(late, first, 5, 0, "text", "sum")
        late.commit()  # before the take-over: it counts, and whoever took over sees it
        taken.join(30)
        assert not taken.is_alive()
        assert [a.number for a in book.applied(looking)] == [0]
        late.begin()
        with pytest.raises(errors.TakenOver):
            book.claim_chunk(late, 1, second)
        late.rollback()
        other.begin()
        assert not book.claim_chunk(other, 2, first), "a chunk that is in was given out again"
        other.rollback()
        assert [a.number for a in book.applied(looking)] == [0]
    finally:
        for session in (late, other, looking):
            session.close()


def test_a_second_runner_is_refused_and_told_who_the_first_is(
    sensei: Sensei, pg_db: servers.Database, tmp_path: Path
) -> None:
    source, target = tmp_path / "source.db", pg_db
    mid_copy.fill(source)
    migration = mid_copy.plan(sensei, source, target)
    running = sensei.spawn("migrations", "start", migration)
    with mid_copy.held_still(sensei, target):
        for verb in ("resume", "start"):
            refused = sensei("migrations", verb, migration, json=True, expect=3)
            assert refused.data["error"]["code"] == "lease_held"
            assert str(running.pid) in refused.data["error"]["message"]
    running.wait(expect=0)
    mid_copy.check_finished(sensei, migration, source, target)


@pytest.mark.parametrize(
    ("engine", "how"),
    [("postgres", "pause"), ("postgres", "SIGINT"), ("postgres", "SIGTERM"), ("mysql", "pause"), ("mysql", "SIGINT")],
)
def test_a_run_that_is_asked_to_stop_pauses_within_seconds_and_lets_go_of_everything(
    sensei: Sensei, maker: ends.Maker, engine: str, how: str
) -> None:
    source, target = maker(engine)(), maker(engine)()
    assert not isinstance(source, Path) and not isinstance(target, Path)
    mid_copy.fill(source)
    migration = mid_copy.plan(sensei, source, target)
    running = sensei.spawn("migrations", "start", migration, "--json")
    asking = None
    with mid_copy.held_still(sensei, target):
        if how == "pause":
            asking = sensei.spawn("migrations", "pause", migration, "--reason", "lunch")
            time.sleep(2.5)  # a heartbeat hears it
        else:
            running.signal(signal.Signals[how])
    began = time.monotonic()
    ended = running.wait(expect=0)
    assert time.monotonic() - began < 8
    assert '"paused"' in ended.stdout
    if asking is not None:
        asking.wait(expect=0)
    assert mid_copy.status(sensei, migration)["status"] == "paused"
    wait_until(lambda: mid_copy.sessions(source) + mid_copy.sessions(target) == 0, 5, what="every session closed")
    assert 0 < mid_copy.chunks_done(target) < mid_copy.CHUNKS
    assert sensei.processes() == []
    sensei("migrations", "resume", migration)
    mid_copy.check_finished(sensei, migration, source, target)


def test_a_pause_that_a_dead_runner_never_heard_does_not_stop_the_next_one(
    sensei: Sensei, pg_db: servers.Database, tmp_path: Path
) -> None:
    source = tmp_path / "source.db"
    mid_copy.fill(source)
    migration = mid_copy.plan(sensei, source, pg_db)
    running = sensei.spawn("migrations", "start", migration)
    with mid_copy.held_still(sensei, pg_db):
        running.signal(signal.SIGSTOP)
        asking = sensei.spawn("migrations", "pause", migration)
        wait_until(lambda: "asked process" in asking.so_far().stderr, what="the pause is asked for")
        running.kill9()
        asking.wait(expect=0)  # nobody runs it: who asked pauses it himself
    assert mid_copy.status(sensei, migration)["status"] == "paused"
    sensei("migrations", "resume", migration)
    mid_copy.check_finished(sensei, migration, source, pg_db)
