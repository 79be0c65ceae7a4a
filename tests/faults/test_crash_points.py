"""Killed at every named point, forward and on the way back, a migration goes on to the same end."""

from __future__ import annotations

import os

import pytest

import crash_cases
import ends
from fix_sensei import KILLED

#: Points that get a case of their own; with SENSEI_TEST_THOROUGH every point does, which takes minutes.
_ALONE = (
    "chunk:", "ledger:", "step:create_table", "step:foreign_key", "step:turn_out",
    "journal:transition", "journal:step_done:copy",
)  # fmt: skip
#: Of these, the last passing gets one too.
_LAST = ("chunk:", "journal:transition")
#: Passed by the clock as well, so not every run passes them as often.
_TIMED = ("journal:progress", "script:")
#: After a death before it, the next run passes it only further on: out of turn.
_OUT_OF_TURN = ("chunk:", "ledger:plan_chunks", "journal:step_begun:copy", "journal:step_done:copy", *_TIMED)


def _learn(bench: crash_cases.Bench) -> tuple[list[str], list[str]]:
    """Run there and back undisturbed; returns the points passed each way."""
    forward = bench.passed("migrations", "start", bench.migration)
    bench.carried = bench.differences()
    # The run must have carried everything but the one row that can't be.
    assert len(bench.carried) == 2 and "only in the source" in bench.carried[1], bench.carried
    bench.check_completed()
    back = bench.passed("migrations", "rollback", bench.migration, "--full", "--verify")
    bench.check_rolled_back()
    assert len(set(forward)) > len(set(back)) > 10
    return forward, back


def test_killed_at_any_one_point_a_migration_goes_on_to_the_same_end_and_back(
    bench: crash_cases.Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each point has a case of its own: killed there, resumed, compared, rolled back with proof, compared.

    The points of a rollback are taken in turn by the rollbacks that end the cases: killed there, repeated.
    """
    forward, back = _learn(bench)
    thorough = os.environ.get("SENSEI_TEST_THOROUGH")
    cases = [
        p
        for p in crash_cases.ends(forward)
        if thorough or (p.startswith(_ALONE) and (p.endswith(":1") or p.startswith(_LAST)))
    ]
    backward = crash_cases.ends(back)
    assert len(cases) >= len(backward)
    survived = 0
    for number, point in enumerate(cases):
        bench.reset()
        code = bench.go_on(point, expect=None)
        # A worker that is killed each time takes the run down in good order (5), one killed late may not (0);
        # the runner itself dies.
        worker = point.startswith("chunk:")
        assert code == KILLED or (worker and code in (0, 5)) or point.startswith(_TIMED), bench.shown
        if bench.state != "completed":
            bench.go_on()
        bench.check_completed()
        survived += 1
        if number < len(backward):
            code = bench.rollback(backward[number], expect=None)
            assert code == KILLED or backward[number].startswith(_TIMED), bench.shown
            survived += 1
        bench.rollback()
        bench.check_rolled_back()
    bench.check_source()
    _tell(capsys, bench, "one at a time", len(cases) + len(backward), survived)


def test_killed_at_every_point_in_turn_a_migration_still_comes_to_the_same_end_and_back(
    bench: crash_cases.Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """One migration dies at every passing of every point, each time a step further, and so does its rollback."""
    forward, back = _learn(bench)
    bench.reset()
    tried = survived = 0
    for point in (p for p in forward if not p.startswith(_OUT_OF_TURN)):
        if bench.state == "completed":  # what comes after its last transition can't be resumed
            break
        assert bench.go_on(point, expect=None) == KILLED, f"{point} was not passed:\n{bench.shown[-4000:]}"
        tried += 1
    bench.check_completed()
    assert tried > 50
    survived = tried
    for point in (p for p in back if not p.startswith(_OUT_OF_TURN)):
        if bench.state == "rolled_back" and not point.startswith("journal:rollback_verified"):
            continue  # what comes after its last transition can't be repeated
        assert bench.rollback(point, expect=None) == KILLED, f"{point} was not passed:\n{bench.shown[-4000:]}"
        tried += 1
    bench.rollback()
    bench.check_rolled_back()
    bench.check_source()
    survived = tried
    _tell(capsys, bench, "one after the other", tried, survived)


def test_killed_at_every_point_in_turn_tables_are_taken_back_and_taken_up_again(
    bench: crash_cases.Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rollback of one table dies at every passing of every point, and so does the resume that takes it up again."""
    bench.go_on()
    bench.carried = bench.differences()
    words = ("migrations", "rollback", bench.migration, "--tables", "orders", "--verify-source")
    back, again = bench.passed(*words), bench.passed("migrations", "resume", bench.migration)
    bench.check_completed()
    tried = 0
    for point in (p for p in back if not p.startswith(_OUT_OF_TURN)):
        if bench.state == "paused":  # what comes after its last transition can't be repeated
            break
        code = bench.run(*words, expect=None, SENSEI_CRASH_AT=point)
        assert code == KILLED, f"{point} was not passed:\n{bench.shown[-4000:]}"
        tried += 1
    bench.run(*words)
    (orders,) = (t for t in bench.status()["progress"]["tables"] if t["name"].endswith("orders"))
    assert (bench.state, orders["status"], orders["rows_copied"]) == ("paused", "rolled_back", 0)
    for point in (p for p in again if not p.startswith(_OUT_OF_TURN)):
        if bench.state == "completed":
            break
        assert bench.go_on(point, expect=None) == KILLED, f"{point} was not passed:\n{bench.shown[-4000:]}"
        tried += 1
    bench.check_completed()
    assert tried > 45
    bench.rollback()
    bench.check_rolled_back()
    bench.check_source()
    _tell(capsys, bench, "one after the other, of one table", tried, tried)


def _tell(capsys: pytest.CaptureFixture[str], bench: crash_cases.Bench, how: str, tried: int, survived: int) -> None:
    told = f"points tried / survived: {tried} / {survived} (target {ends.title(bench.target)}, {how})"
    capsys.request.node.user_properties.append(("told", told))  # printed at the end, whichever process ran the test
