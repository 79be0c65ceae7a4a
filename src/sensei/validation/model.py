"""What a validation is made of, as plain data: what is compared, what was found, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sensei import catalog
from sensei.catalog import types
from sensei.engines import base


class Perspective(StrEnum):
    """From where both sides are looked at, in the order of a report."""

    STRUCTURAL = "structural"
    DATA = "data"
    STATISTICAL = "statistical"
    REFERENTIAL = "referential"
    SEMANTIC = "semantic"
    BEHAVIORAL = "behavioral"
    PERFORMANCE = "performance"


class Severity(StrEnum):
    """How much a failure weighs: only critical ones fail a validation."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Verdict(StrEnum):
    """What one perspective found."""

    PASSED = "passed"
    FAILED = "failed"  #: something critical
    WARNED = "warning"  #: something, but nothing critical
    NOT_ASKED = "not_asked_for"  #: there was nothing to look at, or nobody asked: says so rather than passing


class Cause(StrEnum):
    """Why something differs: decided by evidence, see `causes`."""

    TRANSFORMATION_BUG = "transformation_bug"  #: the target is not what the plan makes of the source's row
    SOURCE_DATA_ISSUE = "source_data_issue"  #: the source's own row breaks the rule, or can't be held
    SOURCE_MOVED_ON = "source_moved_on"  #: the source is no longer what was copied: neither side is wrong
    MISSING_OBJECT = "missing_object"  #: planned, and not there as planned
    MISSING_STORED_PROCEDURE = "missing_stored_procedure"  #: a routine, trigger or view that the target lacks
    DIFFERENT_EXECUTION_PLAN = "different_execution_plan"
    DIFFERENT_ANSWER = "different_answer"  #: the same question, another answer, over the same rows
    SLOWER = "slower"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Failure:
    """One finding of a report, as `validations report` prints it."""

    perspective: Perspective
    table: str | None  #: id of the planned table; None where it concerns none alone
    severity: Severity
    cause: Cause
    recommended_action: str  #: the spec's words, and the next command to type
    detail: str  #: what was found, in an operator's words
    facts: Mapping[str, Any] = field(default_factory=dict)  #: the same as data

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data with the contract's keys first."""
        return {
            "perspective": str(self.perspective),
            "table": self.table,
            "severity": str(self.severity),
            "cause": str(self.cause),
            "recommended_action": self.recommended_action,
            "detail": self.detail,
            **({"facts": dict(self.facts)} if self.facts else {}),
        }


@dataclass(frozen=True)
class Outcome:
    """What one perspective has to say at the end of a run."""

    perspective: Perspective
    verdict: Verdict
    summary: str  #: one line for a person: what was looked at, how much of it
    failures: tuple[Failure, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)  #: numbers for the report: coverage, rows, seconds


@dataclass(frozen=True)
class Column:
    """One column on both sides."""

    source: str
    target: str
    type: types.LogicalType  #: the source's: what the copy promised
    guard: bool = False  #: the source may hold values that do not conform
    exact: bool = True  #: the target's type is the source's equal: bytes decide, else values do
    lossy: bool = False  #: the operator agreed that values may change: not compared, and said so


@dataclass(frozen=True)
class Key:
    """What names a row on both sides, and how the two are cut at the same places."""

    columns: tuple[str, ...]  #: the source's names
    targets: tuple[str, ...]  #: the target's names
    source_natives: tuple[str, ...] = ()
    target_natives: tuple[str, ...] = ()
    #: Both servers order it alike: whole numbers only. Other keys name rows, and are never compared by order.
    ordered: bool = False


@dataclass(frozen=True)
class Quarantined:
    """A row that the ledger says was not carried: missing on the target rightly."""

    key: Mapping[str, str | None]  #: by the source's columns, canonical text; {"position": n} where there is no key
    row: Mapping[str, str | None]  #: all of it
    column: str
    reason: str


@dataclass(frozen=True)
class Copied:
    """A chunk as it was copied: by its checksum, the source's rows are known to be those still, or not."""

    number: int
    read: base.ReadSpec
    form: base.Form
    checksum: str


@dataclass(frozen=True)
class Pair:
    """One table on both sides; plain and picklable. Columns that the target computes itself are not among them."""

    id: str  #: the planned table's
    source: catalog.TableName
    target: catalog.TableName
    columns: tuple[Column, ...]
    key: Key | None  #: None: a row is named by all of itself, and duplicates count
    #: Both sides are one engine, whose own values travelled: they compare as they are stored.
    own: bool = False
    rows: int = 0  #: about so many
    width: int = 0  #: bytes of a row on average; 0: not known
    quarantined: tuple[Quarantined, ...] = ()
    copied: tuple[Copied, ...] = ()
    #: The target's table was there before and has rows of its own: those besides the source's are no difference.
    shared: bool = False


@dataclass(frozen=True)
class Sample:
    """One difference, down to the values. A missing row has no target, an extra one no source."""

    key: Mapping[str, str | None]
    kind: str  #: "missing", "extra" or "different"
    column: str | None = None
    source: str | None = None  #: canonical text; None: NULL, or no such row (see `kind`)
    target: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data."""
        return {
            "key": dict(self.key),
            "kind": self.kind,
            "column": self.column,
            "source": self.source,
            "target": self.target,
        }


@dataclass(frozen=True)
class Pattern:
    """What many differences of a table have in common."""

    column: str | None
    kind: str  #: "rounded", "trailing_blanks", "shifted", "null_for_empty", "swapped", "case", …
    rows: int
    says: str  #: "all 312 differences are in price, at the third decimal"

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data."""
        return {"column": self.column, "kind": self.kind, "rows": self.rows, "says": self.says}


@dataclass(frozen=True)
class Divergence:
    """How far one table's rows are apart. Nothing differs where missing, extra and different are 0."""

    table: str
    rows_source: int
    rows_target: int
    rows_compared: int  #: of the source's rows, those that were looked at with every column
    missing: int = 0  #: on the target, without those in quarantine
    extra: int = 0  #: on the target, and not on the source
    different: int = 0
    quarantined: int = 0  #: missing on the target as the ledger says
    columns: Mapping[str, int] = field(default_factory=dict)  #: source column -> rows that differ in it
    samples: tuple[Sample, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    cause: Cause | None = None
    evidence: str = ""  #: why that cause, in words
    not_compared: tuple[str, ...] = ()  #: columns left out, since the operator agreed to lose some of them

    @property
    def same(self) -> bool:
        """Nothing differs in what was compared."""
        return not (self.missing or self.extra or self.different)

    def to_json(self) -> dict[str, Any]:
        """Return the table's entry of `validations divergence`."""
        return {
            "name": self.table,
            "rows_source": self.rows_source,
            "rows_target": self.rows_target,
            "rows_compared": self.rows_compared,
            "missing": self.missing,
            "extra": self.extra,
            "different": self.different,
            "quarantined": self.quarantined,
            "columns": dict(self.columns),
            "samples": [s.to_json() for s in self.samples],
            "patterns": [p.to_json() for p in self.patterns],
            "cause": None if self.cause is None else str(self.cause),
            "evidence": self.evidence,
            "not_compared": list(self.not_compared),
        }
