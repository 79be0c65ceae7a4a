"""What only the stored CREATE TABLE text tells: checks, names of constraints, collations, AUTOINCREMENT."""

from __future__ import annotations

from dataclasses import dataclass, field

from sensei.engines.sqlite import names, tokens

_CONSTRAINT_WORDS = (
    "CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES",
    "GENERATED", "AS", "ON", "DEFERRABLE",
)  # fmt: skip


@dataclass(frozen=True)
class KeyPart:
    """A PRIMARY KEY or UNIQUE as written."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Reference:
    """A foreign key as written; `references` is empty where the parent's primary key is meant."""

    name: str
    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    match: str = "SIMPLE"
    deferrable: bool = False
    deferred: bool = False


@dataclass
class ParsedColumn:
    """What stands behind one column's name and type."""

    name: str
    default: str | None = None  #: verbatim, its parentheses included
    collation: str | None = None
    generated: str | None = None  #: the bare expression
    stored: bool = False
    autoincrement: bool = False


@dataclass
class ParsedTable:
    """A CREATE TABLE statement, taken apart."""

    columns: dict[str, ParsedColumn] = field(default_factory=dict)  #: by folded name
    primary: KeyPart | None = None
    uniques: list[KeyPart] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    checks: list[tuple[str, str]] = field(default_factory=list)  #: (constraint's name or "", bare expression)
    strict: bool = False
    without_rowid: bool = False
    lost: list[str] = field(default_factory=list)  #: clauses that a catalog has no place for

    def column(self, name: str) -> ParsedColumn:
        """Return what is known of a column, by any spelling of its name."""
        return self.columns.get(names.fold(name)) or ParsedColumn(name)


def parse(sql: str) -> ParsedTable:
    """Take a stored CREATE TABLE statement apart; what can't be read is left out, never guessed."""
    reader = _Reader(sql)
    try:
        reader.table()
    except IndexError:
        pass  # the statement ends early, such as CREATE TABLE … AS SELECT stored by a very old version
    return reader.found


