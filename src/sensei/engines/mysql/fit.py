"""Makes a table fit: keys of at most 3,072 bytes, rows of at most 65,535, foreign keys of one type."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from sensei import catalog
from sensei.catalog import types
from sensei.engines import defining
from sensei.engines.mysql import page

#: Bytes of the longest key, of the longest row beside texts and blobs, and of one character.
KEY, ROW, CHARACTER = 3072, 65535, 4

_SIZES = {
    "tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8, "float": 4, "double": 8, "date": 3,
    "time": 6, "datetime": 8, "timestamp": 7, "year": 1, "enum": 2, "set": 8, "bit": 8, "uuid": 36, "decimal": 30,
}  # fmt: skip
_INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
_NATIVE = re.compile(r"(?P<word>\w+)(?:\((?P<size>\d+)[^)]*\))?(?P<unsigned> unsigned)?", re.ASCII)


def fit(table: catalog.Table, parents: Mapping[catalog.TableName, catalog.Table]) -> defining.Fitted:
    """Return what must be otherwise in a table that came from another engine."""
    changed: dict[str, types.Mapped] = {}
    natives = {c.name: c.native for c in table.columns}
    widths = {c.name: _width(c.collation) for c in table.columns}
    refused: dict[str, str] = {}
    for key in table.foreign_keys:
        joined, reason = _joined(table, key, parents.get(key.table), natives)
        if reason:
            refused[key.name] = reason
            continue
        for column, mapped in joined.items():
            changed[column], natives[column] = mapped, mapped.native
    keys = [k.columns for k in (*([table.primary] if table.primary else []), *table.uniques)]
    keys += [tuple(c.name or "" for c in i.columns) for i in table.indexes if i.unique]
    keys += [k.columns for k in table.foreign_keys if k.name not in refused]
    for columns in keys:
        for column, native in _shares(columns, natives, widths).items():
            natives[column] = native
            size = _NATIVE.match(native)
            assert size is not None
            what = "bytes" if native.startswith("varbinary") else "characters"
            reason = (
                f"in a key, which holds {KEY} bytes on MariaDB and MySQL: rows with more than {size['size']} {what} go"
                " to quarantine"
            )
            changed[column] = types.Mapped(native, types.Verdict.WIDENING, types.Verdict.EXACT, reason)
    keyed = {c for columns in keys for c in columns}
    for column in _too_wide(natives, keyed, widths):
        natives[column] = "longtext" if natives[column].startswith("varchar") else "longblob"
        changed[column] = types.Mapped(
            natives[column], types.Verdict.WIDENING, types.Verdict.EXACT,
            f"a row of MariaDB and MySQL holds {ROW} bytes, so the longest columns become {natives[column]}",
        )  # fmt: skip
    for column in page.moving(table, natives, keyed, widths):
        natives[column] = "longtext" if natives[column].startswith("varchar") else "longblob"
        changed[column] = types.Mapped(
            natives[column], types.Verdict.WIDENING, types.Verdict.EXACT,
            f"a page of InnoDB holds {page.BYTES} bytes of a row, so short texts that are too many become"
            f" {natives[column]}, which may lie outside of it",
        )  # fmt: skip
    indexes = {i.name: cut for i in table.indexes if not i.unique and (cut := _cut(i, natives, widths)) != i}
    notes = tuple(_notes(table, indexes, refused))
    return defining.Fitted(changed, indexes, refused, notes, page.hinders(table, natives, widths))


def _parse(native: str) -> tuple[str, int | None, bool]:
    found = _NATIVE.match(native.lower())
    if found is None:
        return native.lower(), None, False
    return found["word"], int(found["size"]) if found["size"] else None, bool(found["unsigned"])


def _width(collation: str | None) -> int:
    """Return the bytes that a character may take in the character set of a collation."""
    charset = (collation or "").partition("_")[0]
    return {"utf8mb3": 3, "utf8": 3, "latin1": 1, "ascii": 1}.get(charset, CHARACTER)


def _bytes(native: str, width: int) -> int | None:
    """Return how many bytes of a key or a row a column takes; None for texts and blobs, which have no end."""
    word, size, _ = _parse(native)
    if word in ("varchar", "char"):
        return (size or 1) * width
    if word in ("varbinary", "binary"):
        return size or 1
    return _SIZES.get(word)


def _shares(columns: Sequence[str], natives: Mapping[str, str], widths: Mapping[str, int]) -> dict[str, str]:
    """Return types that let the columns of a key fit into it: texts without an end get an equal share of the rest."""
    sizes = {c: _bytes(natives[c], widths[c]) for c in dict.fromkeys(columns) if c in natives}
    if all(s is not None for s in sizes.values()) and sum(s or 0 for s in sizes.values()) <= KEY:
        return {}
    # Short columns keep what they have; the long ones share what is left.
    left, long = KEY, sorted(sizes, key=lambda c: (sizes[c] is None, sizes[c] or 0))
    found: dict[str, str] = {}
    while long:
        column = long.pop(0)
        size, share = sizes[column], left // (len(long) + 1)
        if size is not None and size <= share:
            left -= size
            continue
        left -= share
        is_bytes = _parse(natives[column])[0].endswith(("blob", "binary"))
        found[column] = f"varbinary({share})" if is_bytes else f"varchar({share // widths[column]})"
    return found


def _too_wide(natives: Mapping[str, str], keyed: set[str], widths: Mapping[str, int]) -> list[str]:
    """Return the columns that must move out of the row, longest first."""
    sizes = {c: (20 if (s := _bytes(n, widths[c])) is None else s + 2) for c, n in natives.items()}
    movable = [c for c, n in natives.items() if c not in keyed and n.startswith(("varchar", "varbinary"))]
    movable.sort(key=lambda c: -sizes[c])
    found: list[str] = []
    while sum(sizes.values()) > ROW and movable:
        column = movable.pop(0)
        sizes[column] = 20
        found.append(column)
    return found


def _cut(index: catalog.Index, natives: Mapping[str, str], widths: Mapping[str, int]) -> catalog.Index:
    """Return an index that only speeds reads up over as much of its columns as fits."""
    if index.method not in ("btree", "hash"):
        return index
    shares = _shares([c.name or "" for c in index.columns], natives, widths)
    return dataclasses.replace(
        index,
        columns=tuple(
            dataclasses.replace(c, prefix=_parse(shares[c.name])[1]) if c.name in shares and c.prefix is None else c
            for c in index.columns
        ),
    )


def _joined(
    table: catalog.Table, key: catalog.ForeignKey, parent: catalog.Table | None, natives: Mapping[str, str]
) -> tuple[dict[str, types.Mapped], str]:
    """Return the types that a foreign key's own columns need to be of its parent's, or why it can't be declared."""
    if "SET NULL" in (key.on_delete, key.on_update) and any(not table.column(c).nullable for c in key.columns):
        return {}, "it sets a column to NULL that is not null, which MariaDB and MySQL refuse"
    if parent is None:
        return {}, ""
    if not _is_indexed(parent, key.references):
        return {}, f"MariaDB and MySQL want a key on {key.table} that begins with {', '.join(key.references)}"
    found: dict[str, types.Mapped] = {}
    for own, other in zip(key.columns, key.references, strict=True):
        mine, its = _parse(natives[own]), _parse(parent.column(other).native)
        if mine == its or _same_family(mine[0], its[0]):
            continue
        if mine[0] in _INTEGERS and its[0] in _INTEGERS and _holds(its, mine):
            native = parent.column(other).native
            reason = f"becomes {native} like the column that it points to: MariaDB and MySQL want equal types"
            found[own] = types.Mapped(native, types.Verdict.WIDENING, types.Verdict.EXACT, reason)
            continue
        return {}, (
            f"{own} is {natives[own]} and points to {other}, which is {parent.column(other).native}: MariaDB and"
            " MySQL want equal types"
        )
    return found, ""


