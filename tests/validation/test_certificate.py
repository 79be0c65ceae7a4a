"""A certificate is issued of what stands, refused where anything does not, and checked without home or servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ends
import fix_sensei
import moves
import small_shop


@pytest.fixture
def shop(sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, request: pytest.FixtureRequest) -> moves.Move:
    """A small shop that was moved."""
    source, target = request.param
    (tmp_path / "s").mkdir()
    move = moves.plan_move(
        sensei,
        small_shop.source(source, maker(source), tmp_path / "s"),
        small_shop.target(target, maker(target), tmp_path),
        **({"schema": "shop"} if target == "postgres" else {}),
    )
    move.start()
    return move


def _issue(shop: moves.Move, name: str = "c.json", *, expect: int = 0) -> fix_sensei.Result:
    return shop.sensei("validations", "certificate", shop.id, "--output", name, json=True, expect=expect)


def _table(shop: moves.Move, name: str) -> str:
    return f"shop.{name}" if moves.engine(shop.target) == "postgres" else name


@pytest.mark.parametrize(
    "shop", [("postgres", "sqlite"), ("sqlite", "mysql"), ("mysql", "postgres")], indirect=True, ids="-".join
)
def test_what_is_validated_is_certified_until_the_target_is_written(shop: moves.Move) -> None:
    assert "validations run" in _issue(shop, expect=3).data["error"]["details"]["hint"], "nothing was validated"
    shop.sensei("validations", "run", shop.id)
    issued = _issue(shop).data
    path = shop.sensei.folder / "c.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "certificate of validation 1 signed by key" in shop.sensei("migrations", "logs", shop.id).stdout
    assert _issue(shop, expect=2).data["error"]["code"] == "bad_input", "a file is not written over"

    shop.sensei("keys", "export", "--output", "sensei.pub")
    found = shop.sensei("validations", "verify-certificate", "c.json", "--key", "sensei.pub", json=True).data
    assert (found["valid"], found["key"]) == (True, issued["key"])
    content = found["certificate"]
    assert content["validation"]["status"] == "validated"
    tables = {t["name"].rpartition(".")[2]: t["rows_compared"] for t in content["coverage"]["tables"]}
    assert tables == {"customers": 3, "orders": 3, "tags": 3}
    assert content["exceptions"]["not_looked_at"]
    assert [c["name"] for c in content["chain"]] == [
        "source_fingerprint", "target_before", "plan", "copied", "quarantine", "target_validated", "journal",
    ]  # fmt: skip

    changes = {
        "an update": f"UPDATE {_table(shop, 'orders')} SET total = 7 WHERE id = 1",
        "a row more": f"INSERT INTO {_table(shop, 'tags')} VALUES (9, 'z')",
        "a row less": f"DELETE FROM {_table(shop, 'tags')} WHERE order_id = 2",
    }
    small_shop.run(shop.target, changes["a row less"])
    refused = _issue(shop, "d.json", expect=3).data["error"]
    assert refused["code"] == "world_changed" and "tags" in refused["message"]
    assert not (shop.sensei.folder / "d.json").exists()
    shop.sensei("validations", "run", shop.id, expect=4)
    refused = _issue(shop, "d.json", expect=3).data["error"]
    assert refused["code"] == "check_unmet" and "1 missing" in refused["message"]
    small_shop.run(shop.target, f"INSERT INTO {_table(shop, 'tags')} VALUES (2, 'a')")
    shop.sensei("validations", "run", shop.id)
    _issue(shop, "d.json")
    small_shop.run(shop.target, changes["an update"])
    assert "orders" in _issue(shop, "e.json", expect=3).data["error"]["message"]


FILES = [("sqlite", "sqlite")]


@pytest.mark.parametrize("shop", FILES, indirect=True, ids="-".join)
def test_verifying_needs_neither_home_nor_servers(shop: moves.Move, tmp_path: Path) -> None:
    shop.sensei("validations", "run", shop.id)
    _issue(shop)
    shop.sensei("keys", "export", "--output", "sensei.pub")
    folder = shop.sensei.folder
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("c.json", "sensei.pub"):
        (elsewhere / name).write_bytes((folder / name).read_bytes())
    private = shop.sensei.home / "keys" / "sensei.pem"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(fix_sensei.SRC), "HOME": "/nonexistent", "SENSEI_HOME": "/no"}

    def verify(name: str, key: str = "sensei.pub") -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "sensei", "validations", "verify-certificate", name, "--key", key],
            cwd=elsewhere,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    code, said = verify("c.json")
    assert (code, "not changed since" in said) == (0, True)
    assert sorted(p.name for p in elsewhere.iterdir()) == ["c.json", "sensei.pub"]
    assert not Path("/no").exists()
    whole = (elsewhere / "c.json").read_bytes()
    (elsewhere / "flipped.json").write_bytes(whole.replace(b'"rows_compared": 3', b'"rows_compared": 4', 1))
    assert verify("flipped.json")[0] == 4
    (elsewhere / "empty.json").write_bytes(b"")
    assert verify("empty.json")[0] == 2
    assert verify("none.json")[0] == 2
    assert verify("c.json", "c.json")[0] == 2
    code, said = verify("c.json", str(private))
    assert (code, "private key" in said, "PRIVATE" in said) == (2, True, False)


@pytest.mark.parametrize("shop", FILES, indirect=True, ids="-".join)
def test_a_void_or_unfinished_verdict_is_not_certified(shop: moves.Move) -> None:
    shop.sensei("validations", "run", shop.id)
    shop.sensei("validations", "run", shop.id, crash_at="validation:report:before")
    assert "not over" in _issue(shop, expect=3).data["error"]["message"]
    shop.sensei("validations", "run", shop.id)
    shop.sensei("migrations", "rollback", shop.id, "--tables", "tags", "--yes")
    assert "void" in _issue(shop, expect=3).data["error"]["message"]
    shop.resume()
    assert "void" in _issue(shop, expect=3).data["error"]["message"]
    shop.sensei("validations", "run", shop.id)
    kept = shop.sensei.home / "artifacts" / shop.id / "validations" / "3.json"
    whole = kept.read_text()
    kept.write_text(whole.replace('"rows_compared": 3', '"rows_compared": 4'))
    assert _issue(shop, expect=4).data["error"]["code"] == "tamper_found"
    kept.write_text(whole)
    _issue(shop)
    shop.rollback()
    assert _issue(shop, "late.json", expect=3).data["error"]["code"] == "wrong_state"


@pytest.mark.parametrize("shop", [("sqlite", "postgres")], indirect=True, ids="-".join)
def test_a_certificate_names_what_it_does_not_cover(
    sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, shop: moves.Move
) -> None:
    source = small_shop.source("sqlite", maker("sqlite"), tmp_path)
    move = moves.plan_move(
        sensei,
        source,
        small_shop.target("postgres", maker("postgres"), tmp_path),
        name="other",
        schema="shop",
        validation={"tolerances": {"ignore_columns": ["customers.name"], "null_rate": 0.1}},
    )
    small_shop.run(source, "INSERT INTO orders (id, customer, total, placed) VALUES (7, 1, 'many', NULL)")
    move.start()
    move.sensei("validations", "run", move.id, "--type", "quick")
    _issue(move)
    body = json.loads((sensei.folder / "c.json").read_text())["certificate"]
    (held,) = body["exceptions"]["quarantine"]
    assert (held["table"], held["rows"]) == ("orders", 1)
    assert body["exceptions"]["tolerances"] == {"ignore_columns": ["customers.name"], "null_rate": 0.1}
    assert body["validation"]["type"] == "quick"
    assert body["exceptions"]["failures"], "rows in quarantine are told"
