"""What only MariaDB asks of `on_existing`: its triggers, databases, sequences, rights, and a script cut in on."""

from __future__ import annotations

from pathlib import Path

import pytest

import ends
import existing_shop
import fix_sensei
import moves
import reader
import servers
import small_shop
from sensei import catalog, engines
from sensei.config import connections
from sensei.engines import base

REPLACE = {"on_existing": "replace", "chunk_rows": 2}
ENGINE = engines.by_name("mysql")


def test_names_of_any_kind_make_way_and_come_back(
    warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path
) -> None:
    table, key, trigger = "Or`d'; DROP TABLE x; -- \\ é", "k'`% ?", "t`r'g\\"
    source, target = maker("mysql")(), maker("mysql")()
    quoted = {n: servers.quote_mysql(n) for n in (table, key, trigger)}
    shape = f"CREATE TABLE {quoted[table]} (id int PRIMARY KEY, {quoted[key]} int); "
    small_shop.run(source, shape + f"INSERT INTO {quoted[table]} VALUES (1, 10), (2, 20)")
    small_shop.run(
        target,
        shape
        + f"INSERT INTO {quoted[table]} VALUES (1, 1);"
        + f"CREATE TABLE x (p int, CONSTRAINT {quoted[key]} FOREIGN KEY (p) REFERENCES {quoted[table]} (id));"
        + "INSERT INTO x VALUES (1);"
        + f"CREATE VIEW v AS SELECT {quoted[key]} AS n FROM {quoted[table]} `t``able` WHERE 'a.b' <> {quoted[key]};"
        + f"CREATE TRIGGER {quoted[trigger]} BEFORE UPDATE ON {quoted[table]} FOR EACH ROW SET NEW.{quoted[key]} = 1",
    )
    before = existing_shop.seen(target)
    move = moves.plan_move(warm_sensei, source, target, options=REPLACE)
    move.start()
    assert small_shop.ask(target, "SELECT n FROM v ORDER BY 1") == [(10,), (20,)]
    with pytest.raises(Exception, match="foreign key"):
        small_shop.run(target, "INSERT INTO x VALUES (3)")
    ends.client(target, move.script().read_text())
    assert reader.diff_snapshots(before, existing_shop.seen(target)) == []
    assert move.verify()["rollback_verification"] == moves.LINES


def test_an_account_that_lacks_a_right_is_told_which_and_with_it_brings_everything_back(
    warm_sensei: fix_sensei.Sensei, maker: ends.Maker, mysql_server: servers.MysqlServer, tmp_path: Path
) -> None:
    source = small_shop.source("postgres", maker("postgres"), tmp_path)
    target = existing_shop.target("mysql", maker("mysql"), tmp_path, "postgres")
    assert isinstance(target, servers.MysqlDatabase)
    before = existing_shop.seen(target)
    base = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES"
    user = mysql_server.create_user(f"{base} ON `{target.name}`.*", f"{base} ON `sensei\\_evidence\\_%`.*")
    config = {
        "name": "limited",
        "connections": {"from": moves.url(source), "to": mysql_server.url(target.name, user)},
        "source": {"connection": "from"},
        "target": {"connection": "to"},
        "options": REPLACE,
    }
    path = warm_sensei.write("limited.yaml", config)
    try:
        named = []
        for _ in range(4):
            made = warm_sensei("migrations", "create", "--config", path, json=True, expect=None)
            missing = made.data.get("error", {}).get("details", {}).get("missing")
            if not missing:
                break
            named += [one["what"] for one in missing]
            mysql_server.run(*(one["grant"] for one in missing))
        told = " ".join(named)
        assert named, made
        assert "TRIGGER" in told and "SHOW VIEW" in told and "sensei_kept_" in told
        # Triggers of others, under a binary log: they could not be made again.
        refusal = made.data["error"]["message"]
        assert "the account needs SUPER" in refusal and "needs SET USER" in refusal
        mysql_server.run(f"GRANT SUPER, SET USER ON *.* TO '{user}'@'%'")
        move = moves.Move(
            warm_sensei,
            warm_sensei("migrations", "create", "--config", path, json=True).data["id"],
            source,
            target,
        )
        move.start()
        assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
        after = existing_shop.seen(target)
        assert [d for d in reader.diff_snapshots(before, after) if "grant on" not in d] == []
    finally:
        mysql_server.drop_user(user)


def test_keys_views_and_grants_are_the_new_tables_meanwhile_and_then_the_old_ones_again(
    warm_sensei: fix_sensei.Sensei, maker: ends.Maker, mysql_server: servers.MysqlServer, tmp_path: Path
) -> None:
    source = small_shop.source("postgres", maker("postgres"), tmp_path)
    target = existing_shop.target("mysql", maker("mysql"), tmp_path, "postgres")
    assert isinstance(target, servers.MysqlDatabase)
    user = mysql_server.create_user(f"SELECT (name) ON `{target.name}`.customers")

    def read(place: str) -> list[str]:
        connection = mysql_server.connect(None, user=user)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT name FROM {place}.customers ORDER BY name")
                return [name for (name,) in cursor.fetchall()]
        finally:
            connection.close()

    try:
        move = moves.plan_move(warm_sensei, source, target, options=REPLACE)
        told = [r["reason"] for r in move.plan["risks"] if "trigger noted" in r["reason"]]
        assert told and all("act on the new table" in t for t in told)  # its column v is not there meanwhile
        old, new = ["old ann", "old bob"], ["ann", "bob ", "çem"]
        assert read(target.name) == old
        started = move.start()
        assert "1 rows have no partner in the new table" in started.stderr  # the note of the old ann
        assert read(target.name) == new
        with pytest.raises(Exception, match="denied"):
            read(f"sensei_kept_{move.id}")
        assert small_shop.ask(target, "SELECT name FROM names ORDER BY name") == [(n,) for n in new]
        point = "UPDATE notes SET customer = {} WHERE id = 2"
        small_shop.run(target, point.format("2") + ";" + point.format("NULL"))
        with pytest.raises(Exception, match="foreign key"):
            small_shop.run(target, point.format("101"))
        move.rollback("--verify")
        assert read(target.name) == old
        assert small_shop.ask(target, "SELECT name FROM names ORDER BY name") == [(n,) for n in old]
        small_shop.run(target, point.format("101"))
        with pytest.raises(Exception, match="foreign key"):
            small_shop.run(target, point.format("2"))
    finally:
        mysql_server.drop_user(user)


