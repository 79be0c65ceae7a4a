"""The condition language of `auto_rollback`: comparisons of measured metrics, and bare events."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sensei import errors

#: Metric -> its unit: "ratio" (1 is 100%), "seconds" or "count".
METRICS: dict[str, str] = {
    "error_rate": "ratio",  # rows quarantined or failed / rows tried
    "row_count_mismatch": "ratio",  # |rows on source - rows on target| / rows on source
    "progress": "ratio",  # rows copied / rows to copy
    "duration": "seconds",  # since start, pauses left out
    "planned_duration": "seconds",  # the estimate of the plan
    "lag": "seconds",  # age of the oldest change not yet applied
    "lag_changes": "count",  # changes not yet applied
    "errors": "count",  # errors so far, retried ones included
    "rows_quarantined": "count",
    "throughput": "count",  # rows a second, over the last minute
}

#: Bare words that are true or false -> what makes them true.
EVENTS: dict[str, str] = {
    "validation_failure": "the latest validation found a difference",
}

#: Seconds in each unit of a duration.
DURATION_UNITS: dict[str, float] = {
    "ms": 0.001,
    "s": 1,
    "sec": 1,
    "m": 60,
    "min": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
}

# Long enough for every sensible condition, short enough that nesting can't exhaust the stack.
MAX_LENGTH = 200
MAX_DEPTH = 20

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_NUMBER = r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_UNITS = "|".join(sorted(DURATION_UNITS, key=len, reverse=True))
_DURATION = rf"(?:{_NUMBER}(?:{_UNITS})(?![A-Za-z_]))(?:{_NUMBER}(?:{_UNITS})(?![A-Za-z_]))*"
# A duration of several parts, such as 1h30m, has digits right behind its units: only letters end a unit.
_TOKEN = re.compile(
    rf"\s*(?:(?P<duration>{_DURATION})|(?P<percent>{_NUMBER})\s*%|(?P<number>{_NUMBER})(?![A-Za-z_0-9.])"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<symbol>>=|<=|==|!=|[-+*/()<>]))"
)
_PART = re.compile(rf"({_NUMBER})({_UNITS})")


def parse_duration(text: str) -> float:
    """Return the seconds that a duration such as `30m`, `4h` or `1h30m` stands for.

    Raises errors.BadInput where the text is no duration.
    """
    stripped = text.strip()
    seconds = math.inf
    if len(stripped) <= MAX_LENGTH and re.fullmatch(_DURATION, stripped):
        seconds = sum(float(n) * DURATION_UNITS[unit] for n, unit in _PART.findall(stripped))
    if not math.isfinite(seconds):
        raise errors.BadInput("expected a duration such as 30s, 15m, 4h, 7d or 1h30m")
    return seconds


def format_duration(seconds: float) -> str:
    """Return the shortest text that parse_duration reads back as exactly these seconds (>= 0)."""
    for unit in ("d", "h", "m"):
        size = DURATION_UNITS[unit]
        if seconds and seconds % size == 0 and seconds / size < 1e15:
            return f"{int(seconds // size)}{unit}"
    return _plain(seconds) + "s"


@dataclass(frozen=True)
class Number:
    """A number as it was written: plain, with `%`, or seconds."""

    value: float
    unit: str = ""  #: "", "%" or "s"

    def __str__(self) -> str:
        return format_duration(self.value) if self.unit == "s" else _plain(self.value) + self.unit

    def evaluate(self, values: Mapping[str, float | bool]) -> float:
        """Return the value, 5% as 0.05."""
        return self.value / 100 if self.unit == "%" else self.value


@dataclass(frozen=True)
class Metric:
    """A measured value, by its name in METRICS."""

    name: str

    def __str__(self) -> str:
        return self.name

    def evaluate(self, values: Mapping[str, float | bool]) -> float:
        """Return what was measured; a metric that was not measured is NaN, of which nothing holds."""
        return float(values.get(self.name, math.nan))


@dataclass(frozen=True)
class Arithmetic:
    """Two terms joined by `*`, `/`, `+` or `-`."""

    left: Term
    symbol: str
    right: Term

    def __str__(self) -> str:
        def side(term: Term) -> str:
            return f"({term})" if isinstance(term, Arithmetic) else str(term)

        return f"{side(self.left)} {self.symbol} {side(self.right)}"

    def evaluate(self, values: Mapping[str, float | bool]) -> float:
        """Return the result; a division by zero is NaN, of which nothing holds."""
        left, right = self.left.evaluate(values), self.right.evaluate(values)
        if self.symbol == "*":
            return left * right
        if self.symbol == "+":
            return left + right
        if self.symbol == "-":
            return left - right
        return left / right if right else math.nan


Term = Number | Metric | Arithmetic


@dataclass(frozen=True)
class Comparison:
    """A condition that compares two terms."""

    left: Term
    symbol: str
    right: Term

    def __str__(self) -> str:
        return f"{self.left} {self.symbol} {self.right}"

    @property
    def names(self) -> frozenset[str]:
        """The metrics that must be measured to evaluate the condition."""
        return _names(self.left) | _names(self.right)

    def holds(self, values: Mapping[str, float | bool]) -> bool:
        """Tell whether the condition is true of these measurements.

        Seconds and ratios are given as such (5% is 0.05). A metric that is missing or NaN, and a division
        by zero, make it false: a trigger never fires on what was not measured.
        """
        left, right = self.left.evaluate(values), self.right.evaluate(values)
        if math.isnan(left) or math.isnan(right):
            return False
        return _COMPARE[self.symbol](left, right)


@dataclass(frozen=True)
class Event:
    """A condition that is a bare event."""

    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def names(self) -> frozenset[str]:
        """The event's own name."""
        return frozenset({self.name})

    def holds(self, values: Mapping[str, float | bool]) -> bool:
        """Tell whether the event took place; one that is missing did not."""
        return bool(values.get(self.name, False))


