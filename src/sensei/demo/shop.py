"""A small web shop as an SQLite file: the same rows for the same seed, awkward values among them."""

from __future__ import annotations

import datetime
import json
import random
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from sensei import errors

#: Fewer rows than this leave no room for the awkward ones.
MINIMUM_ROWS = 1_000

#: The tables in an order in which every reference points backwards.
TABLES = ("categories", "customers", "products", "orders", "order_items", "events")

# Types, defaults and checks are limited to what a stricter engine knows too; the view is there because a
# plan has to say that it stays behind.
SCHEMA = """
CREATE TABLE categories (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    parent_id INTEGER REFERENCES categories (id),
    name VARCHAR(80) NOT NULL UNIQUE,
    position INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE customers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email VARCHAR(120) NOT NULL UNIQUE,
    name TEXT NOT NULL,
    nickname VARCHAR(80),
    born DATE,
    preferred_time TIME,
    credit DECIMAL(10,2) NOT NULL DEFAULT 0.00,
    points INTEGER NOT NULL DEFAULT 0,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE products (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sku VARCHAR(20) NOT NULL UNIQUE,
    category_id INTEGER REFERENCES categories (id) ON DELETE SET NULL,
    name TEXT NOT NULL,
    description TEXT,
    price DECIMAL(10,2) NOT NULL CHECK (price >= 0),
    weight_kg REAL,
    image BLOB,
    is_discontinued BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    status VARCHAR(12) NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'paid', 'shipped', 'returned')),
    placed_at TIMESTAMP NOT NULL,
    deliver_on DATE,
    total DECIMAL(10,2) NOT NULL CHECK (total >= 0),
    is_gift BOOLEAN,
    remark TEXT
);
CREATE TABLE order_items (
    order_id INTEGER NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    line INTEGER NOT NULL,
    product_id INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    unit_price DECIMAL(10,2) NOT NULL CHECK (unit_price >= 0),
    discount REAL NOT NULL DEFAULT 0.0,
    PRIMARY KEY (order_id, line)
);
CREATE TABLE events (
    id UUID NOT NULL PRIMARY KEY,
    customer_id INTEGER REFERENCES customers (id),
    kind VARCHAR(20) NOT NULL,
    payload JSON NOT NULL,
    happened_at TIMESTAMP NOT NULL
);
"""

# After the rows: building an index at once is cheaper than keeping it up.
AFTERWARDS = """
CREATE INDEX customers_created ON customers (created_at);
CREATE INDEX products_category ON products (category_id, name);
CREATE INDEX orders_customer ON orders (customer_id);
CREATE INDEX orders_status ON orders (status, placed_at);
CREATE INDEX order_items_product ON order_items (product_id);
CREATE INDEX events_customer ON events (customer_id, happened_at);
CREATE VIEW monthly_sales AS
    SELECT substr(placed_at, 1, 7) AS month, count(*) AS orders, sum(total) AS turnover
    FROM orders GROUP BY substr(placed_at, 1, 7);
"""

#: Texts that a careless rendering damages. None holds NUL, which PostgreSQL can't store.
AWKWARD_TEXTS = (
    "",
    " ",
    "trailing blanks   ",
    "\ttab first, tab last\t",
    "two\nlines",
    "carriage\rreturn and both\r\n",
    "back\\slash, \\t, \\n and \\\\",
    "\\N",
    "\\.",
    "NULL",
    'it\'s "quoted", `ticked`, $$dollared$$ and ; -- ended',
    "100 % {braces} ${HOME} :name ?",
    "👩‍👩‍👧‍👦 🛒 𝒮𝑒𝓃𝓈𝑒𝒾",
    "Jose\u0301 with a combining accent",
    "José with a composed one",
    "Ångström \u212bngstro\u0308m",
    "שלום עולם مرحبا 你好",
    "zero\u200bwidth \ufeffmark \u2028line \u0085next",
    "\x01\x02\x07\x08\x0b\x0c\x1b\x1f\x7f",
    "\ue000\uffff\U0010ffff",
    "007",
    "1e5",
    "long text, " * 20_000,
)
AWKWARD_DECIMALS = ("0.00", "0.01", "0.10", "0.30", "1.00", "19.99", "1234567.89", "99999999.99")
AWKWARD_FLOATS = (
    1e-7,
    0.1 + 0.2,
    1e300,
    5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    -1.5,
    1e15,
    1e16,
    123456789.12345679,
    16777217.0,
    1 / 3,
)
AWKWARD_INTEGERS = (2**63 - 1, -(2**63), 2**53 + 1, 2**31, -(2**31) - 1, -1, 0)
AWKWARD_DATES = ("0001-01-01", "9999-12-31", "1582-10-10", "1900-02-28", "2000-02-29", "1969-12-31", None)
AWKWARD_TIMES = ("00:00:00", "23:59:59", "23:59:59.999999", "12:00:00.000001", None)
AWKWARD_TIMESTAMPS = (
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59.999999",
    "1970-01-01 00:00:00",
    "1969-12-31 23:59:59.999999",
    "2024-02-29 12:34:56.000001",
    "2024-03-31 02:30:00",  # a time of day that summer time leaves out in central Europe
    "2024-10-27 02:30:00.5",
)
AWKWARD_BLOBS = (bytes(range(256)), b"", b"\x00", b"\\x00", b"\xff" * 3, bytes(range(256)) * 256, None)
AWKWARD_JSON = (
    "{}",
    "[]",
    '{"big": 12345678901234567890123, "small": 1e-30, "exact": 0.1000000000000000055511151231257827}',
    '{"b": 1, "a": 2.50, "nested": {"list": [1, 1.0, "1", true, null, [], {}]}}',
    '{"text": "tab \\t, line \\n, quote \\", backslash \\\\, \\u00e9, é, 🛒"}',
    '{ "spaces" :\n [ 1 ,\t2 ] }',
    '{"": "empty key", "null": "null"}',
)

