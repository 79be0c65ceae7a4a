"""The section `options`: how rows are moved and what happens to what stands in the way."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import pydantic

from sensei.config import fields
from sensei.config.fields import Section
from sensei.config.reader import shown


def _executor(value: str) -> str:
    if value != "local" and not re.fullmatch(r"dask://[A-Za-z0-9_.-]+:\d{1,5}", value):
        raise fields.wrong(f"expected local or dask://HOST:PORT, found '{shown(value)}'")
    return value


def _column(value: str) -> str:
    parts = value.split(".")
    if len(parts) not in (2, 3) or not all(parts):
        raise fields.wrong(f"expected a column as table.column or schema.table.column, found '{shown(value)}'")
    return value


class Options(Section):
    """How the rows are moved."""

    #: full: the source is quiet; live: its changes are captured and applied until cutover.
    mode: Literal["full", "live"] = "full"
    capture: Literal["auto", "log", "triggers"] = "auto"
    #: Workers that copy at the same time.
    parallelism: Annotated[int, pydantic.Field(ge=1, le=256)] = 2
    executor: Annotated[str, pydantic.AfterValidator(_executor)] = "local"
    #: Rows in a chunk, which is committed together with its ledger row.
    chunk_rows: Annotated[int, pydantic.Field(ge=1, le=100_000_000)] = 100_000
    #: A target table that is already there: fail, set aside and restored by rollback, or added to.
    on_existing: Literal["fail", "replace", "append"] = "fail"
    on_row_error: Literal["quarantine", "stop"] = "quarantine"
    #: What a rollback does with migrated tables: set aside, export to Parquet, or drop.
    evidence: Literal["keep", "export", "drop"] = "keep"
    #: Columns whose lossy mapping is agreed to, as table.column or schema.table.column.
    accept_lossy: tuple[Annotated[str, pydantic.AfterValidator(_column)], ...] = ()
    #: YAML reads an unquoted null as nothing; here it can only mean the word.
    zero_dates: Annotated[Literal["fail", "null", "text"], pydantic.BeforeValidator(lambda v: v or "null")] = "fail"
