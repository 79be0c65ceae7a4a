"""Fixtures of the command line's tests."""

from __future__ import annotations

import cli_case
import pytest

import ends
from fix_sensei import Sensei


@pytest.fixture
def files(sensei: Sensei, maker: ends.Maker) -> cli_case.Case:
    """From one SQLite file to another: the quickest ends."""
    return cli_case.new_case(sensei, ("sqlite", "sqlite"), maker)


@pytest.fixture
def to_postgres(sensei: Sensei, maker: ends.Maker) -> cli_case.Case:
    """From an SQLite file to a PostgreSQL database."""
    return cli_case.new_case(sensei, ("sqlite", "postgres"), maker)


@pytest.fixture
def between_postgres(sensei: Sensei, maker: ends.Maker) -> cli_case.Case:
    """From a PostgreSQL database to another."""
    return cli_case.new_case(sensei, ("postgres", "postgres"), maker)


@pytest.fixture(params=cli_case.DIRECTIONS, ids=cli_case.NAMES)
def case(request: pytest.FixtureRequest, sensei: Sensei, maker: ends.Maker) -> cli_case.Case:
    """A small shop, in each of the four directions."""
    return cli_case.new_case(sensei, request.param, maker)


@pytest.fixture
def call(sensei: Sensei) -> cli_case.InProcess:
    """Calls the command line in this process."""
    return cli_case.InProcess(sensei)
