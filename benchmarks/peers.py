"""The tools beside which Sensei is measured: pgloader from SQLite, pgcopydb from PostgreSQL."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure, server

# The table is made by pgloader; a key of several columns it leaves behind, so that the key is built after the
# rows, as the other tools do. Casts: what SQLite declares is kept, so that both targets hold numeric(15,2)
# and date. Workers and batches: the best of those tried on two cores (README). ANALYZE is part of the work.
LOAD_FILE = """\
LOAD DATABASE
    FROM sqlite://{source}
    INTO {target}
WITH include no drop, create tables, create indexes, reset sequences,
    workers = {workers}, concurrency = 1, batch rows = {batch_rows}, prefetch rows = {prefetch_rows}
SET work_mem TO '64MB', maintenance_work_mem TO '256MB'
CAST type decimal to numeric keep typemod using float-to-string,
    type date to date drop typemod,
    type integer to bigint drop typemod
AFTER LOAD DO $$ ALTER TABLE lineitem ADD PRIMARY KEY (l_orderkey, l_linenumber); $$,
    $$ ANALYZE lineitem; $$;
"""


class Missing(Exception):
    """A tool is not installed; the message says how to install it."""


def find(name: str) -> str:
    """The program's path. Raises Missing."""
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name} is missing; on Debian or Ubuntu: apt-get install {name}")
    return path


def version(name: str) -> str:
    """The line in which the tool names its version."""
    done = subprocess.run([find(name), "--version"], capture_output=True, text=True, check=True)
    lines = [line.strip() for line in done.stdout.splitlines() if "version" in line]
    return lines[0].replace('"', "") if lines else name


@dataclass(frozen=True)
class Pgloader:
    """SQLite to PostgreSQL."""

    pg: server.Server
    source: Path
    folder: Path
    workers: int = 4
    batch_rows: int = 25_000
    prefetch_rows: int = 10_000

    name = "pgloader"

    def move(self, database: str) -> dict[str, measure.Cost]:
        """Load the file into an empty database; raises measure.Failed."""
        load = self.folder / "pgloader.load"
        load.touch(0o600)
        load.write_text(
            LOAD_FILE.format(
                source=self.source,
                target=self.pg.plain_url(database, secret=True),
                workers=self.workers,
                batch_rows=self.batch_rows,
                prefetch_rows=self.prefetch_rows,
            )
        )
        log = self.folder / "pgloader.log"
        cost = measure.run(
            [find("pgloader"), "--root-dir", str(self.folder / "pgloader"), "--on-error-stop", str(load)],
            log=log,
            servers=(self.pg.pid,),
        )
        load.unlink()
        return {"move": cost}


@dataclass(frozen=True)
class Pgcopydb:
    """PostgreSQL to PostgreSQL, the whole database."""

    pg: server.Server
    source: str
    folder: Path
    #: Such as ``64 MB``: larger tables are copied by several jobs; empty: never.
    split: str = ""

    name = "pgcopydb"

    def move(self, database: str) -> dict[str, measure.Cost]:
        """Clone the source database into an empty one; raises measure.Failed."""
        work = self.folder / "pgcopydb"
        shutil.rmtree(work, ignore_errors=True)
        split = ["--split-tables-larger-than", self.split] if self.split else []
        cost = measure.run(
            [
                *[find("pgcopydb"), "clone", "--no-acl", "--no-owner", "--dir", str(work)],
                *["--table-jobs", "2", "--index-jobs", "2", *split],
                *["--source", self.pg.plain_url(self.source), "--target", self.pg.plain_url(database)],
            ],
            log=self.folder / "pgcopydb.log",
            servers=(self.pg.pid,),
            environment=self.pg.environment(),
        )
        return {"move": cost}
