"""A small migration between two fresh databases, and what a command that refuses must leave as it was."""

from __future__ import annotations

import contextlib
import io
import json as jsonlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import ends
import reader
from ends import End as Where
from ends import run as fill
from ends import url
from fix_sensei import Result, Sensei

DIRECTIONS = [("sqlite", "postgres"), ("postgres", "sqlite"), ("postgres", "postgres"), ("sqlite", "sqlite")]
NAMES = [f"{a} to {b}" for a, b in DIRECTIONS]

#: Understood by all engines.
SHOP = """
CREATE TABLE customers (
    id integer PRIMARY KEY, name text NOT NULL, email varchar(120) UNIQUE, credit decimal(10,2) DEFAULT 0);
CREATE TABLE orders (
    id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers (id),
    total decimal(10,2) NOT NULL CHECK (total >= 0));
CREATE INDEX orders_of_customer ON orders (customer_id);
INSERT INTO customers VALUES (1, 'Ada', 'ada@example.com', 12.50), (2, 'Grüße, 世界', NULL, 0.00),
    (3, 'O''Hara "the" % ?', 'o@example.com', 0.01);
INSERT INTO orders VALUES (1, 1, 9.99), (2, 1, 0.00), (3, 3, 100.25);
"""


@dataclass(repr=False)
class Case:
    """Two ends and the migration file between them."""

    sensei: Sensei
    source: Where
    target: Where
    config: dict[str, Any] = field(default_factory=dict)
    seen: list[Result] = field(default_factory=list)

    def file(self, changes: Mapping[str, Any] | None = None, name: str = "migration.yaml") -> Path:
        """Write the migration file, with some sections replaced."""
        return self.sensei.write(name, {**self.config, **(changes or {})})

    def run(self, *words: str | Path, real: bool = False, **how: Any) -> Result:
        """Run a command, in a process of its own where it moves data or `real` is set; remember what it printed."""
        moves = {"start", "resume"} & set(words)
        result = self.sensei(*words, **how) if real or moves else in_process(self.sensei, *words, **how)
        self.seen.append(result)
        return result

    def create(self, changes: Mapping[str, Any] | None = None) -> str:
        """Plan; return the id."""
        return str(self.run("migrations", "create", "--config", self.file(changes), json=True).data["id"])

    def completed(self, changes: Mapping[str, Any] | None = None) -> str:
        """Plan and run to the end; return the id."""
        migration = self.create(changes)
        self.run("migrations", "start", migration)
        return migration

    def snapshots(self) -> list[Any]:
        """What both ends hold, Sensei's own tables included where it counts that nothing was written at all."""
        return [_snapshot(self.source), _snapshot(self.target)]

    def query(self, where: Where, sql: str) -> list[tuple[Any, ...]]:
        """Ask one end directly."""
        return ends.ask(where, sql)


def _snapshot(where: Where) -> Any:
    if isinstance(where, Path) and not where.exists():
        return "no file"
    return reader.snapshot(where, ignore_prefixes=("nothing begins with this",))


def new_case(sensei: Sensei, direction: tuple[str, str], maker: ends.Maker, script: str = SHOP) -> Case:
    """Make both ends, the source filled by a script, the target empty."""
    source, target = (
        sensei.folder / f"{name}.db" if engine == "sqlite" else maker(engine)()
        for engine, name in zip(direction, ("source", "target"), strict=True)
    )
    fill(source, script)
    config: dict[str, Any] = {
        "name": "shop",
        "connections": {"here": url(source), "there": url(target)},
        "source": {"connection": "here"},
        "target": {"connection": "there"},
    }
    return Case(sensei, source, target, config)


def refusal(
    case: Case, words: Sequence[str | Path], code: str, exit_code: int, *essential: str, **how: Any
) -> dict[str, Any]:
    """Run with --json; stdout is the error document, its words say the essential, both ends stay as they were."""
    before = case.snapshots()
    result = case.run(*words, json=True, expect=exit_code, **how)
    error = result.data["error"]
    assert set(error) >= {"code", "message", "details"}
    assert error["code"] == code, result
    told = error["message"] + "\n" + str(error["details"].get("hint", ""))
    for part in essential:
        assert part in told, f"{part!r} is not said:\n{result}"
    readable(told)
    readable(result.stderr)
    assert case.snapshots() == before, f"something was written:\n{result}"
    return error


def readable(text: str) -> None:
    """No traceback, no Python in what an operator reads."""
    for sign in (
        "Traceback",
        "<class ",
        "object at 0x",
        "frozenset(",
        "PosixPath",
        "psycopg2.",
        "pymysql.",
        "apsw.",
        "None,",
        "Error:",
    ):
        assert sign not in text, f"{sign} in:\n{text}"


def leaks(case: Case, *secrets: str) -> list[str]:
    """Every place in output, home and store that holds a secret."""
    found = [f"output of {r.command}" for r in case.seen for s in secrets if s in r.stdout + r.stderr]
    for path in case.sensei.home.rglob("*"):
        if path.is_file():
            found += [str(path) for s in secrets if s.encode() in path.read_bytes()]
    return found


def without_privileges(sensei: Sensei, *words: str | Path) -> Result:
    """Run a command for which the modes of files count even where the tests run as root."""
    command = ("sensei", *(str(w) for w in words))
    # Root without the capabilities to override modes is a user like any other for its own files.
    first = [sys.executable, "-c", _DROP] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*first, sys.executable, "-m", *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=sensei.environment(),
        cwd=sensei.folder,
        timeout=120,
    )
    data = jsonlib.loads(done.stdout) if "--json" in command and done.stdout else None
    return Result(command, done.returncode, done.stdout, done.stderr, data)


#: Gives up CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER, which takes effect with the next exec.
_DROP = (
    "import ctypes, os, sys\n"
    "for capability in (1, 2, 3): ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)\n"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def ids(result: Result) -> list[str]:
    """The lines of stdout."""
    return [line for line in result.stdout.splitlines() if line]


def missing(keys: Iterable[str], document: Mapping[str, Any]) -> list[str]:
    """Keys that a document lacks."""
    return [k for k in keys if k not in document]


def in_process(
    sensei: Sensei,
    *words: str | Path,
    json: bool = False,
    expect: int | None = 0,
    env: Mapping[str, str] | None = None,
) -> Result:
    """Call the command line as a function, in the environment of a process: hundreds of starts take minutes.

    Not for what uses workers (more than four chunks to read): their helpers would be taken for the home's own.
    """
    from sensei.cli import app

    arguments = [*map(str, words), *(["--json"] if json else [])]
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, sensei.environment(env), clear=True),
        mock.patch("sys.stdin", io.StringIO()),
        contextlib.chdir(sensei.folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = app.run(arguments)
    result = Result(("sensei", *arguments), code, out.getvalue(), err.getvalue())
    if expect is not None and code != expect:
        pytest.fail(f"expected exit code {expect}:\n{result}", pytrace=False)
    if not json:
        return result
    try:
        data = jsonlib.loads(result.stdout)
    except ValueError as wrong:
        pytest.fail(f"stdout is not one JSON document ({wrong}):\n{result}", pytrace=False)
    return Result(result.command, code, result.stdout, result.stderr, data)


@dataclass(frozen=True)
class InProcess:
    """The command line called as a function, with --json."""

    sensei: Sensei

    def __call__(self, *words: str | Path, env: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """Return the exit code and the document of stdout."""
        result = in_process(self.sensei, *words, json=True, expect=None, env=env)
        readable(result.stderr)
        return result.returncode, result.data
