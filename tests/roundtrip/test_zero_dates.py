"""`zero_dates`: MySQL's zero and partial dates become NULL or text, are counted, validated, and go home as was said."""

from __future__ import annotations

import pytest

import ends
import fix_sensei
import moves

MADE = """
SET sql_mode = '';
CREATE TABLE visits (id int PRIMARY KEY, day date NOT NULL DEFAULT '0000-00-00', at datetime(3) NULL,
  seen timestamp NULL DEFAULT current_timestamp, clean date NOT NULL DEFAULT '2026-01-01') ENGINE=InnoDB;
INSERT INTO visits VALUES (1, '2026-05-04', '2026-05-04 10:11:12.5', '2026-05-04 10:11:12', '2026-05-04'),
  (2, '0000-00-00', '0000-00-00', '0000-00-00', '2026-05-05'),
  (3, '2026-00-00', NULL, NULL, '2026-05-06'),
  (4, '2026-05-00', '2026-05-00 01:02:03', '2026-05-07 00:00:00', '2026-05-07');
SET STATEMENT sql_mode = 'ALLOW_INVALID_DATES' FOR
  INSERT INTO visits VALUES (5, '2026-02-31', NULL, NULL, '2026-05-08');
CREATE TABLE days (day date PRIMARY KEY, note text) ENGINE=InnoDB;
INSERT INTO days VALUES ('0000-00-00', 'zero'), ('2026-05-04', 'day');
"""
LOSSY = ["visits.day", "visits.at", "visits.seen"]
#: What a zero timestamp is to each reader.
SEEN = {
    "null": [("2026-05-04", "2026-05-04 10:11:12.5"), (None, None), (None, None), (None, None), (None, None)],
    "text": [
        ("2026-05-04", "2026-05-04 10:11:12.500"), ("0000-00-00", "0000-00-00 00:00:00.000"),
        ("2026-00-00", None), ("2026-05-00", "2026-05-00 01:02:03.000"),
        ("2026-02-31", None),
    ],
}  # fmt: skip


def _plan(sensei: fix_sensei.Sensei, source: moves.End, target: moves.End, policy: str, **how: object) -> moves.Move:
    there = {"schema": "public"} if ends.engine(target) == "postgres" else {}
    options = {"zero_dates": policy, "accept_lossy": LOSSY if policy == "null" else []}
    return moves.plan_move(sensei, source, target, options=options, **there, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("to", ["postgres", "sqlite"])
@pytest.mark.parametrize("policy", ["null", "text"])
def test_zero_dates_arrive_as_the_policy_says_and_are_counted(
    sensei: fix_sensei.Sensei, maker: ends.Maker, policy: str, to: str
) -> None:
    source, target = maker("mysql")(), maker(to)()
    ends.run(source, MADE)
    move = _plan(sensei, source, target, policy)
    said = {(r["table"].rpartition(".")[2], r["column"]): r["reason"] for r in move.plan["risks"] if r["column"]}
    assert said["visits", "day"].startswith("4 zero, partial or impossible dates")
    assert said["visits", "at"].startswith("2 zero, partial or impossible dates")
    assert said["visits", "seen"].startswith("1 zero, partial or impossible dates")
    assert "1 of 2 rows hold zero and partial dates" in said["days", "day"]  # rows are found by it: not touched
    assert "zero, partial" not in said.get(("visits", "clean"), "")
    columns = {c["column"]: c for c in move.plan["columns"] if c["table"].endswith("visits")}
    assert columns["day"]["back"] == columns["at"]["back"] == "lossy"
    move.start()
    assert len(move.quarantine()) == 1  # the key
    shown = "CAST({} AS TEXT)" if to == "postgres" else "{}"
    rows = ends.ask(target, f"SELECT {shown.format('day')}, {shown.format('at')} FROM visits ORDER BY id")
    assert rows == SEEN[policy]
    run = sensei("validations", "run", move.id, json=True).data
    assert run["status"] == "validated", run
    counted = {("day", 4), ("at", 2), ("seen", 1)}
    assert {(c["column"], c["values"]) for c in move.status()["coerced"]} == counted
    certified = sensei("validations", "certificate", move.id, "--output", sensei.folder / "certificate.json").stdout
    assert f"4 of 5 values of {move.plan['columns'][0]['table'].rpartition('.')[0]}.visits.day, by" in certified, (
        certified
    )
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


def test_null_for_zero_dates_has_to_be_agreed_to(sensei: fix_sensei.Sensei, maker: ends.Maker) -> None:
    source, target = maker("mysql")(), maker("postgres")()
    ends.run(source, MADE)
    move = moves.plan_move(sensei, source, target, schema="public", options={"zero_dates": "null"})
    refused = move.start(json=True, expect=3).data["error"]
    assert "visits.day" in refused["message"]
    assert "accept_lossy" in refused["message"]


def test_rows_that_are_left_out_are_not_counted_and_clean_columns_stay_what_they_are(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    source, target = maker("mysql")(), maker("postgres")()
    ends.run(source, MADE)
    move = _plan(sensei, source, target, "null", tables={"visits": {"where": "id IN (1, 3)"}})
    said = [r["reason"] for r in move.plan["risks"] if "zero, partial" in r["reason"]]
    assert [s.split(" zero")[0] for s in said] == ["1"]
    move.start()
    assert ends.ask(target, "SELECT id, day::text, clean::text FROM visits ORDER BY id") == [
        (1, "2026-05-04", "2026-05-04"), (3, None, "2026-05-06")
    ]  # fmt: skip
