"""Tries what an expression says on both servers: rows that are there, and values at which servers differ."""

from __future__ import annotations

import decimal
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence

from sensei import catalog, errors
from sensei.catalog import rowtext, sight, types
from sensei.engines import base, weighing
from sensei.plan import carrying
from sensei.work import sides

Kind = types.Kind

#: Rows that are taken from the table's beginning, and as many from its end.
ROWS = 60
#: Rows that are made up of values at which servers differ.
MADE = 240
#: Of these, rows with numbers from the ends of what columns hold.
LARGE = 30

_TEXTS = (
    "", " ", "a", "A", "a ", " a", "ab", "AB", "abc", "é", "É", "ß", "ss", "\U0001f600", "0", "1", "-1", "1.5", "%",
    "_", "a\nb", "O'Reilly", "a\\b", "x" * 40,
)  # fmt: skip
_VALUES: dict[Kind, Sequence[str]] = {
    Kind.BOOLEAN: ("1", "0"),
    Kind.DECIMAL: ("0", "1", "-1", "2", "7", "0.1", "0.2", "0.3", "0.5", "1.5", "2.5", "-2.5", "0.01", "100", "99999"),
    Kind.FLOAT: ("0", "1", "-1", "2", "7", "0.1", "0.5", "1.5", "2.5", "-2.5", "1e-10", "123456789.125"),
    Kind.TEXT: _TEXTS,
    Kind.DATE: ("0001-01-01", "1582-10-10", "2024-01-01", "2024-02-29", "2024-12-31", "9999-12-31"),
    Kind.TIME: ("00:00:00", "12:00:00", "23:59:59.999999"),
    Kind.TIMESTAMP: ("0001-01-01 00:00:00", "2024-01-01 00:00:00", "2024-02-29 23:59:59.999999", "9999-12-31 23:59:59"),
}
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT)
#: Numbers with which sums and products of some stay within all types.
_ORDINARY = 1000
_WHOLE = (0, 1, -1, 2, 3, 7, -7, 10, 100)


def judge(
    source: sides.Side, reading: base.Session, target: sides.Side, writing: base.Session,
    sights: Mapping[catalog.TableName, sight.Sight],
) -> carrying.Judge:  # fmt: skip
    """Return what tries questions on these two servers; it reads no more than some rows of each table."""

    def ask(question: carrying.Question) -> carrying.Judgement:
        seen = sights.get(question.table.name)
        where = seen.where if seen is not None else ""
        return _Trial(source.engine, reading, target.engine, writing, question, where).judge()

    return ask