def test_tables_of_another_database_than_the_urls_make_way_with_their_triggers(
    warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path
) -> None:
    source = small_shop.source("postgres", maker("postgres"), tmp_path)
    target = existing_shop.target("mysql", maker("mysql"), tmp_path, "postgres")
    home = maker("mysql")()
    assert isinstance(target, servers.MysqlDatabase)
    before, beside = existing_shop.seen(target), existing_shop.seen(home)
    move = moves.plan_move(warm_sensei, source, home, schema=target.name, options=REPLACE)
    move.start()
    assert reader.compare_databases(source, target) == []
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, existing_shop.seen(target)) == []
    assert reader.diff_snapshots(beside, existing_shop.seen(home)) == []


def test_sequences_make_way_too_and_stand_where_they_stood(warm_sensei: fix_sensei.Sensei, maker: ends.Maker) -> None:
    source, target = maker("mysql")(), maker("mysql")()
    shape = "CREATE SEQUENCE counter NOCACHE; CREATE TABLE t (id bigint DEFAULT (NEXTVAL(counter)) PRIMARY KEY, v int);"
    small_shop.run(source, shape + "INSERT INTO t (v) VALUES (1), (2)")
    small_shop.run(target, shape + "INSERT INTO t (v) VALUES (1), (2), (3), (4)")
    before = existing_shop.seen(target)
    move = moves.plan_move(warm_sensei, source, target, options=REPLACE)
    assert [s["object"].partition(" ")[0] for s in move.plan["steps"] if s["kind"] == "set_aside_existing"] == [
        "sequence",
        "table",
    ]
    move.start()
    assert small_shop.ask(target, "SELECT COUNT(*) FROM t") == [(2,)]
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, existing_shop.seen(target)) == []
    small_shop.run(target, "INSERT INTO t (v) VALUES (5)")
    assert small_shop.ask(target, "SELECT id FROM t WHERE v = 5") == [(5,)]


@pytest.mark.parametrize(
    ("how", "point"),
    [
        ("append", "step:create_stage:statement:2"),
        ("append", "step:keep_place:statement:2"),
        ("replace", "step:set_aside_existing:statement:2"),
        ("replace", "step:set_aside_existing:statement:3"),
        ("replace", "step:create_table:statement"),
        ("replace", "step:rebind:statement"),
    ],
)
def test_the_script_alone_takes_back_what_was_cut_off_between_two_statements(
    warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, how: str, point: str
) -> None:
    source = small_shop.source("postgres", maker("postgres"), tmp_path)
    target = existing_shop.target("mysql", maker("mysql"), tmp_path, "postgres", how)
    assert isinstance(target, servers.MysqlDatabase)
    before = existing_shop.seen(target)
    move = moves.plan_move(warm_sensei, source, target, options={"on_existing": how})
    move.start(crash_at=point, expect=fix_sensei.KILLED)
    script = move.script().read_text()
    for _ in range(2):
        ends.client(target, script)
        assert reader.diff_snapshots(before, existing_shop.seen(target)) == []
    for word in ("kept", "stage", "added"):
        assert target.server.databases(f"sensei_{word}_{move.id}") == []
    assert move.verify()["rollback_verification"] == moves.LINES


def test_servers_that_it_was_not_tried_on_are_refused(maker: ends.Maker) -> None:
    db = maker("mysql")()
    assert isinstance(db, servers.MysqlDatabase)
    small_shop.run(db, "CREATE TABLE t (id int PRIMARY KEY)")
    session = ENGINE.connect(
        connections.expand(db.url, {servers.PASSWORD_ENV: servers.password()}), base.Purpose.TARGET
    )
    table = catalog.TableName(db.name, "t")
    assert ENGINE.keep is not None and ENGINE.merge is not None
    try:
        assert ENGINE.keep.look(session, [table], []).hinders == ()
        assert ENGINE.merge.look(session, [table])[table].hinders == ()
        for flavour, version in (("mysql", (8, 4, 2)), ("mariadb", (10, 5, 20)), ("mariadb", (10, 6, 1))):
            session.flavour, session.version = flavour, version  # type: ignore[attr-defined]
            said = [
                *ENGINE.keep.look(session, [table], []).hinders,
                *ENGINE.merge.look(session, [table])[table].hinders,
            ]
            assert len(said) == 2 and all(f"the server is {flavour}" in s for s in said)
    finally:
        session.close()
