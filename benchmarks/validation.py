"""Measures the comparison of data beside reladiff, the plain scan of both tables, and the copy that is checked."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

# Run as a file, Python looks for modules beside it; run as a module, where it was started.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import lineitem, measure, rounds, server, subject  # noqa: E402 - needs the path

PAIRS = ("postgres-postgres", "sqlite-postgres")
SOURCE = "bench_source"
#: Made by a copy of Sensei's own, one a pair: types are those that a migration gives.
TARGETS = {pair: f"bench_checked_{pair.partition('-')[0]}" for pair in PAIRS}
#: Ten rows all over the table, each changed in another column's last place.
DAMAGE = """
CREATE TABLE damaged AS SELECT l_orderkey AS k, l_linenumber AS n FROM (
  SELECT l_orderkey, l_linenumber, row_number() OVER () AS n, count(*) OVER () AS c FROM lineitem) s
  WHERE n % (c / 10) = c / 20 LIMIT 10;
UPDATE lineitem SET l_comment = l_comment || ' ' FROM damaged WHERE l_orderkey = k AND l_linenumber = n
"""
#: Of these rows alone: others may end with a blank of their own.
MENDED = """
UPDATE lineitem SET l_comment = left(l_comment, -1) FROM damaged WHERE l_orderkey = k AND l_linenumber = n;
DROP TABLE damaged
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validation", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="TPC-H scale: 1 is 6.0 million rows (default 0.1)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default 5)")
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--parallelism", type=int, default=2, help="workers of Sensei, threads of reladiff (default 2)")
    parser.add_argument("--reladiff", help="the command, where it is not on the path")
    parser.add_argument("--no-copy", action="store_true", help="do not measure the copy")
    parser.add_argument("--work", type=Path, help="folder for generated data, kept for the next time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round as data")
    return parser.parse_args()


class Bench:
    """Two servers' worth of the same rows, and what is measured on them."""

    def __init__(self, wish: argparse.Namespace, pg: server.Server) -> None:
        self.wish, self.pg = wish, pg
        self.folder: Path = wish.work
        self.file = self.folder / f"lineitem-{wish.scale:g}.db"
        self.log = self.folder / "validation.log"

    def load(self) -> None:
        made = lineitem.generate(self.folder, self.wish.scale)
        if any(pair.startswith("sqlite") for pair in self.wish.pairs):
            lineitem.into_sqlite(made, self.file)
        lineitem.into_postgres(made, self.pg, SOURCE)
        for pair in self.wish.pairs:
            self.pg.create_db(TARGETS[pair])
            self._move(pair, TARGETS[pair])
            self.pg.sql(TARGETS[pair], "VACUUM (FREEZE, ANALYZE) lineitem")

    def _move(self, pair: str, database: str) -> measure.Cost:
        url = self.source(pair) if pair.startswith("sqlite") else self.pg.url(SOURCE)
        into, workers = rounds.PostgresTarget(self.pg), self.wish.parallelism
        cost = subject.Sensei(into, (self.pg.pid,), url, self.folder, parallelism=workers).move(database)["start"]
        print(f"{pair}, copied into {database}: {cost.wall:.2f} s", file=sys.stderr, flush=True)
        return cost

    def run(self, words: list[str], expect: tuple[int, ...] = (0,), output: Path | None = None) -> measure.Cost:
        return measure.run(
            words,
            log=self.log,
            servers=(self.pg.pid,),
            environment={**subject.environment(), **self.pg.environment(), server.PASSWORD_VARIABLE: self._password()},
            expect=expect,
            output=output,
        )

    def _password(self) -> str:
        return self.pg.environment()["PGPASSWORD"]

    def source(self, pair: str) -> str:
        return f"sqlite:///{self.file}" if pair.startswith("sqlite") else self.pg.plain_url(SOURCE, secret=True)

    def sensei(self, pair: str, differing: int) -> measure.Cost:
        answer = self.folder / "answer.json"
        cost = self.run(
            [
                *[
                    sys.executable,
                    "-m",
                    "benchmarks.compare",
                    self.source(pair),
                    self.pg.plain_url(TARGETS[pair], secret=True),
                ],
                str(self.wish.parallelism),
            ],
            output=answer,
        )
        found = json.loads(answer.read_text())
        if found["different"] != differing or found["missing"] or found["extra"]:
            raise measure.Failed(f"{differing} rows differ, found was {found}")
        return cost

    def scan(self, pair: str) -> measure.Cost:
        """Every byte of both tables read once, both servers at once, by their own clients."""
        copy = f"{self.pg.bindir / 'psql'} -X -q -c 'COPY lineitem TO STDOUT' '{{url}}' > /dev/null"
        first = copy.format(url=self.pg.plain_url(SOURCE))
        if pair.startswith("sqlite"):
            first = f"sqlite3 '{self.file}' 'SELECT * FROM lineitem' > /dev/null"
        return self.run(["sh", "-c", f"{first} & {copy.format(url=self.pg.plain_url(TARGETS[pair]))}; wait"])

    def reladiff(self, tool: str) -> measure.Cost:
        ends = [w for name in (SOURCE, TARGETS[PAIRS[0]]) for w in (self.pg.plain_url(name, secret=True), "lineitem")]
        return self.run(
            [
                *[tool, *ends, "-k", "l_orderkey", "-k", "l_linenumber", "-c", "%", "-s"],
                *["-j", str(self.wish.parallelism)],
            ]
        )

    def copy(self, pair: str) -> measure.Cost:
        self.pg.drop_db("bench_copy")
        self.pg.create_db("bench_copy")
        cost = self._move(pair, "bench_copy")
        self.pg.drop_db("bench_copy")
        return cost


