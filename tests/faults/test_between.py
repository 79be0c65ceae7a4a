"""Servers that are not what they seem: a pooler that stands before one, a standby that follows another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mid_copy
import server_pgbouncer
import server_standby
import servers
from fix_postgres import MakeDatabase
from fix_sensei import Sensei, wait_until

ROWS = 600


@pytest.fixture
def sensei(warm_sensei: Sensei) -> Sensei:
    """Commands start in a moment."""
    return warm_sensei


@pytest.fixture
def pooler(
    pg_server: servers.PostgresServer,
) -> Iterator[Callable[[server_pgbouncer.Mode], server_pgbouncer.PgBouncer]]:
    """``pooler("session")``: PgBouncer in that mode before the shared server."""
    if server_pgbouncer.find_pgbouncer() is None:
        pytest.skip("PgBouncer is not installed; its package starts a service, so nobody installs it for this")
    made: list[server_pgbouncer.PgBouncer] = []

    def make(mode: server_pgbouncer.Mode) -> server_pgbouncer.PgBouncer:
        made.append(server_pgbouncer.PgBouncer(pg_server, mode))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_pooler_in_session_mode_may_stand_before_both_sides(
    sensei: Sensei,
    make_pg_db: MakeDatabase,
    pooler: Callable[[server_pgbouncer.Mode], server_pgbouncer.PgBouncer],
) -> None:
    source, target, between = make_pg_db(), make_pg_db(), pooler("session")
    mid_copy.fill(source, rows=ROWS)
    urls = {"source_url": between.before(source), "target_url": between.before(target)}
    migration = mid_copy.plan(sensei, source, target, rows=ROWS, **urls)
    sensei("migrations", "start", migration)
    mid_copy.check_finished(sensei, migration, source, target)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_shares_sessions_is_refused_before_anything_is_planned(
    sensei: Sensei,
    make_pg_db: MakeDatabase,
    pooler: Callable[[server_pgbouncer.Mode], server_pgbouncer.PgBouncer],
    mode: server_pgbouncer.Mode,
) -> None:
    source, target, between = make_pg_db(), make_pg_db(), pooler(mode)
    mid_copy.fill(source, rows=ROWS)
    for side, urls in (
        ("source", {"source_url": between.before(source)}),
        ("target", {"target_url": between.before(target)}),
    ):
        config = mid_copy.file(sensei, source, target, rows=ROWS, **urls)
        error = sensei("migrations", "create", "--config", config, json=True, expect=3).data["error"]
        assert error["code"] == "refused", error
        assert "pooler" in error["message"] and "session mode" in error["details"]["hint"], (side, error)
    assert sensei("migrations", "list", json=True).data["migrations"] == []


def test_a_hot_standby_is_a_source_and_no_target(
    sensei: Sensei, make_pg_db: MakeDatabase, pg_server2: servers.PostgresServer, tmp_path: Path
) -> None:
    primary, target = make_pg_db(server=pg_server2), tmp_path / "target.db"
    mid_copy.fill(primary, rows=ROWS)
    standby = server_standby.Standby(pg_server2)
    try:
        standby.start()
        wait_until(standby.caught_up, what="the standby has followed")
        source = standby.database(primary.name)
        migration = mid_copy.plan(sensei, source, target, rows=ROWS)
        sensei("migrations", "start", migration)
        mid_copy.check_finished(sensei, migration, source, target)

        # Written on the primary, a difference arrives on the standby and is seen there.
        primary.execute("UPDATE shop.items SET note = 'changed' WHERE id = 7")
        wait_until(standby.caught_up, what="the standby has followed")
        report = sensei("migrations", "verify-rollback", migration, json=True, expect=4).data
        assert report["rollback_verification"]["source_data_integrity"] == "damaged"

        file = mid_copy.file(sensei, target, source, rows=ROWS)
        error = sensei("migrations", "create", "--config", file, json=True, expect=3).data["error"]
        assert "standby" in error["message"] and "primary" in error["details"]["hint"]
    finally:
        standby.close()
