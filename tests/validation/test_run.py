"""A validation is a numbered, journaled run that moves the migration's state, goes on after a crash and reports."""

from __future__ import annotations

import json
import re
from pathlib import Path
from unittest import mock

import pytest

import comparing
import ends
import fix_sensei
import moves
import small_shop
from sensei import errors
from sensei.runner import validate
from sensei.validation import model, registry, scope

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


FILES = [("sqlite", "sqlite")]


def _runs(shop: moves.Move) -> list[tuple[int, str, str, bool]]:
    found = shop.sensei("validations", "list", shop.id, json=True).data["runs"]
    return [(r["number"], r["type"], r["status"], r["void"]) for r in found]


@pytest.mark.parametrize("shop", FILES, indirect=True, ids="-".join)
@pytest.mark.parametrize(
    "point",
    [
        "journal:validation_begun:after",
        "journal:transition:after:2",
        "validation:report:before",
        "journal:validation_finished:after",
    ],
)
def test_killed_at_any_point_a_validation_goes_on_under_its_number(shop: moves.Move, point: str) -> None:
    shop.start()
    kind = "quick" if point.startswith("validation:") else "full"
    shop.sensei("validations", "run", shop.id, "--type", kind, crash_at=point)
    over = point in ("journal:validation_finished:after", "journal:transition:after:2")
    assert _runs(shop) == [(1, kind, "validated" if over else "unfinished", False)]
    if point == "journal:validation_begun:after":
        assert shop.status()["status"] == "completed"
        shop.sensei("validations", "run", shop.id)
    elif point == "journal:transition:after:2":
        assert shop.status()["status"] == "validated"
    else:
        status = shop.status()
        assert (status["status"], status["phase"]) == ("validating", "validation")
        assert f"sensei validations run {shop.id}" in status["next"]
        # Either command goes on.
        shop.resume() if kind == "quick" else shop.sensei("validations", "run", shop.id)
    assert shop.status()["status"] == "validated"
    assert _runs(shop) == [(1, kind, "validated", False)]
    report = shop.sensei("validations", "report", shop.id, json=True).data
    assert (report["run"], report["type"], report["status"]) == (1, kind, "validated")


@pytest.mark.parametrize("shop", FILES, indirect=True, ids="-".join)
def test_what_is_validated_is_taken_back_and_then_validated_no_more(shop: moves.Move) -> None:
    run = ("validations", "run", shop.id)
    refused = shop.sensei(*run, json=True, expect=3).data["error"]
    assert (refused["code"], "sensei migrations start" in refused["details"]["hint"]) == ("wrong_state", True)
    shop.start()
    refused = shop.sensei("validations", "report", shop.id, json=True, expect=3).data["error"]
    assert f"sensei validations run {shop.id}" in refused["details"]["hint"]
    shop.sensei(*run)
    assert "validation 1 (full): validated" in shop.sensei("migrations", "logs", shop.id).stdout

    shop.sensei("migrations", "rollback", shop.id, "--tables", "tags", "--yes")
    assert _runs(shop) == [(1, "full", "validated", True)]
    assert "void" in shop.sensei("validations", "report", shop.id).stdout
    assert shop.sensei(*run, json=True, expect=3).data["error"]["code"] == "wrong_state"
    shop.resume()
    shop.sensei(*run, crash_at="validation:report:before")
    done = shop.rollback("--verify").data
    assert (done["passed"], done["status"]) == (True, "rolled_back")
    assert _runs(shop) == [(1, "full", "validated", True), (2, "full", "unfinished", True)]
    assert shop.sensei(*run, json=True, expect=3).data["error"]["code"] == "wrong_state"


