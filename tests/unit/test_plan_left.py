"""What a plan leaves behind is called by names that tell which one it is."""

from __future__ import annotations

from sensei import catalog, plan


def test_a_trigger_is_named_with_its_table_also_where_its_own_name_ends_like_the_tables() -> None:
    film = catalog.TableName("shop", "film")
    found = catalog.Catalog(
        engine="mysql",
        version="",
        schemas=("shop",),
        tables=(),
        sequences=(),
        others=(
            catalog.Other("trigger", "shop.ins_film", "", film),
            catalog.Other("trigger", "shop.audit", "", film),
            catalog.Other("partitioning", "shop.film", "", film),
            catalog.Other("rule", "gone on shop.film", "", film),
            catalog.Other("view", "shop.film", ""),
        ),
    )
    assert [left.object for left in plan._others(found)] == [
        "shop.ins_film on shop.film",
        "shop.audit on shop.film",
        "shop.film",
        "gone on shop.film",
        "shop.film",
    ]
