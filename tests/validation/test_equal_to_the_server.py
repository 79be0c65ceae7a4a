"""Values that PostgreSQL itself takes for equal are told apart where their texts are not the same."""

from __future__ import annotations

import comparing
import ends
import fix_sensei
import moves

#: Type -> a value, and another one that = of the server takes for the same.
TWINS = {
    "numeric": ("1.0", "1.00"),
    "double precision": ("0", "'-0'"),
    "real": ("'-0'", "0"),
    "jsonb": ("'{\"a\": 1.0}'", '\'{"a": "1.0"}\''),  # of which 1.00 is another spelling, as the order of keys is
    "interval": ("'1 day'", "'24 hours'"),
    "bpchar": ("'a '", "'a'"),
    "text": ("'a '", "'a'"),
    "varchar(9)": ("'A'", "'a'"),
    "char(3)": ("'a'", "'b'"),
    "numeric(12,2)": ("1.00", "1.01"),
    "numeric[]": ("'{1.0}'", "'{1.00}'"),
    "tstzrange": ("'[2026-01-01 00:00+00,2026-01-02 00:00+00)'", "'[2026-01-01 00:00+00,2026-01-02 00:00+00]'"),
    "mood": ("'sad'", "'glad'"),
    "bytea": ("'\\x00'", "'\\x0000'"),
    "boolean": ("NULL", "false"),
    "uuid": ("NULL", "'00000000-0000-0000-0000-000000000000'"),
    'text COLLATE "folded"': ("'A'", "'a'"),
}
FEW = 40


def test_what_the_server_takes_for_equal_is_found_all_the_same(sensei: fix_sensei.Sensei, maker: ends.Maker) -> None:
    here, there = maker("postgres")(), maker("postgres")()
    types = "CREATE TYPE mood AS ENUM ('sad', 'glad');"
    types += "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    for end in (here, there):
        ends.run(end, types)
    columns = ", ".join(f"c{n} {t}" for n, t in enumerate(TWINS))
    ends.run(here, f"CREATE TABLE twins (id int PRIMARY KEY, {columns})")
    values = ", ".join(one for one, _ in TWINS.values())
    ends.run(here, f"INSERT INTO twins SELECT i, {values} FROM generate_series(1, {FEW}) i")
    move = moves.plan_move(sensei, here, there)
    move.start()
    (clean,) = comparing.compare(move).values()
    assert clean.same and clean.rows_compared == FEW
    for n, (_, other) in enumerate(TWINS.values()):
        ends.run(there, f"UPDATE twins SET c{n} = {other} WHERE id = {n + 1}")
    (found,) = comparing.compare(move).values()
    told = {s.column for s in found.samples}
    assert [t for n, t in enumerate(TWINS) if f"c{n}" not in told] == []
    assert found.different == len(TWINS)
    assert {(s.key["id"], s.column) for s in found.samples} == {(str(n + 1), f"c{n}") for n in range(len(TWINS))}
