"""What the demo's shop promises: the same rows for the same seed, valid everywhere, awkward on purpose."""

import hashlib
import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from sensei import errors
from sensei.demo import shop

ROWS = 5_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "shop.db"
    shop.write(path, rows=ROWS)
    return path


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def column(db: sqlite3.Connection, table: str, name: str) -> list[object]:
    return [row[0] for row in db.execute(f'SELECT "{name}" FROM "{table}"')]


def digest(path: Path) -> str:
    """Of the schema and every value with its type, in the order of the rows."""
    found = hashlib.sha256()
    with closing(sqlite3.connect(path)) as db:
        for row in db.execute("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY 1"):
            found.update(repr(row).encode())
        for table in shop.TABLES:
            for row in db.execute(f'SELECT * FROM "{table}" ORDER BY rowid'):
                found.update(repr(row).encode())
    return found.hexdigest()


def test_the_same_seed_gives_the_same_rows(path: Path, tmp_path: Path) -> None:
    shop.write(tmp_path / "again.db", rows=ROWS)
    assert digest(tmp_path / "again.db") == digest(path)


def test_another_seed_gives_other_rows(path: Path, tmp_path: Path) -> None:
    shop.write(tmp_path / "other.db", rows=ROWS, seed=8)
    assert digest(tmp_path / "other.db") != digest(path)


def test_the_rows_do_not_depend_on_the_release_of_python(tmp_path: Path) -> None:
    shop.write(tmp_path / "small.db", rows=1_000, seed=1)
    assert digest(tmp_path / "small.db").startswith("ecd702dc7965461f")


@pytest.mark.parametrize("rows", [1_000, 4_321, 20_000])
def test_the_counts_returned_are_those_in_the_file_and_sum_up(tmp_path: Path, rows: int) -> None:
    counts = shop.write(tmp_path / "shop.db", rows=rows)
    assert sum(counts.values()) == rows
    assert tuple(counts) == shop.TABLES
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
        for table, count in counts.items():
            assert db.execute(f'SELECT count(*) FROM "{table}"').fetchone() == (count,)


def test_references_checks_and_pages_are_sound(db: sqlite3.Connection) -> None:
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_values_are_of_the_kind_that_their_column_declares(db: sqlite3.Connection) -> None:
    kinds = {
        "INTEGER": {"integer"},
        "TEXT": {"text"},
        "VARCHAR": {"text"},
        "DECIMAL": {"integer", "real"},
        "REAL": {"real"},
        "BOOLEAN": {"integer"},
        "DATE": {"text"},
        "TIME": {"text"},
        "TIMESTAMP": {"text"},
        "BLOB": {"blob"},
        "UUID": {"text"},
        "JSON": {"text"},
    }
    seen = set()
    for table in shop.TABLES:
        for _, name, declared, *_ in db.execute(f'PRAGMA table_info("{table}")').fetchall():
            base, _, length = declared.rstrip(")").partition("(")
            found = {t for (t,) in db.execute(f'SELECT DISTINCT typeof("{name}") FROM "{table}"')}
            assert found - {"null"} <= kinds[base], f"{table}.{name}"
            seen.add(base)
            if base == "VARCHAR":
                assert all(v is None or len(v) <= int(length) for v in column(db, table, name))
            if base == "BOOLEAN":
                assert set(column(db, table, name)) <= {0, 1, None}
    assert seen == set(kinds)


def test_a_stricter_engine_accepts_every_value(db: sqlite3.Connection) -> None:
    for table in shop.TABLES:
        for row in db.execute(f'SELECT * FROM "{table}"'):
            texts = [value for value in row if isinstance(value, str)]
            assert not any("\0" in text for text in texts)
            assert all(text.encode("utf-8") for text in texts if text)
    for name in ("id", "payload"):
        assert len(column(db, "events", name)) == ROWS // 40
    assert all(str(uuid.UUID(str(value))) == value for value in column(db, "events", "id"))
    assert all(json.loads(str(value)) is not None for value in column(db, "events", "payload"))
    for table, name in (("products", "price"), ("orders", "total"), ("customers", "credit")):
        assert all(abs(Decimal(str(value))) < 10**8 for value in column(db, table, name))


