"""Fixture of ends of any engine, so that a test over engines names the engine only."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, cast

import pytest

import ends


@pytest.fixture
def maker(request: pytest.FixtureRequest, tmp_path: Path) -> ends.Maker:
    """``maker("mysql")()``: a fresh, empty end of that engine, gone after the test. Servers start when asked for."""
    numbers = itertools.count(1)

    def of(engine: str) -> ends.Make:
        if engine == "sqlite":
            return lambda: tmp_path / f"end{next(numbers)}.db"
        make: Any = request.getfixturevalue({"postgres": "make_pg_db", "mysql": "make_mysql_db"}[engine])
        return lambda: cast(ends.End, make())

    return of
