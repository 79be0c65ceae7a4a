"""Random expressions over one row, in the words of each engine, with rows from the ends of the types they are over."""

from __future__ import annotations

import random
from collections.abc import Sequence

import ends

#: Columns: name -> kind, and how each engine declares it.
COLUMNS = {"a": "int", "b": "int", "c": "dec", "f": "float", "t": "text", "u": "text", "d": "date"}
NATIVE = {
    "postgres": {"int": "integer", "dec": "numeric(10,2)", "float": "double precision", "text": "varchar(30)",
                 "date": "date"},
    "mysql": {"int": "int", "dec": "decimal(10,2)", "float": "double", "date": "date",
              "text": "varchar(30) COLLATE utf8mb4_nopad_bin"},
    "sqlite": {"int": "INTEGER", "dec": "DECIMAL(10,2)", "float": "REAL", "text": "VARCHAR(30)", "date": "DATE"},
}  # fmt: skip
#: What a generated column may be of, by what its expression gives.
RESULT = {
    "postgres": {"int": "bigint", "dec": "numeric(20,4)", "float": "double precision", "text": "text"},
    "mysql": {"int": "bigint", "dec": "decimal(20,4)", "float": "double",
              "text": "varchar(200) COLLATE utf8mb4_nopad_bin"},
    "sqlite": {"int": "BIGINT", "dec": "DECIMAL(20,4)", "float": "DOUBLE", "text": "TEXT"},
}  # fmt: skip
_TEXTS = [
    "",
    " ",
    "a",
    "A",
    "a ",
    "ab",
    "abc",
    "Abc",
    "é",
    "É",
    "ß",
    "日本",
    "0",
    "12",
    "-3.5",
    "x%y",
    "x_y",
    "it's",
    "a\\b",
]
_PATTERNS = ["'a%'", "'%b_'", "'_'", "'%é%'", "'x!%%' ESCAPE '!'"]
_VALUES = {
    "int": ["0", "1", "-1", "2", "3", "7", "-7", "10", "99", "1000", "-12345", "65536"],
    "dec": ["0", "1", "-1", "0.5", "-0.5", "1.25", "2.50", "99.99", "-1000.01", "12345.67"],
    "float": ["0", "1", "0.5", "-2.5", "3.75", "0.1", "1e10", "-1e-5"],
    "date": ["'2024-02-29'", "'1999-12-31'", "'2026-11-27'", "'1000-01-01'"],
}


class Maker:
    """Makes expressions and rows of one engine, always the same of one seed."""

    def __init__(self, engine: str, seed: int) -> None:
        self.engine, self.chance = engine, random.Random(f"{engine} {seed}")

    def value(self, kind: str) -> str:
        """Return a literal."""
        if kind != "text":
            return self.chance.choice(_VALUES[kind])
        text = self.chance.choice(_TEXTS).replace("'", "''")
        return f"'{text.replace(chr(92), chr(92) * 2) if self.engine == 'mysql' else text}'"

    def row(self) -> list[str]:
        """Return a row's values; a text is no key, so that nothing but checks can be against it."""
        return [self.chance.choice(["NULL", v, v, v, v]) for v in map(self.value, COLUMNS.values())]

    def scalar(self, kind: str, depth: int = 2) -> str:
        """Return an expression that gives such a value."""
        pick = self.chance.choice
        own = [n for n, k in COLUMNS.items() if k == kind]
        if depth == 0 or self.chance.random() < 0.2:
            return pick(own) if own and self.chance.random() < 0.7 else self.value(kind)
        sub = depth - 1
        one, two = self.scalar(kind, sub), self.scalar(kind, sub)
        if kind == "text":
            joined = f"concat({one}, {two})" if self.engine == "mysql" else f"({one} || {two})"
            start, length = self.chance.randint(1, 4), self.chance.randint(0, 4)
            return pick([
                joined, f"upper({one})", f"lower({one})", f"trim({one})", f"coalesce({one}, {two})",
                f"substr({one}, {start}, {length})", f"replace({one}, 'a', 'x')", f"nullif({one}, {two})",
                f"CASE WHEN {self.condition(sub)} THEN {one} ELSE {two} END",
            ])  # fmt: skip
        if kind == "date":
            return pick([f"coalesce({one}, {two})", one])
        choices = [
            f"({one} + {two})", f"({one} - {two})", f"({one} * {two})", f"({one} / {two})", f"abs({one})", f"(-{one})",
            f"coalesce({one}, {two})", f"nullif({one}, {two})", f"({one} / {pick(['2', '3', '7'])})",
            f"CASE WHEN {self.condition(sub)} THEN {one} ELSE {two} END",
        ]  # fmt: skip
        if kind == "int":
            char_length = "char_length" if self.engine != "sqlite" else "length"
            choices += [f"({one} % {pick(['2', '3', '-5'])})", f"{char_length}({self.scalar('text', sub)})"]
            choices += [f"length({self.scalar('text', sub)})"]
        else:
            digits = self.chance.randint(0, 2)
            choices += [f"round({one}, {digits})" if kind == "dec" or self.engine != "postgres" else f"round({one})"]
            choices += [self.scalar("int", sub)]
        return pick(choices)

    def condition(self, depth: int = 2) -> str:
        """Return an expression that is true or not."""
        pick = self.chance.choice
        kind = pick(["int", "dec", "float", "text", "date"])
        sub = max(0, depth - 1)
        one, two = self.scalar(kind, sub), self.scalar(kind, sub)
        choices = [
            f"{one} {pick(['=', '<>', '<', '<=', '>', '>='])} {two}", f"{one} IS NULL", f"{one} IS NOT NULL",
            f"{one} IN ({two}, {self.value(kind)})", f"{one} BETWEEN {self.value(kind)} AND {two}",
        ]  # fmt: skip
        if depth > 0:
            first, second = self.condition(sub), self.condition(sub)
            choices += [f"({first} AND {second})", f"({first} OR {second})", f"NOT ({first})"]
        if kind == "text":
            choices += [f"{one} LIKE {pick(_PATTERNS)}"] * 2
        return pick(choices)