class _Trial:
    def __init__(
        self, source: base.Engine, reading: base.Session, target: base.Engine, writing: base.Session,
        question: carrying.Question, where: str,
    ) -> None:  # fmt: skip
        self.source, self.reading, self.target, self.writing = source, reading, target, writing
        self.question, self.where = question, where
        self.here = [c for c, _ in question.columns]
        self.there = [c for _, c in question.columns]

    def judge(self) -> carrying.Judgement:
        asks = self._asks(self.source, self.question.here, 0)
        made = self._rows()
        known = weighing.say(self.source, self.reading, self.here, asks, made)
        rows = [
            (row, text, False)
            for row, said in zip(made, known, strict=True)
            if said.is_held and self._fits(text := self._answer(row, said)) and (text is not None or not said.error)
        ]
        rows += [(row, text, True) for row, text in self._taken(asks)]
        if not rows:
            return carrying.Judgement(against="the source has no answer to it for any value tried")
        asks = self._asks(self.target, self.question.there, 1)
        answers = weighing.say(self.target, self.writing, self.there, asks, [r for r, _, _ in rows])
        tried, refused = 0, ""
        for (row, here, is_real), there in zip(rows, answers, strict=True):
            if not there.is_held:
                continue  # such a row does not arrive
            if there.error and here == "0" and self.question.use is carrying.Use.CHECK:
                refused = there.error  # in other words, but neither takes the row
                continue
            if there.error or not self._alike(here, there.text):
                return carrying.Judgement(tried, self._differs(row, here, there, is_real))
            tried += 1
        if not tried:
            says = f"the target says: {refused}" if refused else "it could not be tried on any value"
            return carrying.Judgement(against=says)
        return carrying.Judgement(tried)

    def _answer(self, row: weighing.Values, said: weighing.Said) -> str | None:
        """Return what the source says of a row. What it has no answer to is no row of it, and never will be.

        That is no reason to let the target take such a row, unless a number is just too large for both.
        """
        if not said.error or self.question.use is not carrying.Use.CHECK:
            return said.text
        return "0" if self._is_ordinary(row) else None

    def _asks(self, engine: base.Engine, sql: str, side: int) -> str:
        match self.question.use:
            case carrying.Use.CHECK:
                return weighing.check(sql)
            case carrying.Use.CONDITION:
                return weighing.condition(sql)
            case _:
                column = self.question.result[side] if self.question.result else None
                return weighing.value(engine, sql, column)

    def _taken(self, asks: str) -> list[tuple[tuple[str | None, ...], str | None]]:
        """Return rows that are there with their answers."""
        if not self.here:
            return []
        try:
            return weighing.rows(self.source, self.reading, self.question.table, self.here, asks, ROWS, self.where)
        except errors.ServerFailed:
            return []  # one of them has no answer: a constraint that holds for new rows only

    def _kind(self) -> Kind:
        return self.question.result[0].type.kind if self.question.result else Kind.ANY

    def _fits(self, text: str | None) -> bool:
        """Tell whether the source's own column holds the answer."""
        if text is None or self.question.result is None:
            return True
        of = self.question.result[0].type
        if of.kind is Kind.INTEGER:
            try:
                return int(decimal.Decimal(text)) in rowtext.integers(of)
            except (decimal.InvalidOperation, OverflowError):
                return False
        if of.kind is Kind.TEXT:
            return of.length is None or len(text) <= of.length
        return text != weighing.BEYOND

    def _alike(self, here: str | None, there: str | None) -> bool:
        return weighing.alike(here, there, self._kind())

    def _differs(self, row: weighing.Values, here: str | None, there: weighing.Said, is_real: bool) -> str:
        named = ", ".join(f"{c.name} = {_shown(v, c.type.kind)}" for c, v in zip(self.here, row, strict=True))
        given = "for rows that are there" if is_real else f"with {named}" if named else "asked by itself"
        if there.error:
            return f"{given} the target says: {there.error}"
        match self.question.use:
            case carrying.Use.CHECK:
                words = {"1": "takes the row", "0": "refuses it"}
            case carrying.Use.CONDITION:
                words = {"1": "says yes", "0": "says no"}
            case _:
                if is_real:
                    return f"{given} the target makes another value of it than the source"
                made = [_shown(text, self._kind()) for text in (here, there.text)]
                return f"{given} the source makes {made[0]} of it, and the target {made[1]}"
        return f"{given} the source {words[here or '']}, and the target {words[there.text or '']}"

    # -- values

    def _rows(self) -> list[tuple[str | None, ...]]:
        values = [list(self._values(c)) for c in self.here]
        size = 1
        for one in values:
            size *= len(one)
        if size <= MADE:
            rows = list(itertools.product(*values))
        else:  # not all pairs of so many: some of them, always the same
            chance = random.Random(size)
            rows = list({tuple(chance.choice(one) for one in values): None for _ in range(MADE)})
        # Together, as the server may refuse one of them, and has to be asked of each by itself then.
        large = [r for r in rows if not self._is_ordinary(r)]
        return [r for r in rows if self._is_ordinary(r)] + large[:LARGE]

    def _is_ordinary(self, row: weighing.Values) -> bool:
        """Tell whether sums and products of a row's numbers stay within all types."""
        numbers = [v for v, c in zip(row, self.here, strict=True) if v is not None and c.type.kind in _NUMBERS]
        return all(abs(decimal.Decimal(v)) <= _ORDINARY for v in numbers)

    def _values(self, column: catalog.Column) -> Iterator[str | None]:
        of = column.type
        if column.nullable:
            yield None
        if of.labels:
            yield from of.labels
            return
        if of.kind is Kind.INTEGER:
            yield from self._whole(of)
            return
        found = dict.fromkeys(_VALUES[of.kind])
        for word in self.question.words:
            found.update(dict.fromkeys(_around(word, of)))
        for text in found:
            if of.length is None or len(text) <= of.length:
                yield text

    def _whole(self, of: types.LogicalType) -> Iterator[str]:
        held = rowtext.integers(of)
        wanted = [*_WHOLE, held[0], held[-1]]
        for word in self.question.words:
            if word.isdigit() and len(word) < 20:
                wanted += [int(word) + n for n in (-1, 0, 1)] + [-int(word)]
        yield from dict.fromkeys(str(n) for n in wanted if n in held)


def _around(word: str, of: types.LogicalType) -> Iterator[str]:
    """Yield values at which a comparison with a literal may turn."""
    if of.kind is Kind.TEXT:
        bare = word.replace("%", "").replace("_", "x")
        for text in (word, bare, word.replace("%", "xy").replace("_", "é")):
            yield from (text, text.upper(), text.lower(), f"{text} ", f"{text}x", f"x{text}", text[:-1])
        if word.isdigit() and int(word) < 300:  # a length
            yield from ("x" * (int(word) + n) for n in (-1, 0, 1) if int(word) + n >= 0)
            yield from ("é" * (int(word) + n) for n in (-1, 0, 1) if int(word) + n >= 0)
    elif of.kind in (Kind.DECIMAL, Kind.FLOAT):
        try:
            number = decimal.Decimal(word)
        except decimal.InvalidOperation:
            return
        step = decimal.Decimal(1).scaleb(-(of.scale or 0)) if of.kind is Kind.DECIMAL else decimal.Decimal("0.5")
        yield from (str(number + n * step) for n in (-1, 0, 1))
    elif of.kind in (Kind.DATE, Kind.TIME, Kind.TIMESTAMP):
        try:
            yield rowtext.format_value(word, of)
        except ValueError:
            return


def _shown(value: str | None, kind: Kind) -> str:
    if value is None:
        return "NULL"
    if kind in (Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT, Kind.BOOLEAN):
        return value
    return repr(value if len(value) <= 40 else f"{value[:40]}…")