def test_indexed_texts_fit_into_a_page(db: sqlite3.Connection) -> None:
    # PostgreSQL refuses an index entry of more than a third of a page.
    for table in shop.TABLES:
        for (index,) in db.execute("SELECT name FROM sqlite_schema WHERE type='index' AND tbl_name=?", (table,)):
            for *_, name in db.execute(f'PRAGMA index_info("{index}")').fetchall():
                assert max(len(str(value)) for value in column(db, table, name)) < 500, f"{index} {name}"


def test_awkward_values_are_there(db: sqlite3.Connection) -> None:
    for table, name, wanted in (
        ("customers", "name", shop.AWKWARD_TEXTS),
        ("products", "description", shop.AWKWARD_TEXTS),
        ("orders", "remark", shop.AWKWARD_TEXTS),
        ("customers", "points", shop.AWKWARD_INTEGERS),
        ("customers", "born", shop.AWKWARD_DATES),
        ("customers", "preferred_time", shop.AWKWARD_TIMES),
        ("customers", "created_at", shop.AWKWARD_TIMESTAMPS),
        ("products", "image", shop.AWKWARD_BLOBS),
        ("events", "payload", shop.AWKWARD_JSON),
    ):
        missing = set(wanted) - set(column(db, table, name))
        assert not missing, f"{table}.{name}"
    prices = {Decimal(str(value)) for value in column(db, "products", "price")}
    assert {Decimal(text) for text in shop.AWKWARD_DECIMALS} <= prices
    weights = {value.hex() for value in column(db, "products", "weight_kg") if isinstance(value, float)}
    assert {value.hex() for value in shop.AWKWARD_FLOATS} <= weights


def test_the_awkward_texts_are_the_known_traps() -> None:
    texts = shop.AWKWARD_TEXTS
    for part in ("\t", "\n", "\r", "\\", "'", '"', "\x0b", "\x0c", "🛒", "e\u0301"):
        assert any(part in text for text in texts), repr(part)
    assert {"", "\\N", "\\.", "NULL"} <= set(texts)
    assert any(text.endswith(" ") for text in texts)
    assert max(map(len, texts)) > 100_000


def test_an_empty_text_and_null_stand_beside_each_other(db: sqlite3.Connection) -> None:
    assert {"", None} <= set(column(db, "customers", "nickname"))


def test_the_sequence_of_orders_stands_above_its_highest_id(db: sqlite3.Connection) -> None:
    (sequence,) = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'orders'").fetchone()
    assert sequence == ROWS // 4 + 3


def test_the_total_of_an_order_is_the_sum_over_its_items(db: sqlite3.Connection) -> None:
    wrong = db.execute(
        "SELECT o.id FROM orders o JOIN order_items i ON i.order_id = o.id GROUP BY o.id"
        " HAVING abs(o.total - sum(i.quantity * i.unit_price)) > 0.001"
    ).fetchall()
    assert wrong == []


def test_the_view_reads(db: sqlite3.Connection) -> None:
    assert len(db.execute("SELECT * FROM monthly_sales").fetchall()) > 12


def test_an_existing_file_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.db").write_bytes(b"mine")
    with pytest.raises(errors.BadInput, match="exists already"):
        shop.write(tmp_path / "mine.db")
    assert (tmp_path / "mine.db").read_bytes() == b"mine"


def test_too_few_rows_are_refused_before_a_file_appears(tmp_path: Path) -> None:
    with pytest.raises(errors.BadInput, match="at least 1000"):
        shop.write(tmp_path / "tiny.db", rows=999)
    assert not (tmp_path / "tiny.db").exists()


def test_a_file_that_could_not_be_finished_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop, "AFTERWARDS", "CREATE INDEX nonsense ON nowhere (nothing)")
    with pytest.raises(sqlite3.OperationalError):
        shop.write(tmp_path / "shop.db", rows=1_000)
    assert not (tmp_path / "shop.db").exists()
