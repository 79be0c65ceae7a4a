"""The rollback script in the artifacts tells after each step how far the migration has come."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sensei.config import home
from sensei.runner import script


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(home, "artifacts", lambda _id: tmp_path)
    monkeypatch.setattr(script, "text", lambda _loaded, state: f"-- Müller\n-- Made for: {state}\nDROP '@STATE@';\n")
    return script.Keeper(SimpleNamespace(id="mig_1"))  # type: ignore[arg-type]


def _said(folder: Path) -> str:
    first, made, *rest = (folder / "rollback.sql").read_text().splitlines()
    assert first == "-- Müller"
    assert rest == ["DROP '@STATE@';"]
    return made.removeprefix("-- Made for:").strip()


def test_each_step_is_told_as_soon_as_it_is_done(keeper: Any, tmp_path: Path) -> None:
    for step in ("create_table:a", "copy:a", "primary_key:Ünïcode", "prove"):
        keeper.after(step)
        assert _said(tmp_path) == f"after step {step}"


def test_between_steps_only_the_line_that_changes_is_written(keeper: Any, tmp_path: Path) -> None:
    keeper.after("copy:a")
    before = (tmp_path / "rollback.sql").stat()
    keeper.after("copy:b")
    after = (tmp_path / "rollback.sql").stat()
    assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size)


def test_a_step_with_a_long_name_is_told_whole_and_leaves_nothing_behind(keeper: Any, tmp_path: Path) -> None:
    keeper.after("copy:a")
    keeper.after("index:" + "n" * 500)
    assert _said(tmp_path) == "after step index:" + "n" * 500
    keeper.after("prove")
    assert _said(tmp_path) == "after step prove"


def test_a_script_that_somebody_took_away_or_cut_is_whole_after_the_next_step(keeper: Any, tmp_path: Path) -> None:
    keeper.after("copy:a")
    (tmp_path / "rollback.sql").unlink()
    keeper.after("copy:b")
    assert _said(tmp_path) == "after step copy:b"
    (tmp_path / "rollback.sql").write_text("-- cut\n")
    keeper.after("copy:c")
    assert _said(tmp_path) == "after step copy:c"