@pytest.mark.parametrize("shop", FILES, indirect=True, ids="-".join)
def test_reports_are_kept_and_exported_and_an_edited_one_is_refused(shop: moves.Move) -> None:
    shop.start()
    small_shop.run(shop.target, "UPDATE customers SET name = '<script>alert(1)</script>' WHERE id = 1")
    shop.sensei("validations", "run", shop.id, expect=4)
    folder = shop.sensei.folder
    for name in ("report.json", "report.txt", "report.html"):
        shop.sensei("validations", "report", shop.id, "--export", name)
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert shop.sensei("validations", "report", shop.id, "--export", "report.txt", expect=2)
    assert shop.sensei("validations", "report", shop.id, "--export", "report.pdf", expect=2)
    written = json.loads((folder / "report.json").read_text())
    assert written == shop.sensei("validations", "report", shop.id, json=True).data
    assert "Data accuracy issue" in (folder / "report.txt").read_text()
    page = (folder / "report.html").read_text()
    assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not re.findall(r"(?:src|href|url|@import)\s*[=(]", page), "nothing is fetched from anywhere"
    apart = shop.sensei("validations", "divergence", shop.id, "--export", "apart.json", json=True).data
    (table,) = [t for t in apart["tables"] if t["different"]]
    assert (table["name"], table["samples"][0]["column"]) == ("customers", "name")
    assert json.loads((folder / "apart.json").read_text()) == apart

    kept = shop.sensei.home / "artifacts" / shop.id / "validations" / "1.json"
    kept.write_text(kept.read_text().replace('"critical"', '"info"'))
    refused = shop.sensei("validations", "report", shop.id, json=True, expect=4).data["error"]
    assert refused["code"] == "tamper_found"
    assert shop.sensei("validations", "report", shop.id, "--run", "7", json=True, expect=2)


@pytest.mark.parametrize("shop", [("sqlite", "postgres")], indirect=True, ids="-".join)
def test_rows_in_quarantine_are_told_and_fail_nothing(shop: moves.Move) -> None:
    # Written after the plan was made, as text in a column of numbers, which only this source holds.
    small_shop.run(shop.source, "INSERT INTO orders (id, customer, total, placed) VALUES (7, 1, 'many', NULL)")
    shop.start()
    assert len(shop.quarantine()) == 1
    found = shop.sensei("validations", "run", shop.id, json=True).data
    assert found["status"] == "validated"
    (failure,) = found["failures"]
    assert (failure["perspective"], failure["severity"], failure["cause"]) == ("data", "warning", "source_data_issue")
    assert "Clean source and retry" in failure["recommended_action"]
    assert "1 rows are in quarantine" in found["perspectives"]["data"]["summary"]


@pytest.mark.parametrize("shop", FILES, indirect=True, ids="-".join)
def test_a_run_that_a_server_fails_or_an_operator_stops_goes_on_behind_what_it_has_finished(shop: moves.Move) -> None:
    shop.start()
    looked: list[str] = []

    def lost(scoped: scope.Scope) -> model.Outcome:
        looked.append(scoped.kind)
        raise errors.ServerFailed("the server went away")

    def stopped(scoped: scope.Scope) -> model.Outcome:
        raise errors.Paused("asked for")

    with (
        comparing.at_desk(shop) as desk,
        mock.patch.dict(registry.CHECKS, {model.Perspective.REFERENTIAL: lost}),
        pytest.raises(errors.ServerFailed),
    ):
        validate.run(desk, shop.id, "quick")
    assert looked == ["quick"]
    assert (shop.status()["status"], shop.status()["failure"]["code"]) == ("failed", "server_failed")
    assert _runs(shop) == [(1, "quick", "unfinished", False)]
    said = shop.resume()
    assert "going on with validation 1" in said.stderr
    assert (shop.status()["status"], _runs(shop)) == ("validated", [(1, "quick", "validated", False)])

    with comparing.at_desk(shop) as desk, mock.patch.dict(registry.CHECKS, {model.Perspective.REFERENTIAL: stopped}):
        done = validate.run(desk, shop.id)
    assert (done.document, str(done.status), shop.status()["status"]) == (None, "validating", "validating")
    folder = shop.sensei.home / "artifacts" / shop.id / "validations"
    noted = (folder / "2.unfinished").read_text()
    assert '"data:' in noted and '"statistical:customers"' in noted
    shop.sensei("validations", "run", shop.id)
    assert _runs(shop)[1] == (2, "full", "validated", False)
    assert not (folder / "2.unfinished").exists()
