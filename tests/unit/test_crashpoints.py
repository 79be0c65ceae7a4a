"""Crash points: free when unset, deadly at the n-th passing, listed on request."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import sensei

_CODE = """
from sensei import crashpoints
for name in ("a:before", "b", "a:before", "a:before"):
    crashpoints.reach(name)
    print(name, flush=True)
"""


def _run(**env: str) -> tuple[int, list[str]]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SENSEI_CRASH")}
    done = subprocess.run(
        [sys.executable, "-c", _CODE],
        capture_output=True,
        text=True,
        check=False,
        env={**clean, "PYTHONPATH": str(Path(sensei.__file__).parent.parent), **env},
    )
    return done.returncode, done.stdout.split()


def test_nothing_happens_unless_a_test_asks() -> None:
    assert _run() == (0, ["a:before", "b", "a:before", "a:before"])


def test_the_process_dies_at_the_first_passing_or_at_the_one_asked_for() -> None:
    assert _run(SENSEI_CRASH_AT="a:before") == (-9, [])
    assert _run(SENSEI_CRASH_AT="a:before:2") == (-9, ["a:before", "b"])
    assert _run(SENSEI_CRASH_AT="a:before:9") == (0, ["a:before", "b", "a:before", "a:before"])


def test_the_points_of_a_run_are_listed(tmp_path: Path) -> None:
    log = tmp_path / "points"
    assert _run(SENSEI_CRASH_LOG=str(log))[0] == 0
    assert log.read_text().split() == ["a:before", "b", "a:before", "a:before"]
