"""A source that is written while it is copied, and a world that changed between pause and resume."""

from __future__ import annotations

from pathlib import Path

import pytest

import ends
import mid_copy
import servers
from fix_sensei import Sensei
from mid_copy import Where

#: What others do to the source while it is copied; S is the schema's prefix.
WRITES = {
    "insert": "INSERT INTO S.items VALUES (1000000, 1, 'new')",
    "update": "UPDATE S.items SET shop = shop + 1 WHERE id = 5 AND shop < 9",
    "delete": "DELETE FROM S.items WHERE id = 7",
    "one_blank": "UPDATE S.items SET note = note || ' ' WHERE id = 11",
    "late_row": "UPDATE S.items SET note = 'changed before it was copied' WHERE id = 2900",
    "truncate": "TRUNCATE S.items",
}


#: For each source an engine to move into: one that can be held still by a lock, or by stopping its runner.
INTO = {"postgres": "sqlite", "sqlite": "postgres", "mysql": "postgres"}


@pytest.fixture
def sensei(warm_sensei: Sensei) -> Sensei:
    """Commands that are not killed start in a moment."""
    return warm_sensei


def _write(source: Where, sql: str) -> None:
    if isinstance(source, Path):
        ends.run(source, sql.replace("TRUNCATE", "DELETE FROM").replace("S.", ""))
    elif isinstance(source, servers.MysqlDatabase):
        source.execute(sql.replace("S.", "").replace("note || ' '", "concat(note, ' ')"))
    else:
        source.execute(sql.replace("S.", "shop."))


@pytest.mark.parametrize("engine", ends.ENGINES)
@pytest.mark.parametrize("write", WRITES)
def test_a_source_written_during_the_copy_fails_the_migration_and_names_the_table(
    sensei: Sensei, maker: ends.Maker, engine: str, write: str
) -> None:
    source, target = maker(engine)(), maker(INTO[engine])()
    mid_copy.fill(source)
    migration = mid_copy.plan(sensei, source, target, parallelism=1)
    running = sensei.spawn("migrations", "start", migration, "--json")
    with mid_copy.held_still(sensei, target):
        _write(source, WRITES[write])
    ended = running.wait(expect=4)
    assert "items" in ended.stdout and "source_written" in ended.stdout, ended
    if engine != "sqlite" or write != "late_row":  # of an SQLite file only its rows tell which table was written
        assert "shops" not in ended.stdout, ended
    assert mid_copy.status(sensei, migration)["status"] == "failed"


def _paused(sensei: Sensei, source: Where, target: Where) -> str:
    migration = mid_copy.plan(sensei, source, target)
    running = sensei.spawn("migrations", "start", migration)
    with mid_copy.held_still(sensei, target):
        running.signal(2)
    running.wait(expect=0)
    assert mid_copy.status(sensei, migration)["status"] == "paused"
    return migration


def _refused(sensei: Sensei, migration: str, *why: str) -> None:
    error = sensei("migrations", "resume", migration, json=True, expect=3).data["error"]
    assert error["code"] == "world_changed"
    for words in why:
        assert words in error["message"], error
    assert mid_copy.status(sensei, migration)["status"] == "paused"


@pytest.mark.parametrize("engine", ends.ENGINES)
def test_resume_refuses_a_changed_configuration_database_or_schema_and_says_which(
    sensei: Sensei, maker: ends.Maker, tmp_path: Path, engine: str
) -> None:
    source, target = maker(engine)(), maker(INTO[engine])()
    mid_copy.fill(source)
    migration = _paused(sensei, source, target)

    file = sensei.folder / "migration.yaml"
    text = file.read_text()
    file.write_text(text.replace('"parallelism": 2', '"parallelism": 1'))
    _refused(sensei, migration, "migration.yaml", "not the configuration")
    file.write_text(text)

    if isinstance(source, Path):  # another file of the same name
        kept = source.rename(tmp_path / "kept.db")
        mid_copy.fill(source)
        _refused(sensei, migration, "source", "another database")
        source.unlink()
        kept.rename(source)

    _write(source, "ALTER TABLE S.items ADD COLUMN extra integer")
    _refused(sensei, migration, "schema changed", "extra")
    # Changing it back would write the file again, or move the time at which MariaDB says that the table was made: that
    # the rows are the same is then not to be proven, and a written source is refused.
    if not isinstance(source, servers.Database):
        sensei("migrations", "rollback", migration, "--full")
        return
    _write(source, "ALTER TABLE S.items DROP COLUMN extra")
    sensei("migrations", "resume", migration)
    mid_copy.check_finished(sensei, migration, source, target)


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_resume_refuses_another_database_behind_the_connections_name(
    sensei: Sensei, maker: ends.Maker, tmp_path: Path, engine: str
) -> None:
    source, target, other = tmp_path / "source.db", maker(engine)(), maker(engine)()
    assert not isinstance(target, Path) and not isinstance(other, Path)
    mid_copy.fill(source)
    url = target.url.replace(f"/{target.name}", "/${SHOP_DB}")
    sensei.env["SHOP_DB"] = target.name
    migration = mid_copy.plan(sensei, source, target, target_url=url)
    running = sensei.spawn("migrations", "start", migration)
    with mid_copy.held_still(sensei, target):
        running.signal(2)
    running.wait(expect=0)
    sensei.env["SHOP_DB"] = other.name
    _refused(sensei, migration, "target", "another database")
    sensei("migrations", "rollback", migration, "--full", expect=3)
    made = "SELECT 1 FROM information_schema.tables WHERE table_schema IN ('shop', 'sensei_', %s)"
    assert other.query(made, [other.name]) == []
    sensei.env["SHOP_DB"] = target.name
    sensei("migrations", "rollback", migration, "--full", "--verify")