_FIRST = (
    "Ada",
    "Björn",
    "Chloé",
    "Dmitri",
    "Eun-ji",
    "Fatima",
    "Gáspár",
    "Hana",
    "Ivo",
    "Jürgen",
    "Kofi",
    "Léa",
)
_LAST = (
    "Ångström",
    "Brown",
    "Çelik",
    "Dvořák",
    "Eriksen",
    "Fischer",
    "García",
    "O'Hara",
    "Ito",
    "Nowak",
    "Wu",
)
_GOODS = ("kettle", "lamp", "chair", "notebook", "backpack", "bicycle bell", "coffee mill", "scarf", "puzzle")
_KINDS = ("viewed", "searched", "signed_in", "wrote_review")
_STATES = ("new", "paid", "shipped", "shipped", "shipped", "returned")
_EPOCH = datetime.datetime(2019, 1, 1)
_FIVE_YEARS = 5 * 365 * 86_400


def write(path: str | Path, rows: int = 200_000, seed: int = 7) -> dict[str, int]:
    """Write the shop to a new SQLite file.

    The same ``rows`` and ``seed`` give the same values on every machine; ``rows`` is the sum over all tables.
    Every row is fit for a stricter engine: references and checks hold, texts hold no NUL.

    Returns the number of rows of each table. Raises errors.BadInput where the file exists or ``rows`` is
    below MINIMUM_ROWS; a file that could not be finished is removed.
    """
    path = Path(path)
    if rows < MINIMUM_ROWS:
        raise errors.BadInput(f"the shop needs at least {MINIMUM_ROWS} rows, not {rows}")
    if path.exists():
        raise errors.BadInput(f"{path} exists already", hint="name a file that does not exist")
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return _fill(connection, rows, random.Random(seed))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _fill(connection: sqlite3.Connection, rows: int, dice: random.Random) -> dict[str, int]:
    # The file is new and is removed on any failure, so that a rollback journal would protect nothing.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(SCHEMA)
    connection.execute("BEGIN")
    categories = _categories(dice)
    customers, products, events, orders = rows // 10, rows // 40, rows // 40, rows // 4
    items = rows - len(categories) - customers - products - events - orders
    prices = [int(dice.random() ** 3 * 49_900) + 99 for _ in range(products)]
    lines = _lines(dice, orders, items)
    _insert(connection, "categories", categories)
    _insert(connection, "customers", _customers(dice, customers))
    _insert(connection, "products", _products(dice, prices, len(categories)))
    order_rows, item_rows = _orders(dice, lines, customers, prices)
    _insert(connection, "orders", order_rows)
    _insert(connection, "order_items", item_rows)
    _insert(connection, "events", _events(dice, events, customers))
    _leave_a_gap(connection, orders)
    connection.execute("COMMIT")
    connection.executescript(AFTERWARDS)
    connection.execute("ANALYZE")
    return {
        "categories": len(categories),
        "customers": customers,
        "products": products,
        "orders": orders,
        "order_items": items,
        "events": events,
    }


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[Sequence[Any]]) -> None:
    width = len(connection.execute(f"PRAGMA table_info({table})").fetchall())
    connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * width)})", rows)


def _leave_a_gap(connection: sqlite3.Connection, orders: int) -> None:
    # A deleted last order leaves the sequence above the highest id: a move has to carry the sequence itself.
    order = (orders + 3, 1, "new", "2024-01-01 00:00:00", None, "0.00", None, None)
    _insert(connection, "orders", [order])
    connection.execute("DELETE FROM orders WHERE id = ?", (orders + 3,))


def _awkward_then_none(values: Sequence[Any]) -> Iterator[Any]:
    return chain(values, repeat(None))


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _moment(dice: random.Random, exact: bool) -> datetime.datetime:
    moment = _EPOCH + datetime.timedelta(seconds=int(dice.random() * _FIVE_YEARS))
    return moment.replace(microsecond=int(dice.random() * 1_000_000)) if exact else moment


def _categories(dice: random.Random) -> list[tuple[int, int | None, str, int]]:
    """Three levels; a parent comes before its children."""
    rows: list[tuple[int, int | None, str, int]] = []
    for top in ("Home", "Office", "Outdoors", "Geschenke & Süßes"):
        parent = len(rows) + 1
        rows.append((parent, None, top, parent))
        for middle in ("small", "large", "second hand"):
            child = len(rows) + 1
            rows.append((child, parent, f"{top} / {middle}", dice.randrange(100)))
            rows.append((child + 1, child, f"{top} / {middle} / sale", dice.randrange(100)))
    return rows