def quoted(engine: str, name: str) -> str:
    """Return a column's name as the engine takes it."""
    return f"`{name}`" if engine == "mysql" else f'"{name}"'


def table(end: ends.End, seed: int, count: int = 6) -> tuple[Maker, list[str], list[str]]:
    """Make a table `e` of random generated columns, checks and indexes, with rows; return the generated and the checks.

    What the server does not take is left out, and so are rows that its checks refuse.
    """
    engine = ends.engine(end)
    maker = Maker(engine, seed)
    columns = [f"{name} {NATIVE[engine][kind]}" for name, kind in COLUMNS.items()]
    generated, checks = [], []
    made: list[str] = []
    for n in range(count):
        kind = maker.chance.choice(list(RESULT[engine]))
        wish = f"g{n} {RESULT[engine][kind]} GENERATED ALWAYS AS ({maker.scalar(kind)}) STORED"
        if _takes(end, [*columns, *made, wish]):
            made.append(wish)
            generated.append(f"g{n}")
    for n in range(count):
        # One that refuses most rows would leave nothing to compare.
        mostly = maker.chance.choice(["", "", f" OR a {maker.chance.choice(['>', '<'])} 0"])
        wish = f"CONSTRAINT k{n} CHECK ({maker.condition()}{mostly})"
        if _takes(end, [*columns, *made, wish], [maker.row() for _ in range(12)]):
            made.append(wish)
            checks.append(f"k{n}")
    ends.run(end, _create("e", [*columns, *made], engine))
    for n in range(2):
        unique = maker.chance.choice(["", "", "UNIQUE "])
        _tried(end, f"CREATE {unique}INDEX i{n} ON e (({maker.scalar(maker.chance.choice(['int', 'text']))}))")
        _tried(end, f"CREATE INDEX p{n} ON e (a) WHERE {maker.condition()}")
    for key in range(40):
        insert(end, key, maker.row())
    return maker, generated, checks


def insert(end: ends.End, key: int, row: list[str], into: str = "e") -> bool:
    """Put a row in; tell whether the server took it."""
    return not refusal(end, key, row, into)


def refusal(end: ends.End, key: int, row: list[str], into: str = "e") -> str:
    """Put a row in; return why the server did not take it, "" where it did."""
    try:
        ends.run(end, f"INSERT INTO {into} (id, {', '.join(COLUMNS)}) VALUES ({key}, {', '.join(row)})")
    except Exception as problem:
        return str(problem)
    return ""


def _create(name: str, parts: list[str], engine: str) -> str:
    tail = " ENGINE=InnoDB" if engine == "mysql" else ""
    return f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, {', '.join(parts)}){tail}"


def _takes(end: ends.End, parts: list[str], rows: Sequence[list[str]] = ()) -> bool:
    """Tell whether the server makes such a table, and takes most of these rows into it."""
    if not _tried(end, _create("tried", parts, ends.engine(end))):
        return False
    took = sum(insert(end, key, row, "tried") for key, row in enumerate(rows))
    ends.run(end, "DROP TABLE tried")
    return took * 3 >= len(rows) * 2


def _tried(end: ends.End, sql: str) -> bool:
    try:
        ends.run(end, sql)
    except Exception:
        return False
    return True
