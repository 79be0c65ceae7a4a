"""Damage to a target's definitions, numbers and references is found, each kind of it, and called by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ends
import fix_sensei
import moves
import small_shop

#: By the target's engine: what was done to it, and what has to be told of each damage: (perspective, words).
DAMAGE: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "postgres": (
        """
        DROP INDEX orders_customer;
        ALTER TABLE orders ALTER COLUMN total DROP DEFAULT;
        ALTER TABLE orders ALTER COLUMN note TYPE varchar(99);
        ALTER TABLE orders DISABLE TRIGGER ALL;
        ALTER TABLE customers ALTER COLUMN name DROP NOT NULL;
        ALTER TABLE customers DROP CONSTRAINT customers_name_key;
        ALTER TABLE customers ALTER COLUMN id RESTART WITH 1;
        ALTER TABLE tags DROP CONSTRAINT tags_pkey;
        ALTER TABLE tags ADD COLUMN later integer;
        INSERT INTO orders (id, customer, total) VALUES (9, 99, 1.25);
        UPDATE orders SET placed = placed + interval '1 hour' WHERE id = 1;
        """,
        [
            ("structural", "the index orders_customer on public.orders (customer) is gone"),
            ("structural", "the column public.orders.total has lost its default"),
            ("structural", "the column public.orders.note is character varying(99), planned was text"),
            ("structural", "the foreign key orders_customer_fkey on public.orders is switched off"),
            ("structural", "the column public.customers.name takes NULL, planned was that it refuses it"),
            ("structural", "nothing keeps name of public.customers unique: customers_name_key is gone"),
            ("structural", "the numbering of public.customers.id stands at its start, behind the data (3)"),
            ("structural", "the primary key of public.tags is gone"),
            ("structural", "the column public.tags.later is there and was not planned"),
            ("structural", "the numbering of public.orders.id stands at 3, behind the data (9)"),
            ("referential", "1 rows of public.orders point with customer at no row of public.customers"),
            ("data", "orders: 1 extra, 1 different"),
            ("statistical", "3 rows on the source, 4 on the target"),
        ],
    ),
    "sqlite": (
        """
        DROP INDEX orders_customer;
        ALTER TABLE tags RENAME TO tags_gone;
        UPDATE sqlite_sequence SET seq = 1 WHERE name = 'customers';
        UPDATE customers SET name = 'ann of the longer name' WHERE id = 1;
        UPDATE orders SET customer = 77 WHERE id = 2;
        UPDATE orders SET placed = '2031-01-01 00:00:00' WHERE id = 2;
        """,
        [
            ("structural", "the index orders_customer on orders (customer) is gone"),
            ("structural", "the table tags is gone"),
            ("structural", "the numbering of customers.id stands at 1, behind the data (3)"),
            ("referential", "1 rows of orders point with customer at no row of customers"),
            ("statistical", "customers.name: the longest value has length 4 on the source and 22 on the target"),
            ("statistical", "orders.placed: 1 of 3 NULL on the source, 0 of 3 on the target"),
            ("statistical", "orders.placed: the greatest value is 2024-02-29 23:59:59"),
            ("data", "orders: 1 different"),
        ],
    ),
    "mysql": (
        """
        ALTER TABLE orders DROP FOREIGN KEY orders_customer_fkey;
        DROP INDEX orders_customer ON orders;
        ALTER TABLE orders ALTER COLUMN note DROP DEFAULT;
        ALTER TABLE customers MODIFY name varchar(50) NULL;
        INSERT INTO orders (id, customer, total) VALUES (9, 99, 1.25);
        """,
        [
            ("structural", "the foreign key orders_customer_fkey of"),
            ("structural", "the index orders_customer on"),
            ("structural", "orders.note has lost its default"),
            ("structural", "customers.name is varchar(50), planned was varchar(60)"),
            ("structural", "customers.name takes NULL, planned was that it refuses it"),
            ("referential", "1 rows of"),
            ("data", "orders: 1 extra"),
        ],
    ),
}


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgres"), ("postgres", "sqlite"), ("sqlite", "mysql")])
def test_every_kind_of_damage_to_a_target_is_found_and_called_by_its_name(
    sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, source: str, target: str
) -> None:
    here = small_shop.source(source, maker(source), tmp_path)
    there = small_shop.target(target, maker(target), tmp_path, own=False)
    move = moves.plan_move(sensei, here, there, validation={"auto": "full"})
    assert move.start(json=True).data["validation"] == {"run": 1, "status": "validated"}
    damage, expected = DAMAGE[target]
    small_shop.run(there, damage)
    found = sensei("validations", "run", move.id, json=True, expect=4).data
    assert found["status"] == move.status()["status"] == "validation_failed"
    told = [(f["perspective"], f["detail"]) for f in found["failures"]]
    for perspective, words in expected:
        assert any(p == perspective and words in detail for p, detail in told), (perspective, words, told)
    assert all(f["recommended_action"] for f in found["failures"])
    _nothing_else(found, expected)

    report = sensei("validations", "report", move.id, "--failures-only").stdout
    assert report.count("Structural difference") == 1
    assert "Not as planned → Put it back and revalidate: sensei validations run" in report
    assert "Data accuracy issue" in report


def _nothing_else(found: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """Each failure of the catalog is one that was planted."""
    planted = [words for perspective, words in expected if perspective == "structural"]
    wild = [
        f["detail"]
        for f in found["failures"]
        if f["perspective"] == "structural" and not any(w in f["detail"] for w in planted)
    ]
    assert wild == []


def test_orphans_of_a_relationship_that_only_the_file_knows_are_the_sources_where_it_has_them_too(
    sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path
) -> None:
    here = small_shop.source("sqlite", maker("sqlite"), tmp_path)
    small_shop.run(here, "INSERT INTO tags VALUES (77, 'of no order')")
    there = small_shop.target("postgres", maker("postgres"), tmp_path)
    known = {"table": "tags", "columns": ["order_id"], "references": "orders"}
    move = moves.plan_move(sensei, here, there, validation={"relationships": [known]})
    move.start()
    found = sensei("validations", "run", move.id, json=True).data
    assert found["status"] == "validated"
    (failure,) = found["failures"]
    assert (failure["perspective"], failure["severity"], failure["cause"]) == (
        "referential", "warning", "source_data_issue",
    )  # fmt: skip
    assert "the source has 1 such rows" in failure["detail"]
    small_shop.run(there, "DELETE FROM orders WHERE id = 2")
    found = sensei("validations", "run", move.id, json=True, expect=4).data
    (failure,) = [f for f in found["failures"] if f["perspective"] == "referential"]
    assert (failure["severity"], failure["cause"]) == ("critical", "transformation_bug")