def _customers(dice: random.Random, count: int) -> Iterator[tuple[Any, ...]]:
    texts, credits = _awkward_then_none(AWKWARD_TEXTS), _awkward_then_none(AWKWARD_DECIMALS)
    points, dates = _awkward_then_none(AWKWARD_INTEGERS), chain(AWKWARD_DATES, repeat(""))
    times, moments = chain(AWKWARD_TIMES, repeat("")), _awkward_then_none(AWKWARD_TIMESTAMPS)
    for number in range(1, count + 1):
        first = _FIRST[int(dice.random() * len(_FIRST))]
        last = _LAST[int(dice.random() * len(_LAST))]
        text, credit, point, date = next(texts), next(credits), next(points), next(dates)
        time, moment = next(times), next(moments)
        luck = dice.random()
        yield (
            number,
            f"customer{number}@example.com",
            f"{first} {last}" if text is None else text,
            None if luck < 0.5 else "" if luck < 0.6 else first.lower(),
            f"{1930 + number % 75}-{1 + number % 12:02d}-{1 + number % 28:02d}" if date == "" else date,
            f"{number % 24:02d}:{number % 60:02d}:00" if time == "" else time,
            _money(int(luck * 20_000)) if credit is None else credit,
            int(luck * 5_000) if point is None else point,
            luck < 0.9,
            _moment(dice, luck < 0.5).isoformat(" ") if moment is None else moment,
        )


def _products(dice: random.Random, prices: Sequence[int], categories: int) -> Iterator[tuple[Any, ...]]:
    texts, floats = _awkward_then_none(AWKWARD_TEXTS), _awkward_then_none(AWKWARD_FLOATS)
    blobs, decimals = chain(AWKWARD_BLOBS, repeat(...)), _awkward_then_none(AWKWARD_DECIMALS)
    for number, price in enumerate(prices, 1):
        goods = _GOODS[int(dice.random() * len(_GOODS))]
        text, weight, blob, decimal = next(texts), next(floats), next(blobs), next(decimals)
        luck = dice.random()
        yield (
            number,
            f"SKU-{number:06d}",
            None if luck < 0.05 else 1 + int(dice.random() * categories),
            f"{goods} no. {number}",
            (None if luck < 0.2 else f"A {goods}.\nColour:\t{number % 7}") if text is None else text,
            _money(price) if decimal is None else decimal,
            luck * 20 if weight is None else weight,
            (dice.randbytes(64 + number % 64) if luck < 0.5 else None) if blob is ... else blob,
            luck > 0.95,
        )


def _lines(dice: random.Random, orders: int, items: int) -> list[int]:
    """How many lines each order has: at least one, ``items`` in all."""
    lines = [1] * orders
    for _ in range(items - orders):
        lines[int(dice.random() * orders)] += 1
    return lines


def _orders(
    dice: random.Random, lines: Sequence[int], customers: int, prices: Sequence[int]
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Orders and their items; the total of an order is the sum over its items before discount."""
    orders: list[tuple[Any, ...]] = []
    items: list[tuple[Any, ...]] = []
    remarks, moments = _awkward_then_none(AWKWARD_TEXTS), _awkward_then_none(AWKWARD_TIMESTAMPS)
    roll = dice.random
    for order, count in enumerate(lines, 1):
        total = 0
        for line in range(1, count + 1):
            product = int(roll() * len(prices))
            quantity = 1 + int(roll() ** 4 * 12)
            total += quantity * prices[product]
            discount = 0.0 if line > 1 else int(roll() * 4) / 10
            items.append((order, line, product + 1, quantity, _money(prices[product]), discount))
        luck, remark, moment = roll(), next(remarks), next(moments)
        placed = _moment(dice, luck < 0.3)
        orders.append(
            (
                order,
                1 + int(roll() * customers),
                _STATES[int(luck * len(_STATES))],
                placed.isoformat(" ") if moment is None else moment,
                None if luck < 0.1 else (placed + datetime.timedelta(days=3)).date().isoformat(),
                _money(total),
                None if luck < 0.3 else luck > 0.8,
                ("" if luck < 0.05 else "please ring" if luck < 0.1 else None) if remark is None else remark,
            )
        )
    return orders, items


def _events(dice: random.Random, count: int, customers: int) -> Iterator[tuple[Any, ...]]:
    payloads = _awkward_then_none(AWKWARD_JSON)
    for number in range(count):
        payload, luck = next(payloads), dice.random()
        yield (
            str(uuid.UUID(int=dice.getrandbits(128), version=4)),
            None if luck < 0.1 else 1 + int(dice.random() * customers),
            _KINDS[int(luck * len(_KINDS))],
            json.dumps({"page": number % 90, "seconds": luck, "tags": ["α", "b"]}) if payload is None else payload,
            _moment(dice, True).isoformat(" "),
        )
