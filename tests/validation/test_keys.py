"""Keys that are not what they seem to be hide no row: text in a column of numbers, NULL in a key, and no key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import comparing
import ends
import fix_sensei
import moves
from sensei.validation import unit

SOURCE = """
CREATE TABLE numbers (a INTEGER NOT NULL, b INTEGER NOT NULL, v TEXT, PRIMARY KEY (a, b));
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
INSERT INTO numbers SELECT i / 9, i, 'row ' || i FROM n;
INSERT INTO numbers VALUES ('abc', 1, 'no number'), (7, 'x', 'no number');
CREATE TABLE empty_keys (k INTEGER, w INTEGER, v TEXT, PRIMARY KEY (k, w));
INSERT INTO empty_keys VALUES (1, 1, 'one'), (NULL, 1, 'no key'), (2, NULL, 'half a key');
CREATE TABLE emptied (id INTEGER PRIMARY KEY, v TEXT);
"""


@pytest.mark.parametrize("target", ["postgres", "sqlite"])
def test_rows_in_quarantine_are_no_differences_and_the_others_are_all_compared(
    sensei: fix_sensei.Sensei, tmp_path: Path, maker: ends.Maker, target: str
) -> None:
    source, there = tmp_path / "source.db", maker(target)()
    ends.run(source, SOURCE)
    move = moves.plan_move(sensei, source, there)
    move.start()
    held_back = {"numbers": 2, "empty_keys": 2, "emptied": 0} if target == "postgres" else dict.fromkeys(
        ("numbers", "empty_keys", "emptied"), 0
    )  # fmt: skip
    for rows in (7, 25_000):
        found = comparing.compare(move, block_rows=rows)
        assert {t: (d.missing, d.extra, d.different) for t, d in found.items()} == dict.fromkeys(held_back, (0, 0, 0))
        assert {t: d.quarantined for t, d in found.items()} == held_back
        assert {t: d.rows_compared for t, d in found.items()} == {"numbers": 502, "empty_keys": 3, "emptied": 0}
    ends.run(there, "UPDATE numbers SET v = 'changed' WHERE b = 77")
    ends.run(there, "INSERT INTO emptied (id, v) VALUES (5, 'of nobody')")
    for rows in (7, 25_000):
        found = comparing.compare(move, block_rows=rows)
        assert (found["numbers"].missing, found["numbers"].extra, found["numbers"].different) == (0, 0, 1)
        assert found["numbers"].quarantined == held_back["numbers"]
        assert found["emptied"].extra == 1


def test_of_a_block_that_differs_only_the_parts_that_do_are_read(
    sensei: fix_sensei.Sensei, tmp_path: Path, maker: ends.Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source.db", maker("postgres")()
    ends.run(
        source,
        "CREATE TABLE many (a INTEGER NOT NULL, b INTEGER NOT NULL, v TEXT, PRIMARY KEY (a, b));"
        " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        " INSERT INTO many SELECT i / 3, i, 'row ' || i FROM n",
    )
    move = moves.plan_move(sensei, source, target)
    move.start()
    # Rows changed, lost and added: at both ends, between two parts, and more behind the last than a part has.
    ends.run(
        target,
        "UPDATE many SET v = 'changed' WHERE b IN (1, 9000, 20000); DELETE FROM many WHERE b IN (2, 10000, 10001);"
        " INSERT INTO many SELECT 7000, i, 'added' FROM generate_series(30001, 30900) i;"
        " INSERT INTO many VALUES (-1, 0, 'before')",
    )
    read: list[bytes] = []
    lines = unit.Sides.lines

    def counted(*of: Any) -> Iterator[bytes]:
        for line in lines(*of):
            read.append(line)
            yield line

    monkeypatch.setattr(unit.Sides, "lines", counted)
    for rows in (20_001, 7_000, 999):
        read.clear()
        (found,) = comparing.compare(move, block_rows=rows).values()
        assert (found.missing, found.extra, found.different) == (3, 901, 3)
        assert (found.rows_source, found.rows_target, found.rows_compared) == (20_000, 20_898, 20_000)
        assert len(read) < 13_000, "of 40,898 rows"
