"""Which tables an operator means, and how a hint names them so that a shell takes the words back."""

from __future__ import annotations

import shlex
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sensei import catalog, errors
from sensei.plan import model
from sensei.runner import partial, taken


def table(source: str, target: str = "") -> Any:
    old, new = (catalog.TableName(*n.split(".", 1)) for n in (source, target or f"shop.{source.partition('.')[2]}"))
    return SimpleNamespace(id=source, source=SimpleNamespace(name=old), target=SimpleNamespace(name=new))


PLAN = cast(
    model.Plan,
    SimpleNamespace(
        tables=[
            table("shop.orders"),
            table("shop.order_items"),
            table("shop.customers", "new.clients"),
            table("old.events"),
            table("new.events", "shop.later"),
            table("shop.a,b 'c'"),
        ]
    ),
)


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["orders,order_items"], ["shop.orders", "shop.order_items"]),
        (["shop.orders", "order_items, orders"], ["shop.orders", "shop.order_items"]),
        (["clients"], ["shop.customers"]),
        (["new.clients"], ["shop.customers"]),
        (["old.events"], ["old.events"]),
        (["new.events"], ["new.events"]),
        (["a,b 'c'"], ["shop.a,b 'c'"]),
    ],
)
def test_a_table_is_known_by_its_name_on_either_side(words: list[str], ids: list[str]) -> None:
    assert partial.resolve(PLAN, words) == ids


def test_a_name_that_several_tables_share_is_told() -> None:
    with pytest.raises(errors.BadInput, match=r"events is the name of several tables: new.events, old.events"):
        partial.resolve(PLAN, ["events"])


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(errors.UnknownName, match="no table ordres; did you mean orders"):
        partial.resolve(PLAN, ["order_items,ordres"])
    with pytest.raises(errors.UnknownName, match=r"no table $"):
        partial.resolve(PLAN, [""])


@pytest.mark.parametrize("names", [["shop.orders", "order_items"], ["a,b 'c'", "shop.orders"], ["$(rm)"]])
def test_what_a_hint_says_is_read_back_as_the_same_tables(names: list[str]) -> None:
    words = [w for w in shlex.split(taken.option(names)) if w != "--tables"]
    known = cast(model.Plan, SimpleNamespace(tables=[table(f"x.{n}", f"y.{n}") for n in names]))
    assert partial.resolve(known, words) == [f"x.{n}" for n in names]
