"""The steps that touch the target's own tables: done, taken back, done again, taken back again."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import test_steps as harness

import ends
import existing_shop
import fix_mysql
import reader
import servers
import small_shop
from sensei import config
from sensei.engines import base
from sensei.plan import steps_append, steps_existing
from sensei.runner import create
from sensei.transfer import copier

#: By target engine and on_existing: what a step's effect is seen by.
EFFECTS = {
    ("postgres", "replace"): {
        "set_aside_existing": "table public.orders: gone",
        "create_table": "table public.orders: new",
        "rebind": "view public.names: definition",
        "index": "index public.orders_customer: new",
        "prime": "sequence public.customers_id_seq: last_value",
    },
    ("sqlite", "replace"): {
        "set_aside_existing": "table orders: gone",
        "create_table": "table orders: new",
        "index": "index orders_customer: new",
        "analyze": "rows sqlite_stat1: digest",
    },
    ("mysql", "replace"): {
        "set_aside_existing": "trigger loud: gone",
        "create_table": "table orders: new",
        "rebind": "constraint notes.notes_customer FOREIGN KEY: columns",
        "index": "index orders.orders_customer: new",
    },
    ("postgres", "append"): {"merge": "rows public.orders: digest"},
    ("mysql", "append"): {"merge": "rows orders: digest"},
    ("sqlite", "append"): {"merge": "rows orders: digest", "analyze": "rows sqlite_stat1: digest"},
}
#: Kinds whose effect no snapshot shows, as they make what is Sensei's own or only look.
SILENT = {
    ("postgres", "replace"): ["keep_place", "hold_dependents", "prove"],
    ("sqlite", "replace"): ["hold_dependents", "rebind", "prove"],
    ("mysql", "replace"): ["keep_place", "hold_dependents", "prime", "prove"],
    ("postgres", "append"): ["keep_place", "create_stage", "copy", "drop_stage", "prove"],
    ("mysql", "append"): ["keep_place", "create_stage", "copy", "drop_stage", "prove"],
    ("sqlite", "append"): ["create_stage", "copy", "drop_stage", "prove"],
}
CASES = [(*which, kind) for which in EFFECTS for kind in (*EFFECTS[which], *SILENT[which])]


@pytest.fixture(scope="module")
def make_ends(
    pg_server: servers.PostgresServer, mysql_server: servers.MysqlServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    made: dict[tuple[str, str], harness.Ends] = {}
    databases: list[servers.Database] = []
    others: list[servers.MysqlDatabase] = []

    def database() -> servers.Database:
        databases.append(pg_server.create_db())
        return databases[-1]

    def other() -> servers.MysqlDatabase:
        others.append(mysql_server.create_db())
        return others[-1]

    def make(engine: str, how: str) -> harness.Ends:
        if (engine, how) not in made:
            folder = tmp_path_factory.mktemp("ends")
            a = small_shop.source("sqlite" if engine == "postgres" else "postgres", database, folder)  # type: ignore[arg-type]
            b = existing_shop.target(engine, other if engine == "mysql" else database, folder, ends.engine(a), how)
            path = folder / "steps.yaml"
            told = {
                "name": "steps",
                "connections": {"from": ends.url(a), "to": ends.url(b)},
                "source": {"connection": "from"},
                "target": {"connection": "to"},
                "options": {"on_existing": how},
            }
            path.write_text(json.dumps(told))
            asked = config.load(path, None).config
            source, target = harness._side(base.Purpose.SOURCE, a), harness._side(base.Purpose.TARGET, b)
            desk = cast(Any, SimpleNamespace(screen=SimpleNamespace(say=lambda text: None)))
            plan = create.look(desk, asked, source, target)
            made[(engine, how)] = harness.Ends(plan, asked, source, target, source.open(), target.open(), b)
        return made[(engine, how)]

    yield make
    copier._SESSIONS.drop_all()
    for pair in made.values():
        pair.reading.close()
        pair.writing.close()
    for one in databases:
        pg_server.drop_db(one.name)
    fix_mysql.tidy(others)


def test_the_cases_name_every_kind_of_step_that_makes_way() -> None:
    assert {kind for _, _, kind in CASES} >= steps_existing.KINDS | steps_append.KINDS


@pytest.mark.parametrize(("engine", "how", "kind"), CASES)
def test_a_step_is_done_taken_back_done_again_and_taken_back_again(
    make_ends: Any, engine: str, how: str, kind: str
) -> None:
    pair: harness.Ends = make_ends(engine, how)
    plan = harness._up_to(pair.plan, kind)
    before, effects = pair.seen(), []
    first = min(n for n, s in enumerate(plan.steps) if s.kind == kind)
    for migration in (f"mig_{secrets.token_hex(4)}" for _ in range(2)):
        ctx = pair.context(migration, plan)
        for step in plan.steps[:first]:
            harness._do(ctx, step)
        halfway = pair.seen()
        for step in plan.steps[first:]:
            harness._do(ctx, step)
        effects.append(pair.seen())
        changed = reader.diff_snapshots(halfway, effects[-1])
        if kind in EFFECTS[(engine, how)]:
            assert any(EFFECTS[(engine, how)][kind] in line for line in changed), changed
        for step in plan.steps:
            harness._do(ctx, step)
        assert reader.diff_snapshots(effects[-1], pair.seen()) == []

        harness._back(pair, plan, migration, "keep")
        assert reader.diff_snapshots(before, pair.seen()) == []
        assert harness._back(pair, plan, migration, "keep").done == []
        assert reader.diff_snapshots(before, pair.seen()) == []
    # What is bound to a table that lies in a place of the migration shows that place's name, as do its statistics.
    assert [d for d in reader.diff_snapshots(*effects) if "sensei_kept_" not in d and "sqlite_stat" not in d] == []
