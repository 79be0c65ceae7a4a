"""Queries to replay: from a file, or from the records that the source's server keeps of what ran on it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensei import errors, queries
from sensei.engines import asking
from sensei.validation import asked, questions, scope

#: `validation.workload` of this name means the server's records.
SERVER = "server"
_MOST = 500
_LARGEST = 8 * 1024 * 1024
_TOKEN = re.compile(
    r"""(?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`|(?P<tag>\$[^\W\d]*\w*\$).*?(?P=tag))
      | (?P<line>--[^\n]*)
      | (?P<block>/\*.*?\*/)
      | (?P<end>;)""",
    re.VERBOSE | re.DOTALL,
)


def titled(name: str) -> str:
    """Return what a query is called in a sentence, or in one that begins with its name."""
    return name if name.startswith("query ") else f"query {name}"


@dataclass(frozen=True)
class Query:
    """One query of a workload, in the source's dialect."""

    name: str
    text: str
    at: str = ""  #: file:line
    calls: int = 0

    @property
    def title(self) -> str:
        """What it is called in a sentence."""
        return titled(self.name)

    @property
    def id(self) -> str:
        """Its name and a mark of its text: a run that goes on notices where the file was changed meanwhile."""
        return f"{self.name}:{hashlib.sha256(self.text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


@dataclass(frozen=True)
class Replayable:
    """A query that was read and only reads."""

    query: Query
    tree: Any


@dataclass(frozen=True)
class Workload:
    """What is replayed, and what is not and why."""

    queries: tuple[Replayable, ...]
    left: tuple[str, ...]
    origin: str


def read(scoped: scope.Scope, ends: questions.Ends) -> Workload:
    """Return the workload that the file asks for; raises BadInput, NotYet."""
    wanted = str(scoped.asked.workload)
    at = scoped.where("validation.workload")
    if wanted == SERVER:
        with ends.source.told():
            found = [
                Query(f"query {n}", s.text, calls=s.calls)
                for n, s in enumerate(_ours(ends.source.ask.statements(ends.source.session, _MOST), scoped.plan), 1)
            ]
        origin = f"the records of {scoped.source.name}"
    else:
        path = file(wanted, scoped.folder)
        found = list(split(contents(path, at), wanted))
        origin = wanted
    kept, left = [], []
    for query in found:
        named = f"{query.at}: {query.name}" if query.at else f"{query.name} ({_short(query.text)})"
        try:
            tree = queries.query(query.text, ends.source.ask.dialect)
            if wanted == SERVER:
                if not asked.tables(tree, scoped.plan):
                    continue  # of other tables, or of another schema
                tree = _filled(tree, scoped, ends.source)
            for planned in asked.tables(tree, scoped.plan).values():
                if planned.where:
                    raise errors.BadInput(f"of {planned.id} only the rows where {planned.where} were taken")
            if chance := queries.by_chance(tree):
                raise errors.BadInput(f"{chance} gives another value each time")
        except errors.BadInput as problem:
            left.append(f"{named}: {problem.message}")
            continue
        kept.append(Replayable(query, tree))
    return Workload(tuple(kept), tuple(left), origin)


def file(wanted: str, folder: Path | None) -> Path:
    """Return where a workload's file is: from the migration file's folder on."""
    path = Path(wanted).expanduser()
    return path if path.is_absolute() or folder is None else folder / path


def contents(path: Path, at: str = "") -> str:
    """Return a workload's text; raises BadInput."""
    try:
        if path.stat().st_size > _LARGEST:
            raise errors.BadInput(f"{at}the workload {path} has more than {_LARGEST} bytes")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise errors.BadInput(
            f"{at}the workload {path} can't be read: {error.strerror}",
            hint="validation.workload names a file of queries, relative to the migration file",
        ) from None
    except ValueError:
        raise errors.BadInput(f"{at}the workload {path} is not UTF-8 text") from None


def split(text: str, name: str) -> Iterator[Query]:
    """Yield the queries of a file: one per semicolon, each called by the comment line before it."""
    used: dict[str, int] = {}
    called, first, number = "", -1, 0
    position = 0
    for match in [*_TOKEN.finditer(text), None]:
        until = match.start() if match else len(text)
        if first < 0 and (word := re.search(r"\S", text[position:until])) is not None:
            first = position + word.start()
        if match is None or match["end"]:
            if first >= 0:
                number += 1
                title = called or f"query {number}"
                used[title] = used.get(title, 0) + 1
                title += f" ({used[title]})" if used[title] > 1 else ""
                line = text.count("\n", 0, first) + 1
                yield Query(title, text[first:until].strip(), f"{name}:{line}")
            called, first = "", -1
        elif match["line"] is not None and first < 0:
            said = re.sub(r"^-+\s*(name\s*:)?\s*", "", match["line"], flags=re.IGNORECASE).strip()
            called = said or called
        elif match["quoted"] is not None and first < 0:
            first = match.start()
        position = match.end() if match else until


def _ours(found: list[asking.Statement], plan: scope.Plan) -> list[asking.Statement]:
    """Return the statements that may name a table of the plan: a server's records have those of everybody."""
    names = sorted({re.escape(t.source.name.name) for t in plan.tables}, key=len, reverse=True)
    named = re.compile(rf"(?<!\w)(?:{'|'.join(names)})(?!\w)", re.IGNORECASE)
    return [s for s in found if named.search(s.text)] if names else []


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 60 else words[:57] + "..."


def _filled(tree: Any, scoped: scope.Scope, end: questions.End) -> Any:
    """Put values of the source's own rows in the place of parameters, which the server's records don't keep."""
    from sqlglot import exp

    for node in list(tree.find_all(exp.Placeholder, exp.Parameter)):
        if isinstance(node.parent, exp.Parameter):
            continue
        above = node.parent
        if isinstance(above, exp.Limit | exp.Fetch):
            node.replace(exp.Literal.number(10))
        elif isinstance(above, exp.Offset):
            node.replace(exp.Literal.number(0))
        else:
            column = above.find(exp.Column) if isinstance(above, exp.Predicate | exp.In | exp.Between) else None
            value = _value(column, tree, scoped, end) if column is not None else None
            if value is None:
                raise errors.BadInput("its parameters are not in the server's records")
            node.replace(exp.Literal.number(value) if isinstance(value, int | float) else exp.Literal.string(value))
    return tree


def _value(column: Any, tree: Any, scoped: scope.Scope, end: questions.End) -> int | float | str | None:
    """Return a value that the source holds in a column."""
    from sqlglot import exp

    named = asked.tables(tree, scoped.plan)
    for alias, planned in named.items():
        if column.table and column.table.lower() != alias:
            continue
        found = end.view("").column(planned, column.name)
        if found is None:
            continue
        name = planned.source.name
        table = exp.Table(
            this=exp.Identifier(this=name.name, quoted=True),
            db=exp.Identifier(this=name.schema, quoted=True) if name.schema else None,
        )
        own = exp.column(exp.Identifier(this=found.name, quoted=True))
        wanted = exp.select(own).from_(table).where(exp.Not(this=exp.Is(this=own.copy(), expression=exp.Null())))
        rows = end.answer(questions.text(end, wanted.limit(1), ""), 1).rows
        if rows:
            value = rows[0][0]
            return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    return None