Condition = Comparison | Event


def parse(text: str) -> Condition:
    """Read a condition such as `error_rate > 5%` or `duration > planned_duration * 2`.

    Raises errors.BadInput with the column (details: `column`, counted from 1) and, for an unknown name,
    the nearest known one.
    """
    return _Parser(text).condition()


def _names(term: Term) -> frozenset[str]:
    if isinstance(term, Metric):
        return frozenset({term.name})
    if isinstance(term, Arithmetic):
        return _names(term.left) | _names(term.right)
    return frozenset()


def _plain(value: float) -> str:
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int


class _Parser:
    """Recursive descent over one condition; carries the unit of each term to refuse a time against a rate."""

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > MAX_LENGTH:
            raise self.wrong(f"a condition has at most {MAX_LENGTH} characters, this one {len(text)}", MAX_LENGTH + 1)
        self.tokens: list[_Token] = []
        self.at = 0
        self.depth = 0
        position = 0
        end = len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                start = position + len(text[position:]) - len(text[position:].lstrip())
                raise self.wrong(f"'{text[start:].split()[0]}' can't be read here", start + 1)
            self.tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup) + 1))
            position = match.end()
        self.tokens.append(_Token("end", "", end + 1))

    def wrong(self, message: str, column: int, hint: str = "") -> errors.BadInput:
        return errors.BadInput(f"column {column}: {message}", hint=hint, column=column)

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def take(self, *symbols: str) -> _Token | None:
        token = self.token
        if token.kind == "symbol" and token.text in symbols:
            self.at += 1
            return token
        return None

    def condition(self) -> Condition:
        if self.token.kind == "end":
            raise self.wrong("a condition is missing, such as 'error_rate > 5%'", 1)
        if self.token.kind == "name" and self.token.text in EVENTS:
            name = self.token.text
            self.at += 1
            if self.token.kind != "end":
                raise self.wrong(f"nothing may follow the event '{name}'", self.token.column)
            return Event(name)
        left, left_unit = self.sum()
        compare = self.take(*_COMPARE)
        if compare is None:
            found = f", found '{self.token.text}'" if self.token.text else ""
            raise self.wrong(f"expected a comparison ({' '.join(_COMPARE)}){found}", self.token.column)
        right_column = self.token.column
        right, right_unit = self.sum()
        if self.token.kind != "end":
            raise self.wrong(
                f"expected the end of the condition, found '{self.token.text}' (one comparison a condition;"
                " write another trigger for the second)",
                self.token.column,
            )
        result = Comparison(left, compare.text, right)
        if not result.names:
            raise self.wrong("the condition names no metric; known are " + ", ".join(METRICS), 1)
        self.same(left_unit, right_unit, right_column)
        for metric, number in ((left, right), (right, left)):
            if _is_rate(metric) and isinstance(number, Number) and not number.unit and number.value > 1:
                raise self.wrong(
                    f"a rate compared with {number}, which is {_plain(number.value * 100)}%;"
                    f" write {number}% or a number from 0 to 1",
                    right_column if number is right else 1,
                )
        return result

    def sum(self) -> tuple[Term, str]:
        left, unit = self.product()
        while symbol := self.take("+", "-"):
            column = self.token.column
            right, right_unit = self.product()
            self.same(unit, right_unit, column)
            left = Arithmetic(left, symbol.text, right)
        return left, unit

    def product(self) -> tuple[Term, str]:
        left, unit = self.atom()
        while symbol := self.take("*", "/"):
            column = self.token.column
            right, right_unit = self.atom()
            if symbol.text == "*" and unit and right_unit:
                raise self.wrong("a time can't be multiplied by a time", column)
            if symbol.text == "/" and right_unit and not unit:
                raise self.wrong("a plain number or rate can't be divided by a time", column)
            unit = (unit or right_unit) if symbol.text == "*" else ("" if right_unit else unit)
            left = Arithmetic(left, symbol.text, right)
        return left, unit

    def atom(self) -> tuple[Term, str]:
        token = self.token
        if self.take("("):
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise self.wrong(f"more than {MAX_DEPTH} parentheses in one another", token.column)
            inner = self.sum()
            if not self.take(")"):
                raise self.wrong(f"the parenthesis of column {token.column} is not closed", self.token.column)
            self.depth -= 1
            return inner
        if token.kind in ("number", "percent", "duration"):
            self.at += 1
            value = self.number(token)
            return Number(value, {"number": "", "percent": "%", "duration": "s"}[token.kind]), (
                "s" if token.kind == "duration" else ""
            )
        if token.kind == "name":
            self.at += 1
            return Metric(self.known(token)), "s" if METRICS[token.text] == "seconds" else ""
        found = f", found '{token.text}'" if token.text else ""
        raise self.wrong(f"expected a metric, a number, a percentage or a duration{found}", token.column)

    def number(self, token: _Token) -> float:
        try:
            value = parse_duration(token.text) if token.kind == "duration" else float(token.text)
        except errors.BadInput:
            value = math.inf
        if not math.isfinite(value):
            raise self.wrong("the number is too large", token.column)
        return value

    def known(self, token: _Token) -> str:
        if token.text in METRICS:
            return token.text
        if token.text in EVENTS:
            raise self.wrong(f"'{token.text}' is an event and stands alone", token.column)
        near = difflib.get_close_matches(token.text, [*METRICS, *EVENTS], n=1)
        asked = f"; did you mean '{near[0]}'?" if near else ""
        raise self.wrong(
            f"unknown metric '{token.text}'{asked}",
            token.column,
            hint="known are " + ", ".join([*METRICS, *EVENTS]),
        )

    def same(self, left: str, right: str, column: int) -> None:
        if left != right:
            has, lacks = ("left", "right") if left else ("right", "left")
            raise self.wrong(
                f"the {has} side is a time, the {lacks} side is not; times are written 30s, 15m, 4h", column
            )


def _is_rate(term: Term) -> bool:
    return isinstance(term, Metric) and METRICS[term.name] == "ratio"
