"""A whole rehearsal as the specification prints it, for each pair of engines: staging is used, production is not."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

import ends
import fix_sensei
import moves
import reader
import small_shop

PAIRS = list(itertools.product(("postgres", "sqlite", "mysql"), repeat=2))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_rehearsal_runs_on_staging_alone_and_leaves_it_as_it_was(
    warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, source: str, target: str
) -> None:
    def pair(name: str) -> tuple[ends.End, ends.End]:
        folder = tmp_path / name
        folder.mkdir()
        return small_shop.source(source, maker(source), folder), small_shop.target(target, maker(target), folder)

    production, staging = pair("production"), pair("staging")
    before = [reader.snapshot(end) for end in (*production, *staging)]
    names = dict(zip(("prod-source", "prod-target", "st-source", "st-target"), (*production, *staging), strict=True))
    config = warm_sensei.write(
        "migration.yaml",
        {
            "name": "shop",
            "connections": {name: ends.url(end) for name, end in names.items()},
            "source": {"connection": "prod-source"},
            # Else a source in MariaDB gives its database's name to the schema of a target in PostgreSQL.
            "target": {"connection": "prod-target", **({"schema": "public"} if target == "postgres" else {})},
            "environments": {
                "staging": {"source": {"connection": "st-source"}, "target": {"connection": "st-target"}},
                "half": {"source": {"connection": "st-source"}},
            },
        },
    )
    create = ("migrations", "create", "--config", config, "--environment")
    refused = warm_sensei(*create, "half", json=True, expect=3).data["error"]
    assert "the target stays 'prod-target'" in refused["message"]

    migration = warm_sensei(*create, "staging", json=True).data["id"]
    assert re.fullmatch(r"mig_staging_[0-9a-f]+", migration)
    started = warm_sensei("migrations", "start", migration, json=True).data
    assert (started["status"], started["rows_copied"]) == ("completed", small_shop.ROWS)
    assert reader.compare_databases(*staging) == []
    for words in (("rollback", migration, "--full", "--verify"), ("verify-rollback", migration)):
        report = warm_sensei("migrations", *words, json=True).data
        assert (report["passed"], report["rollback_verification"]) == (True, moves.LINES)
        assert {e["place"] for e in report["evidence"]} == {f"sensei_evidence_{migration}"}
    after = [reader.snapshot(end) for end in (*production, *staging)]
    # SQLite makes this table of its own with the first AUTOINCREMENT, and nobody can drop it. On a MariaDB server each
    # of these databases lies beside the others.
    changed = [d for a, b in zip(before, after, strict=True) for d in reader.diff_snapshots(a, b)]
    assert [d for d in changed if "sqlite_sequence" not in d and not d.startswith("beside ")] == []
