"""Sensei as an operator runs it: a process per command, a home of its own, a migration file."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import measure

if TYPE_CHECKING:
    from benchmarks import rounds

ROOT = Path(__file__).resolve().parent.parent

MIGRATION = """\
name: bench
source: {{connection: bench-source{schemas}}}
target: {{connection: bench-target{schema}}}
options: {{parallelism: {parallelism}}}
validation: {{auto: {validation}}}
"""


def command(*words: str) -> list[str]:
    """The command line with the Python that runs the benchmarks."""
    return [sys.executable, "-m", "sensei", *words]


def environment(home: Path | None = None) -> dict[str, str]:
    """Settings under which the checkout beside the benchmarks is the one that runs."""
    path = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    # Compiled once and kept, as after an installation; set to nothing, the variable is as if it were not there.
    return {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "", **({"SENSEI_HOME": str(home)} if home else {})}


def is_there(folder: Path) -> bool:
    """Whether the command line answers at all."""
    try:
        help_seconds(folder, times=1)
    except measure.Failed:
        return False
    return True


def help_seconds(folder: Path, times: int = 7) -> list[float]:
    """CPU seconds of ``sensei --help``, each time."""
    run = [
        measure.run(command("--help"), log=folder / "help.log", environment=environment(), sampled=False)
        for _ in range(times)
    ]
    return [cost.cpu_tool for cost in run]


@dataclass
class Sensei:
    """One pair of databases; every move has a home of its own, so that no round inherits from another."""

    target: rounds.Target
    #: Processes of every server that takes part.
    servers: tuple[int, ...]
    #: URL of the source as ``sensei connections add`` takes it.
    source: str
    folder: Path
    parallelism: int = 2
    validation: str = "none"
    _moves: int = field(default=0, init=False)
    _home: Path = field(default=Path(), init=False)
    _id: str = field(default="", init=False)

    name = "sensei"

    def move(self, database: str) -> dict[str, measure.Cost]:
        """Create a migration into an empty database and run it; raises measure.Failed."""
        self._moves += 1
        self._home = self.folder / f"home-{time.time_ns()}"
        self._home.mkdir(mode=0o700)
        config = self._home / "migration.yaml"
        schemas = ", schemas: [public]" if self.source.startswith("postgresql:") else ""
        config.write_text(
            MIGRATION.format(
                schemas=schemas,
                schema=f", schema: {self.target.schema}" if self.target.schema else "",
                parallelism=self.parallelism,
                validation=self.validation,
            )
        )
        self._run("connections", "add", "bench-source", self.source)
        self._run("connections", "add", "bench-target", self.target.url(database))
        create = self._run("migrations", "create", "--config", str(config), "--json")
        self._id = json.loads((self._home / "answer").read_text())["id"]
        return {"create": create, "start": self._run("migrations", "start", self._id, "--json")}

    def undo(self) -> measure.Cost:
        """Take the last move back in full; raises measure.Failed."""
        return self._run("migrations", "rollback", self._id, "--full", "--yes", "--json")

    def ask(self, command: str) -> measure.Cost:
        """Let a command tell of the last migration: plan, status."""
        return self._run("migrations", command, self._id, "--json")

    def _run(self, *words: str) -> measure.Cost:
        # What a failing command answers with --json is its explanation, so that it goes into the log too.
        log = self.folder / "sensei.log"
        answer = self._home / "answer"
        try:
            return measure.run(
                command(*words),
                log=log,
                servers=self.servers,
                environment=environment(self._home),
                output=answer,
            )
        except measure.Failed as failure:
            said = answer.read_text(errors="replace")[-1000:]
            raise measure.Failed(f"sensei {' '.join(words[:2])}: {failure}\n{said}") from None
