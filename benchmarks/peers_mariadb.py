"""The tools beside which Sensei is measured where MariaDB is one end: pgloader, ready files, mydumper and myloader."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks import lineitem, mariadb, measure, peers, server

# Types as for SQLite: what MariaDB declares is kept. The key stays behind here, too, so that it is built after the
# rows. pgloader makes a schema of the database's name, so it is told to call it public.
LOAD_FILE = """\
LOAD DATABASE
    FROM {source}
    INTO {target}
WITH include no drop, create tables, create indexes, reset sequences,
    workers = 4, concurrency = 1, batch rows = 25000, prefetch rows = 10000
SET PostgreSQL PARAMETERS work_mem to '64MB', maintenance_work_mem to '256MB'
CAST type decimal to numeric keep typemod,
    type date to date drop default drop not null,
    type int to bigint drop typemod
ALTER SCHEMA '{schema}' RENAME TO 'public'
AFTER LOAD DO $$ ALTER TABLE lineitem ADD PRIMARY KEY (l_orderkey, l_linenumber); $$,
    $$ ANALYZE lineitem; $$;
"""


@dataclass(frozen=True)
class Pgloader:
    """MariaDB to PostgreSQL."""

    my: mariadb.Server
    pg: server.Server
    source: str
    folder: Path

    name = "pgloader"

    def move(self, database: str) -> dict[str, measure.Cost]:
        """Load the database into an empty one; raises measure.Failed."""
        load = self.folder / "pgloader-mariadb.load"
        load.touch(0o600)
        load.write_text(
            LOAD_FILE.format(
                source=self.my.plain_url(self.source),
                target=self.pg.plain_url(database, secret=True),
                schema=self.source,
            )
        )
        cost = measure.run(
            [peers.find("pgloader"), "--root-dir", str(self.folder / "pgloader"), "--on-error-stop", str(load)],
            log=self.folder / "pgloader-mariadb.log",
            servers=(self.pg.pid, self.my.pid),
        )
        load.unlink()
        return {"move": cost}


@dataclass(frozen=True)
class ReadyFiles:
    """The limit of what MariaDB can take: two streams of LOAD DATA from files that are there already."""

    my: mariadb.Server
    csv: Path
    folder: Path

    name = "ready files"

    def move(self, database: str) -> dict[str, measure.Cost]:
        """Load both halves side by side into a table with its key, then analyze it; raises measure.Failed."""
        halves = self._halves()
        options = f"--defaults-extra-file={self.my.options(self.folder)}"
        client = f"{peers.find('mariadb')} {options} --local-infile=1 {database}"
        table = f"{lineitem.schema()[:-1]}, {lineitem.KEY}) ENGINE=InnoDB"
        load = "LOAD DATA LOCAL INFILE '{}' INTO TABLE lineitem CHARACTER SET utf8mb4"
        first, second = (f'{client} -e "{load.format(half)}"' for half in halves)
        script = (
            f"set -e\n{client} -e '{table}'\n{first} & other=$!\n{second}\nwait $other\n"
            f"{client} -e 'ANALYZE TABLE lineitem' >/dev/null"
        )
        cost = measure.run(["/bin/sh", "-c", script], log=self.folder / "ready.log", servers=(self.my.pid,))
        return {"move": cost}

    def _halves(self) -> tuple[Path, Path]:
        """Write the two files, split along the key, tab separated: what they take is in no figure."""
        first, second = (self.csv.with_suffix(f".{n}.tsv") for n in (1, 2))
        if not second.exists():
            import csv

            with self.csv.open(newline="") as file:
                total = sum(1 for _ in file) - 1
            with self.csv.open(newline="") as file, first.open("w") as a, second.with_suffix(".part").open("w") as b:
                rows = csv.reader(file)
                next(rows)
                for number, row in enumerate(rows):
                    (a if number < total // 2 else b).write("\t".join(row) + "\n")
            second.with_suffix(".part").rename(second)
        return first, second


@dataclass(frozen=True)
class Mydumper:
    """MariaDB to MariaDB by way of files: mydumper, then myloader."""

    my: mariadb.Server
    source: str
    folder: Path

    name = "mydumper, myloader"

    def move(self, database: str) -> dict[str, measure.Cost]:
        """Dump the source and load it into an empty database; raises measure.Failed."""
        dump = self.folder / "mydumper"
        shutil.rmtree(dump, ignore_errors=True)
        options = f"--defaults-file={self.my.options(self.folder)}"
        log = self.folder / "mydumper.log"
        out = measure.run(
            [
                *[peers.find("mydumper"), options, "--database", self.source, "--outputdir", str(dump)],
                *["--threads", "2", "--rows", "500000", "--trx-consistency-only"],
            ],
            log=log,
            servers=(self.my.pid,),
        )
        back = measure.run(
            [
                *[peers.find("myloader"), options, "--database", database, "--directory", str(dump)],
                # Two threads of this version stop at the first deadlock of MariaDB's bulk inserts, in each round.
                *["--threads", "1", "--overwrite-tables"],
            ],
            log=log,
            servers=(self.my.pid,),
        )
        analyze = measure.run(
            [
                *[peers.find("mariadb"), f"--defaults-extra-file={self.my.options(self.folder)}", database],
                *["-e", "ANALYZE TABLE lineitem"],
            ],
            log=log,
            servers=(self.my.pid,),
        )
        shutil.rmtree(dump, ignore_errors=True)
        return {"move": out + back + analyze}
