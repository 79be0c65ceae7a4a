"""Puts questions that somebody else wrote to both sides, in sessions that the servers keep from writing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sensei import errors, queries
from sensei.config import fields
from sensei.engines import asking, base
from sensei.validation import answers, asked, scope
from sensei.work import sides

#: Rows of an answer that are compared; of longer ones the first that many, and their number.
MAX_ROWS = 50_000


@dataclass(frozen=True)
class End:
    """One side with a session that only reads."""

    side: sides.Side
    ask: asking.Ask
    session: base.Session
    plan: scope.Plan
    is_target: bool

    def view(self, written: str) -> asked.Side:
        """Return this side for texts that are written in a dialect."""
        return asked.Side(self.plan, self.is_target, self.ask.dialect, written)

    def answer(self, sql: str, keep: int = MAX_ROWS) -> asking.Answer:
        """Ask; errors tell which side failed."""
        with self.told():
            return self.ask.answer(self.session, sql, keep)

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Let a server's failure say which side it was."""
        with sides.told("target" if self.is_target else "source", self.side.name):
            yield


@dataclass(frozen=True)
class Ends:
    """Both sides, asked at the same time."""

    source: End
    target: End
    beside: ThreadPoolExecutor

    def answers(self, of_source: str, of_target: str, keep: int = MAX_ROWS) -> tuple[asking.Answer, asking.Answer]:
        """Ask both sides."""
        there = self.beside.submit(self.target.answer, of_target, keep)
        try:
            here = self.source.answer(of_source, keep)
        finally:
            # The session is this thread's again only when its question is answered.
            there.exception()
        return here, there.result()


@contextlib.contextmanager
def both(scoped: scope.Scope) -> Iterator[Ends]:
    """Open a session on each side of a validation; see `opened`."""
    seconds = fields.seconds(scoped.asked.query_timeout)
    with opened(
        scoped.plan, scoped.source, scoped.target, seconds, application=f"sensei {scoped.migration} validation"
    ) as ends:
        yield ends


@contextlib.contextmanager
def opened(
    plan: scope.Plan, source: sides.Side, target: sides.Side, seconds: float, *, application: str
) -> Iterator[Ends]:
    """Open a session on each side for reading only, the target's as well; raises NotYet.

    `seconds`: how long an answer may take.
    """
    with contextlib.ExitStack() as stack:
        found = []
        for side, schemas, is_target in (
            (source, plan.schemas, False),
            (target, plan.target_schemas, True),
        ):
            engine = side.engine
            if engine.ask is None:
                raise errors.NotYet(f"{engine.name} can't be asked rules and queries yet")
            with sides.told("target" if is_target else "source", side.name):
                # Purpose SOURCE on both sides: the server itself refuses to write in such a session.
                session = engine.connect(side.url, base.Purpose.SOURCE, application=application)
                stack.callback(session.close)
                engine.ask.prepare(session, [s for s in schemas if s], seconds)
            found.append(End(side, engine.ask, session, plan, is_target))
        yield Ends(found[0], found[1], stack.enter_context(ThreadPoolExecutor(1, "sensei-question")))


def told(tree: Any) -> tuple[Any, answers.Asked]:
    """Return a query that gives on what it orders by as well, and what it says of its answer."""
    from sqlglot import exp

    tree = tree.copy()
    ordered = tree.args.get("order")
    limited = bool(tree.args.get("limit") or tree.args.get("fetch") or tree.args.get("offset"))
    if ordered is None:
        return tree, answers.Asked(limited=limited)
    first = tree
    while isinstance(first, exp.SetOperation):
        first = first.this
    shown = list(first.expressions)
    named = {e.alias_or_name.lower(): n for n, e in enumerate(shown)}
    has_star = any(e.is_star for e in shown)
    may_add = isinstance(tree, exp.Select) and not tree.args.get("distinct")
    keys: list[int] = []
    added: list[Any] = []
    for part in ordered.expressions:
        wanted = part.this
        at: int | None = None
        if isinstance(wanted, exp.Literal) and wanted.is_int:
            at = int(wanted.this) - 1
        elif isinstance(wanted, exp.Column) and not wanted.table and wanted.name.lower() in named:
            at = named[wanted.name.lower()]
        elif wanted in (plain := [e.unalias() for e in shown]):
            at = plain.index(wanted)
        if at is not None and not has_star and at < len(shown):
            keys.append(at)
        elif may_add and not isinstance(wanted, exp.Literal):
            added.append(wanted.copy())
            keys.append(-len(added))
        else:
            break  # what comes behind orders only what this takes for equal
    for n, expression in enumerate(reversed(added), 1):
        tree = tree.select(exp.alias_(expression, f"sensei_order_{n}"), copy=False)
    return tree, answers.Asked(tuple(keys), len(added), limited)


def text(end: End, tree: Any, written: str, *, binary: bool = False) -> str:
    """Return the SQL of a question for one side; raises BadInput."""
    return asked.sql(tree, end.view(written), binary=binary)


def parse(text_: str, dialect: str, named: str, where: Mapping[str, str] | None = None) -> Any:
    """Read a query; a complaint names it and its place."""
    try:
        return queries.query(text_, dialect)
    except errors.BadInput as problem:
        at = f"{where[named]}: " if where and named in where else ""
        raise errors.BadInput(f"{at}{named}: {problem.message}") from None