class _Reader:
    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.tokens = tokens.tokenize(sql)
        self.at = 0
        self.found = ParsedTable()

    # -- small steps

    @property
    def here(self) -> tokens.Token:
        return self.tokens[self.at]

    def take(self) -> tokens.Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def accept(self, *words: str) -> bool:
        """Step over these bare words where they stand here, all of them or none."""
        for i, word in enumerate(words):
            if self.at + i >= len(self.tokens) or not self.tokens[self.at + i].is_word(word):
                return False
        self.at += len(words)
        return True

    def symbol(self, text: str) -> bool:
        if self.at < len(self.tokens) and self.here.kind == "other" and self.here.text == text:
            self.at += 1
            return True
        return False

    def skip_group(self) -> str:
        """Step over a parenthesised group that begins here; return its inside, verbatim."""
        start, depth = self.here.end, 0
        while True:
            token = self.take()
            if token.kind == "other" and token.text == "(":
                depth += 1
            elif token.kind == "other" and token.text == ")":
                depth -= 1
                if depth == 0:
                    return self.sql[start : token.start].strip()

    def at_group(self) -> bool:
        return self.at < len(self.tokens) and self.here.kind == "other" and self.here.text == "("

    def name_list(self) -> tuple[str, ...]:
        """Read ("a", b COLLATE x DESC, …): the names of plain columns."""
        found: list[str] = []
        if not self.at_group():
            return ()
        self.take()
        fresh, depth = True, 1
        while depth:
            token = self.take()
            if token.kind == "other" and token.text in "()":
                depth += 1 if token.text == "(" else -1
            elif token.kind == "other" and token.text == ",":
                fresh = True
            elif token.is_word("COLLATE"):
                self.found.lost.append(f"COLLATE {self.here.name} of the key column {found[-1]}")
            elif fresh:
                found.append(token.name)
                fresh = False
        return tuple(found)

    # -- the statement

    def table(self) -> None:
        while not self.at_group():
            self.take()
        self.take()
        while True:
            if self.here.is_word("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"):
                self.table_constraint()
            else:
                self.column()
            if self.symbol(")"):
                break
            self.symbol(",")  # SQLite lets table constraints follow each other without one
        while self.at < len(self.tokens):
            if self.accept("WITHOUT", "ROWID"):
                self.found.without_rowid = True
            elif self.accept("STRICT"):
                self.found.strict = True
            else:
                self.take()

    def at_end_of_item(self) -> bool:
        return self.here.kind == "other" and self.here.text in ",)"

    def constraint_name(self) -> str:
        name = ""
        while self.accept("CONSTRAINT"):
            name = self.take().name
        return name

    def table_constraint(self) -> None:
        name = self.constraint_name()
        if self.accept("PRIMARY", "KEY"):
            last = self.tokens[self.at :]
            self.found.primary = KeyPart(name, self.name_list())
            inside = last[: len(last) - len(self.tokens[self.at :])]
            if any(t.is_word("AUTOINCREMENT") for t in inside) and self.found.primary.columns:
                self.found.column(self.found.primary.columns[0]).autoincrement = True
            self.conflict()
        elif self.accept("UNIQUE"):
            self.found.uniques.append(KeyPart(name, self.name_list()))
            self.conflict()
        elif self.accept("CHECK"):
            self.found.checks.append((name, self.skip_group()))
            self.conflict()
        elif self.accept("FOREIGN", "KEY"):
            columns = self.name_list()
            if self.accept("REFERENCES"):
                self.reference(name, columns)
        elif not self.at_end_of_item():
            self.take()

    def column(self) -> None:
        made = ParsedColumn(self.take().name)
        self.found.columns[names.fold(made.name)] = made
        while not self.at_end_of_item() and not self.here.is_word(*_CONSTRAINT_WORDS):
            if self.at_group():
                self.skip_group()
            else:
                self.take()
        while not self.at_end_of_item():
            self.column_constraint(made)

    def column_constraint(self, column: ParsedColumn) -> None:
        name = self.constraint_name()
        if self.accept("PRIMARY", "KEY"):
            self.found.primary = KeyPart(name, (column.name,))
            if not self.accept("ASC"):
                self.accept("DESC")
            self.conflict()
            column.autoincrement = self.accept("AUTOINCREMENT")
        elif self.accept("UNIQUE"):
            self.found.uniques.append(KeyPart(name, (column.name,)))
            self.conflict()
        elif self.accept("CHECK"):
            self.found.checks.append((name, self.skip_group()))
            self.conflict()
        elif self.accept("NOT", "NULL"):
            self.conflict()
        elif self.accept("DEFAULT"):
            column.default = self.default()
        elif self.accept("COLLATE"):
            column.collation = self.take().name
        elif self.accept("REFERENCES"):
            self.reference(name, (column.name,))
        elif self.accept("GENERATED", "ALWAYS", "AS") or self.accept("AS"):
            column.generated = self.skip_group()
            column.stored = self.accept("STORED")
            self.accept("VIRTUAL")
        elif not self.at_end_of_item():
            self.take()  # NULL, and whatever a later SQLite adds

    def conflict(self) -> None:
        if self.accept("ON", "CONFLICT"):
            self.found.lost.append(f"ON CONFLICT {self.take().text.upper()}")

    def default(self) -> str:
        start = self.here.start
        if self.at_group():
            return f"({self.skip_group()})"
        while self.symbol("+") or self.symbol("-"):
            pass
        return self.sql[start : self.take().end]

    def reference(self, name: str, columns: tuple[str, ...]) -> None:
        table = self.take().name
        references = self.name_list()
        facts: dict[str, str] = {}
        deferrable = deferred = False
        while True:
            if self.accept("ON", "DELETE"):
                facts["on_delete"] = self.action()
            elif self.accept("ON", "UPDATE"):
                facts["on_update"] = self.action()
            elif self.accept("MATCH"):
                facts["match"] = self.take().text.upper()
            elif self.accept("NOT", "DEFERRABLE"):
                deferrable = deferred = False
            elif self.accept("DEFERRABLE"):
                deferrable = True
            elif self.accept("INITIALLY"):
                deferred = self.take().is_word("DEFERRED") and deferrable
            else:
                break
        self.found.references.append(
            Reference(name, columns, table, references, deferrable=deferrable, deferred=deferred, **facts)
        )

    def action(self) -> str:
        first = self.take().text.upper()
        return f"{first} {self.take().text.upper()}" if first in ("SET", "NO") else first


@dataclass(frozen=True)
class ParsedIndex:
    """A CREATE INDEX statement, taken apart."""

    elements: tuple[str, ...]  #: verbatim texts, such as `lower(a) DESC`
    where: str | None


def parse_index(sql: str) -> ParsedIndex:
    """Take a stored CREATE INDEX statement apart."""
    reader = _Reader(sql)
    elements: list[str] = []
    while reader.at < len(reader.tokens) and not reader.at_group():
        reader.take()
    if reader.at == len(reader.tokens):
        return ParsedIndex((), None)
    start, depth = reader.take().end, 1
    while depth:
        token = reader.take()
        if token.kind == "other" and token.text == "(":
            depth += 1
        elif token.kind == "other" and (token.text == ")" or (token.text == "," and depth == 1)):
            if token.text == ")":
                depth -= 1
            if depth == 0 or token.text == ",":
                elements.append(sql[start : token.start].strip())
                start = token.end
    where = None
    if reader.accept("WHERE"):
        where = sql[reader.here.start :].strip()
    return ParsedIndex(tuple(elements), where)


def element_expression(element: str) -> str:
    """Return an index element without its COLLATE, ASC and DESC."""
    found = tokens.tokenize(element)
    while found and (found[-1].is_word("ASC", "DESC") or (len(found) > 2 and found[-2].is_word("COLLATE"))):
        found = found[:-1] if found[-1].is_word("ASC", "DESC") else found[:-2]
    return element[: found[-1].end] if found else element
