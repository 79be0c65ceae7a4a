"""A validation is a numbered, journaled run that moves the migration's state, goes on after a crash and reports."""

from __future__ import annotations

from pathlib import Path

import pytest

import ends
import fix_sensei
import moves
import small_shop

PAIRS = [("postgres", "sqlite"), ("sqlite", "mysql"), ("mysql", "postgres")]


@pytest.fixture
def shop(sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, request: pytest.FixtureRequest) -> moves.Move:
    """A small shop that was moved."""
    source, target = request.param
    (tmp_path / "s").mkdir()
    return moves.plan_move(
        sensei,
        small_shop.source(source, maker(source), tmp_path / "s"),
        small_shop.target(target, maker(target), tmp_path),
        **({"schema": "shop"} if target == "postgres" else {}),
    )


@pytest.mark.parametrize("shop", PAIRS, indirect=True, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_a_clean_move_is_validated_and_every_perspective_says_what_it_looked_at(shop: moves.Move) -> None:
    shop.start()
    found = shop.sensei("validations", "run", shop.id, json=True).data
    assert (found["status"], found["failures"]) == ("validated", [])
    assert list(found["perspectives"]) == [
        "structural", "data", "statistical", "referential", "semantic", "behavioral", "performance",
    ]  # fmt: skip
    verdicts = {name: of["verdict"] for name, of in found["perspectives"].items()}
    assert verdicts["structural"] == verdicts["data"] == verdicts["statistical"] == verdicts["referential"] == "passed"
    assert all(of["summary"] for of in found["perspectives"].values())
    assert shop.status()["status"] == "validated"
    assert not shop.rollback("--verify").data["differences"]
