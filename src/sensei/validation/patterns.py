"""What the differences of a table have in common, in one sentence each."""

from __future__ import annotations

from collections.abc import Mapping

from sensei.validation import model

_ORDINALS = {1: "first", 2: "second", 3: "third"}
#: kind -> what it is, for an operator; {detail} is filled in.
_SAYS = {
    "scaled": "multiplied by {detail}",
    "negated": "of the opposite sign or truth",
    "scale": "equal numbers with another number of decimals",
    "wrapped": "off by {detail}, as when a number overflows",
    "shifted": "shifted by {detail} s",
    "trailing_blanks": "blanks at the end",
    "outer_blanks": "white space around the text",
    "case": "upper and lower case only",
    "unicode_form": "the same letters in another Unicode form",
    "line_ends": "line ends only",
    "encoding": "read in a wrong character set",
    "cut": "cut off after {detail}",
    "longer": "longer than on the source",
    "trailing_zeros": "zero bytes at the end",
    "one_bit": "one bit flipped",
    "null_for_empty": "NULL for an empty string",
    "empty_for_null": "an empty string for NULL",
    "null_for_value": "NULL for a value",
    "value_for_null": "a value for NULL",
    "swapped": "swapped with {detail}",
}


def find(kinds: Mapping[str, int], different: int) -> tuple[model.Pattern, ...]:
    """Return the patterns, those of most rows first; `kinds` counts "column<tab>kind<tab>detail"."""
    merged: dict[tuple[str, str], dict[str, int]] = {}
    swapped: dict[frozenset[str], int] = {}
    for name, rows in kinds.items():
        column, kind, detail = name.split("\t", 2)
        if kind == "swapped":
            pair = frozenset((column, detail))
            swapped[pair] = max(swapped.get(pair, 0), rows)
        elif kind != "other":
            details = merged.setdefault((column, kind), {})
            details[detail] = details.get(detail, 0) + rows
    found = [_swap(tuple(sorted(pair)), rows, different) for pair, rows in swapped.items()]
    for (column, kind), details in merged.items():
        rows = sum(details.values())
        # One amount is worth telling, many are not.
        detail = next(iter(details)) if len(details) == 1 else ""
        found.append(model.Pattern(column, kind, rows, _sentence(column, kind, detail, rows, different)))
    return tuple(sorted(found, key=lambda p: (-p.rows, p.column or "", p.kind)))


def _how_many(rows: int, different: int) -> str:
    if rows >= different:
        return "the only difference is" if different == 1 else f"all {different} differences are"
    return f"{rows} of {different} rows that differ are"


def _swap(pair: tuple[str, ...], rows: int, different: int) -> model.Pattern:
    says = f"{_how_many(rows, different)} in {pair[0]} and {pair[-1]}: their values are swapped"
    return model.Pattern(pair[0], "swapped", rows, says)


def _sentence(column: str, kind: str, detail: str, rows: int, different: int) -> str:
    if kind == "rounded":
        if not detail:
            return f"{_how_many(rows, different)} in {column}, rounded"
        if detail == "0":
            return f"{_how_many(rows, different)} in {column}, rounded to a whole number"
        lost = int(detail) + 1
        ordinal = _ORDINALS.get(lost, f"{lost}th")
        return f"{_how_many(rows, different)} in {column}, at the {ordinal} decimal: rounded to {detail}"
    what = _SAYS.get(kind, kind)
    if "{detail}" in what and not detail:
        what = {"shifted": "shifted in time", "scaled": "multiplied", "wrapped": "overflowed", "cut": "cut off"}[kind]
    return f"{_how_many(rows, different)} in {column}: {what.format(detail=detail)}"
