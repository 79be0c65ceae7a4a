"""Measures Sensei beside pgloader and pgcopydb on TPC-H lineitem and prints what came out."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Run as a file, Python looks for modules beside it; run as a module, where it was started.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

# Imported when the path is set; server first: it lets the tests' harness be found.
from benchmarks import apart, lineitem, mariadb, peers, peers_mariadb, report, rounds, server, subject  # noqa: E402

#: The database that holds the table on each server.
SOURCE = "bench_source"
PAIRS = ("sqlite-postgres", "postgres-postgres", "mariadb-postgres", "postgres-mariadb", "mariadb-mariadb")
#: The program that each pair is measured beside.
TOOLS = {
    "sqlite-postgres": "pgloader",
    "postgres-postgres": "pgcopydb",
    "mariadb-postgres": "pgloader",
    "mariadb-mariadb": "mydumper",
}


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="TPC-H scale: 1 is 6.0 million rows (default 0.1)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="turns of each tool; fewer than five say little (default 5)"
    )
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--only", choices=("sensei", "peers"), help="leave the other out; then there are no ratios")
    parser.add_argument("--parallelism", type=int, default=2, help="Sensei's workers (default 2)")
    parser.add_argument("--validation", choices=("none", "quick", "full"), default="none")
    parser.add_argument("--fsync", action="store_true", help="let the server wait for the disk, as in production")
    parser.add_argument(
        "--apart", action="store_true", help="give the target's server a core of its own: pairs of two servers only"
    )
    parser.add_argument("--no-sizes", action="store_true", help="skip the small size: rollback and memory at one")
    parser.add_argument(
        "--work",
        type=Path,
        help="folder for generated data, kept for the next time (default: a temporary one)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round as data")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables for the documentation")
    return parser.parse_args(words)


class _Bench:
    """The servers of one run, the table in each place that the pairs want it in, and the sides of each pair."""

    def __init__(self, wish: argparse.Namespace, pg: server.Server, my: mariadb.Server | None) -> None:
        self.wish, self.pg, self.my = wish, pg, my
        self.servers = (pg.pid, *([my.pid] if my else []))
        self.csv = self.file = Path()

    def fill(self, scale: float) -> None:
        """Put the table, at that scale, where the pairs read it from."""
        ends = {pair.partition("-")[0] for pair in self.wish.pairs}
        self.csv = lineitem.generate(self.wish.work, scale)
        self.file = self.wish.work / f"lineitem-{scale:g}.db"
        if "sqlite" in ends:
            lineitem.into_sqlite(self.csv, self.file)
        # Also where no pair reads it: it says what the sums have to be.
        lineitem.into_postgres(self.csv, self.pg, SOURCE)
        if self.my and "mariadb" in ends:
            mariadb.into_mariadb(self.csv, self.my, SOURCE)

    def clear(self) -> None:
        """Drop what `fill` put on the servers."""
        self.pg.drop_db(SOURCE)
        if self.my:
            self.my.drop_db(SOURCE)

    def target(self, pair: str) -> rounds.Target:
        """The server that a pair moves into."""
        if pair.endswith("-mariadb"):
            assert self.my
            return mariadb.Target(self.my)
        return rounds.PostgresTarget(self.pg)

    def others(self, pair: str) -> list[int]:
        """The servers that are not moved into; the target's own where it is the source's too."""
        into = self.target(pair).pid
        source, _, target = pair.partition("-")
        return [pid for pid in self.servers if pid != into or source == target]

    def side(self, name: str, pair: str) -> rounds.Side:
        """Sensei, or what it is measured beside."""
        wish, folder = self.wish, self.wish.work
        if name == "sensei":
            urls = {"sqlite": f"sqlite:///{self.file}", "postgres": self.pg.url(SOURCE)}
            if self.my:
                urls["mariadb"] = self.my.url(SOURCE)
            url = urls[pair.partition("-")[0]]
            return subject.Sensei(
                self.target(pair), self.servers, url, folder, parallelism=wish.parallelism, validation=wish.validation
            )
        if pair == "sqlite-postgres":
            return peers.Pgloader(self.pg, self.file, folder)
        if pair == "postgres-postgres":
            return peers.Pgcopydb(self.pg, SOURCE, folder)
        assert self.my
        if pair == "mariadb-postgres":
            return peers_mariadb.Pgloader(self.my, self.pg, SOURCE, folder)
        if pair == "postgres-mariadb":
            return peers_mariadb.ReadyFiles(self.my, self.csv, folder)
        return peers_mariadb.Mydumper(self.my, SOURCE, folder)


def _measure(wish: argparse.Namespace, pg: server.Server, my: mariadb.Server | None) -> dict[str, Any]:
    names = [name for name in ("sensei", "peer") if wish.only in (None, name, f"{name}s")]
    if "sensei" in names and not subject.is_there(wish.work):
        print("sensei --help does not run here: the peers are measured alone", file=sys.stderr)
        names.remove("sensei")
    tools = sorted({TOOLS[pair] for pair in wish.pairs if pair in TOOLS}) if "peer" in names else []
    versions = [peers.version(tool) for tool in tools]
    results: list[rounds.Result] = []
    small = "sensei" in names and not wish.no_sizes
    bench = _Bench(wish, pg, my)
    for scale, alone in ((wish.scale / 10, True), (wish.scale, False)):
        if alone and not small:
            continue
        bench.fill(scale)
        wanted = lineitem.summary(pg, SOURCE)
        for pair in wish.pairs:
            if wish.apart:
                apart.pin(bench.target(pair).pid, bench.others(pair))
            sides = [bench.side(name, pair) for name in (["sensei"] if alone else names)]
            results += rounds.play(
                bench.target(pair), pair, sides, times=wish.rounds, scale=scale, wanted=wanted, folder=wish.work
            )
        if wish.apart:
            apart.free(bench.servers)
        bench.clear()
    versions.append(f"PostgreSQL {pg.sql('postgres', 'SHOW server_version')[0][0]}")
    if my:
        versions.append(f"MariaDB {my.sql('mysql', 'SELECT version()')[0][0]}")
    return {
        "results": results,
        "help": subject.help_seconds(wish.work) if "sensei" in names else [],
        "versions": versions,
    }


def _tables(measured: dict[str, Any], scale: float) -> list[report.Table]:
    results: list[rounds.Result] = measured["results"]
    tables = [report.comparison(results, scale), report.costs(results, scale), report.sizes(results)]
    if measured["help"]:
        tables.append(report.start_up(measured["help"]))
    return [table for table in tables if table.rows]


def _preface(wish: argparse.Namespace, measured: dict[str, Any]) -> list[str]:
    results: list[rounds.Result] = measured["results"]
    here = report.machine()
    rows = max((one.rows for one in results), default=0)
    return [
        f"TPC-H lineitem at scale {wish.scale:g}: {rows:,} rows, primary key and statistics present at the "
        f"end. {wish.rounds} interleaved rounds, a fresh target each time, all on one machine over loopback. "
        f"Validation after the move: {wish.validation}. fsync: {'on' if wish.fsync else 'off'}."
        f"{' The server that is moved into has a core of its own, all else the others.' if wish.apart else ''}",
        f"{here['cores']} cores of {here['cpu']}, {here['system']}, Python {here['python']}; "
        f"{'; '.join(measured['versions'])}.",
        report.disturbed(results),
    ]


def _write(wish: argparse.Namespace, measured: dict[str, Any]) -> None:
    results: list[rounds.Result] = measured["results"]
    tables, preface = _tables(measured, wish.scale), _preface(wish, measured)
    print("\n\n".join(["\n".join(preface), *(table.text() for table in tables)]))
    if wish.markdown:
        again = f"Made by `python benchmarks/run.py --scale {wish.scale:g} --rounds {wish.rounds}`; what is"
        again += " compared and how is said in [benchmarks/README.md](../benchmarks/README.md)."
        parts = ["# Performance", again, *preface, *(table.markdown() for table in tables)]
        wish.markdown.write_text("\n\n".join(parts) + "\n")
    if wish.json:
        document = {
            "machine": report.machine(),
            "versions": measured["versions"],
            "scale": wish.scale,
            "rounds": wish.rounds,
            "parallelism": wish.parallelism,
            "validation": wish.validation,
            "fsync": wish.fsync,
            "help_cpu_seconds": measured["help"],
            "results": [one.plain() for one in results],
        }
        wish.json.write_text(json.dumps(document, indent=1) + "\n")


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 0, 1 where a tool failed or moved rows wrongly, 2 where something has to be installed."""
    wish = arguments(words)
    kept = wish.work is not None
    wish.work = wish.work.resolve() if kept else Path(tempfile.mkdtemp(prefix="sensei-bench-"))
    wish.work.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.ExitStack() as stack:
            pg = stack.enter_context(server.Server(fsync=wish.fsync))
            wanted = any("mariadb" in pair for pair in wish.pairs)
            my = stack.enter_context(mariadb.Server()) if wanted else None
            measured = _measure(wish, pg, my)
    except (peers.Missing, server.Missing, FileNotFoundError) as missing:
        print(missing, file=sys.stderr)
        return 2
    finally:
        if not kept:
            shutil.rmtree(wish.work, ignore_errors=True)
    _write(wish, measured)
    wrong = [one for one in measured["results"] if one.complaints]
    for one in wrong:
        print(f"{one.pair}, round {one.round}, {one.side}: {'; '.join(one.complaints)}", file=sys.stderr)
    return 1 if wrong or not measured["results"] else 0


if __name__ == "__main__":
    sys.exit(main())