def turns(bench: Bench, pair: str, tool: str | None) -> Iterator[tuple[str, Callable[[], measure.Cost]]]:
    """Yield what is measured in one round."""
    yield "sensei", lambda: bench.sensei(pair, 0)
    yield "scan", lambda: bench.scan(pair)
    if tool and pair == "postgres-postgres":
        yield "reladiff", lambda: bench.reladiff(tool)
    yield "sensei, 10 rows differ", lambda: _damaged(bench, pair)
    if not bench.wish.no_copy:
        yield "copy", lambda: bench.copy(pair)


def _damaged(bench: Bench, pair: str) -> measure.Cost:
    bench.pg.sql(TARGETS[pair], DAMAGE)
    try:
        return bench.sensei(pair, 10)
    finally:
        bench.pg.sql(TARGETS[pair], MENDED)
        bench.pg.sql(TARGETS[pair], "VACUUM lineitem")


def measured(bench: Bench, tool: str | None) -> dict[str, dict[str, list[measure.Cost]]]:
    found: dict[str, dict[str, list[measure.Cost]]] = {}
    for number in range(1, bench.wish.rounds + 1):
        for pair in bench.wish.pairs:
            for name, act in turns(bench, pair, tool):
                cost = act()
                found.setdefault(pair, {}).setdefault(name, []).append(cost)
                busy = " (neighbours were busy)" if cost.disturbed else ""
                print(f"{pair}, round {number}, {name}: {cost.wall:.2f} s{busy}", file=sys.stderr, flush=True)
    return found


def table(found: dict[str, dict[str, list[measure.Cost]]]) -> Iterator[str]:
    yield f"{'pair':<20}{'what':<26}{'seconds':>9}{'CPU tool':>10}{'CPU server':>12}{'peak MB':>9}{'of sensei':>11}"
    for pair, sides in found.items():
        base = statistics.median(c.wall for c in sides["sensei"])
        for name, costs in sides.items():
            wall, tool, there = (
                statistics.median(getattr(c, what) for c in costs) for what in ("wall", "cpu_tool", "cpu_server")
            )
            peak = max(c.peak_process for c in costs) / 1e6
            yield f"{pair:<20}{name:<26}{wall:>9.2f}{tool:>10.2f}{there:>12.2f}{peak:>9.0f}{wall / base:>10.2f}x"


def main() -> int:
    """Exit code 0, 1 where something failed or was not found, 2 where something has to be installed."""
    wish = arguments()
    kept = wish.work is not None
    wish.work = wish.work.resolve() if kept else Path(tempfile.mkdtemp(prefix="sensei-bench-"))
    wish.work.mkdir(parents=True, exist_ok=True)
    beside = Path(sys.executable).parent / "reladiff"
    tool = wish.reladiff or shutil.which("reladiff") or (str(beside) if beside.exists() else None)
    if tool is None:
        print("reladiff is not installed: measured without it", file=sys.stderr)
    try:
        with server.Server() as pg:
            bench = Bench(wish, pg)
            bench.load()
            found = measured(bench, tool)
    except (server.Missing, FileNotFoundError) as missing:
        print(missing, file=sys.stderr)
        return 2
    except (measure.Failed, subprocess.SubprocessError) as failed:
        print(failed, file=sys.stderr)
        return 1
    finally:
        if not kept:
            shutil.rmtree(wish.work, ignore_errors=True)
    print("\n".join(table(found)))
    if wish.json:
        plain = {p: {n: [c.__dict__ for c in costs] for n, costs in s.items()} for p, s in found.items()}
        wish.json.write_text(json.dumps({"scale": wish.scale, "cores": os.cpu_count(), "results": plain}, indent=1))
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
