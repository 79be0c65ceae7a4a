"""The rollback script, run by psql, mariadb or sqlite3 alone, takes a migration back as the command does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import ends
import fix_sensei
import moves
import reader
import reader_snapshot
import servers
import small_shop

ENGINES = ["postgres", "sqlite", "mysql"]
#: The source from which each target is filled, unless a test says otherwise.
FROM = {"postgres": "sqlite", "sqlite": "mysql", "mysql": "postgres"}
#: How a script, in each client's words, says that it is not meant for this database.
_WRONG = r"not the database|does not hold|wrong database"


@dataclass
class Case:
    move: moves.Move
    source_before: reader_snapshot.Snapshot
    target_before: reader_snapshot.Snapshot

    @property
    def target(self) -> moves.End:
        return self.move.target

    def both_ends_are_as_before(self) -> None:
        assert reader.diff_snapshots(self.source_before, reader.snapshot(self.move.source)) == []
        after = reader.snapshot(self.target)
        assert reader.diff_snapshots(self.target_before, _lasting(after)) == []


def _lasting(found: reader_snapshot.Snapshot) -> reader_snapshot.Snapshot:
    # SQLite makes this table of its own with the first AUTOINCREMENT, and nobody can drop it.
    return {name: entry for name, entry in found.items() if name != "table sqlite_sequence"}


@pytest.fixture
def sensei(warm_sensei: fix_sensei.Sensei) -> fix_sensei.Sensei:
    """Commands start in a moment."""
    return warm_sensei


MakeCase = Callable[..., Case]


@pytest.fixture
def make_case(sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path) -> MakeCase:
    def make(engine: str, evidence: str = "keep", *, own: bool = True, source: str = "") -> Case:
        source = source or FROM[engine]
        a = small_shop.source(source, maker(source), tmp_path)
        b = small_shop.target(engine, maker(engine), tmp_path, own=own)
        before = reader.snapshot(a), _lasting(reader.snapshot(b))
        return Case(moves.plan_move(sensei, a, b, options={"evidence": evidence, "chunk_rows": 2}), *before)

    return make


@pytest.mark.parametrize(
    ("engine", "evidence", "own"),
    [*((e, "keep", True) for e in ENGINES), *((e, "drop", False) for e in ENGINES), ("postgres", "drop", True)],
)
def test_the_script_alone_takes_a_whole_migration_back(
    make_case: MakeCase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    evidence: str,
    own: bool,
) -> None:
    case = make_case(engine, evidence, own=own)
    case.move.start()
    assert reader.compare_databases(case.move.source, case.target) == []
    path = case.move.script()
    # It names objects of production: nobody else reads it.
    assert {p.stat().st_mode & 0o777 for p in (path, *case.move.sensei.home.rglob("rollback.sql"))} == {0o600}
    script = path.read_text()
    # The client needs a folder to work in and leaves nothing there.
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    ends.client(case.target, script)
    assert list(Path.cwd().iterdir()) == []
    case.both_ends_are_as_before()
    # Real drops only where the target was empty.
    assert ends.evidence(case.target) == ([] if (evidence, own) == ("drop", False) else ["customers", "orders", "tags"])
    found = case.move.verify()
    assert (found["rollback_verification"], found["differences"]) == (moves.LINES, [])

    everything = reader.snapshot(case.target, ignore_prefixes=())
    ends.client(case.target, script)
    again = reader.snapshot(case.target, ignore_prefixes=())
    assert reader.diff_snapshots(everything, again) == []
    # What stands commented out at its end drops the evidence and nothing else.
    lines = script.splitlines()
    last = max(n for n, line in enumerate(lines) if line and not line.startswith("--"))
    drops = [line.removeprefix("-- ") for line in lines[last + 1 :] if line]
    assert bool(drops) is bool(ends.evidence(case.target))
    ends.client(case.target, "\n".join([*lines[: last + 1], *drops]))
    assert ends.evidence(case.target) == []
    # The command finds nothing left to do, and says so.
    done = case.move.rollback("--verify").data
    assert (done["status"], done["passed"]) == ("rolled_back", True)
    case.both_ends_are_as_before()


@pytest.mark.parametrize(
    ("source", "engine", "point"),
    [
        ("postgres", "sqlite", "ledger:set_up:after"),
        ("sqlite", "postgres", "ledger:plan_chunks:after:2"),
        ("sqlite", "sqlite", "chunk:commit:after"),
        ("postgres", "postgres", "chunk:commit:after"),
        ("sqlite", "mysql", "ledger:plan_chunks:after:2"),
        ("mysql", "mysql", "chunk:commit:after"),
    ],
)
def test_the_script_takes_back_what_a_killed_run_left(
    make_case: MakeCase, source: str, engine: str, point: str
) -> None:
    case = make_case(engine, source=source)
    assert case.move.start(crash_at=point, expect=None).returncode != 0
    # The workers die with the runner, but a little later.
    case.move.sensei.kill9_all()
    ends.client(case.target, case.move.script().read_text())
    case.both_ends_are_as_before()
    assert case.move.rollback("--verify").data["rollback_verification"] == moves.LINES


@pytest.mark.parametrize("evidence", ["keep", "drop"])
@pytest.mark.parametrize("point", ["step:create_table:acted:2", "step:foreign_key:acted"])
def test_the_script_takes_back_what_was_made_before_it_could_be_noted(
    make_case: MakeCase, point: str, evidence: str
) -> None:
    """DDL that commits by itself: the table is there, or altered, and the ledger knows only that it was to be."""
    case = make_case("mysql", evidence, source="sqlite", own=evidence == "keep")
    case.move.start(crash_at=point)
    case.move.sensei.kill9_all()
    ends.client(case.target, case.move.script().read_text())
    case.both_ends_are_as_before()
    assert case.move.rollback("--verify").data["rollback_verification"] == moves.LINES


@pytest.mark.parametrize("engine", ENGINES)
def test_before_the_start_the_script_refuses_and_changes_nothing(make_case: MakeCase, engine: str) -> None:
    case = make_case(engine)
    script = case.move.script().read_text()
    with pytest.raises(servers.ServerError, match=_WRONG):
        ends.client(case.target, script)
    assert reader.diff_snapshots(case.target_before, _lasting(reader.snapshot(case.target, ignore_prefixes=()))) == []
    assert case.move.sensei("migrations", "verify-rollback", case.move.id, expect=3).returncode == 3


@pytest.mark.parametrize("engine", ENGINES)
def test_on_a_wrong_database_the_script_refuses_and_changes_nothing(
    make_case: MakeCase,
    maker: ends.Maker,
    tmp_path: Path,
    engine: str,
) -> None:
    case = make_case(engine)
    case.move.start()
    script = case.move.script().read_text()
    (tmp_path / "other").mkdir()
    for kind in ("empty", "like the target", "another migration's target"):
        other = small_shop.target(engine, maker(engine), tmp_path / "other", own=kind != "empty")
        if kind == "another migration's target":
            second = moves.plan_move(case.move.sensei, case.move.source, other, name="second")
            second.start()
        before = reader.snapshot(other, ignore_prefixes=())
        with pytest.raises(servers.ServerError, match=_WRONG):
            ends.client(other, script)
        assert reader.diff_snapshots(before, reader.snapshot(other, ignore_prefixes=())) == [], kind
        if isinstance(other, Path):
            other.unlink()
    assert reader.compare_databases(case.move.source, case.target) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_lost_home_is_not_a_lost_way_back(make_case: MakeCase, engine: str) -> None:
    case = make_case(engine)
    case.move.start()
    kept = [p.read_text() for p in case.move.sensei.home.rglob("rollback.sql")]
    (body,) = ends.ask(case.target, f"SELECT body FROM {ends.ledger_table(case.target, 'scripts')}")[0]
    assert kept == [body]
    assert _statements(body) == _statements(case.move.script().read_text())
    shutil.rmtree(case.move.sensei.home)
    ends.client(case.target, body)
    case.both_ends_are_as_before()


def _statements(script: str) -> list[str]:
    return [line for line in script.splitlines() if not line.startswith("-- Made for:")]