def _is_indexed(parent: catalog.Table, columns: Sequence[str]) -> bool:
    keys = [k.columns for k in (*([parent.primary] if parent.primary else []), *parent.uniques)]
    keys += [tuple(c.name or "" for c in i.columns) for i in parent.indexes]
    return any(tuple(k[: len(columns)]) == tuple(columns) for k in keys)


def _same_family(one: str, other: str) -> bool:
    texts, blobs = ("varchar", "char", "longtext"), ("varbinary", "binary", "longblob")
    return any(one in family and other in family for family in (texts, blobs)) or (one == other and one not in _SIZES)


def _holds(wide: tuple[str, int | None, bool], narrow: tuple[str, int | None, bool]) -> bool:
    bits = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}

    def reach(of: tuple[str, int | None, bool]) -> range:
        return range(1 << bits[of[0]]) if of[2] else range(-1 << (bits[of[0]] - 1), 1 << (bits[of[0]] - 1))

    return reach(narrow)[0] >= reach(wide)[0] and reach(narrow)[-1] <= reach(wide)[-1]


def _notes(table: catalog.Table, indexes: Mapping[str, catalog.Index], refused: Mapping[str, str]) -> list[str]:
    found = [
        f"index {i.name} holds the first {c.prefix} {'bytes' if _is_blob(table, c.name) else 'characters'} of {c.name}"
        for i in indexes.values()
        for c in i.columns
        if c.prefix is not None
    ]
    lead = [k.columns for k in (*([table.primary] if table.primary else []), *table.uniques)]
    lead += [tuple(c.name or "" for c in i.columns) for i in table.indexes]
    bare = [
        k.name
        for k in table.foreign_keys
        if k.name not in refused and not any(tuple(x[: len(k.columns)]) == k.columns for x in lead)
    ]
    if bare:
        found.append(f"MariaDB and MySQL add an index for each of {', '.join(bare)}: no key begins with its columns")
    numbered = next((c.name for c in table.columns if c.identity is not None), None)
    if numbered is not None and not any(x[0] == numbered for x in lead):
        found.append(f"MariaDB and MySQL number only a column that begins a key: one is added for {numbered}")
    return found


def _is_blob(table: catalog.Table, column: str | None) -> bool:
    return column is not None and table.column(column).type.kind is types.Kind.BYTES
