"""Measures Sensei beside pgloader and pgcopydb on TPC-H lineitem and prints what came out."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Run as a file, Python looks for modules beside it; run as a module, where it was started.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import lineitem, peers, report, rounds, server, subject  # noqa: E402 - needs the path

PAIRS = ("sqlite-postgres", "postgres-postgres")


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
    parser.add_argument("--no-sizes", action="store_true", help="skip the small size: rollback and memory at one")
    parser.add_argument(
        "--work",
        type=Path,
        help="folder for generated data, kept for the next time (default: a temporary one)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round as data")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables for the documentation")
    return parser.parse_args(words)


def _side(name: str, pair: str, pg: server.Server, file: Path, source: str, wish: argparse.Namespace) -> rounds.Side:
    folder: Path = wish.work
    if name == "sensei":
        url = f"sqlite:///{file}" if pair == "sqlite-postgres" else pg.url(source)
        return subject.Sensei(pg, url, folder, parallelism=wish.parallelism, validation=wish.validation)
    return peers.Pgloader(pg, file, folder) if pair == "sqlite-postgres" else peers.Pgcopydb(pg, source, folder)


def _measure(wish: argparse.Namespace, pg: server.Server) -> dict[str, Any]:
    names = [name for name in ("sensei", "peer") if wish.only in (None, name, f"{name}s")]
    if "sensei" in names and not subject.is_there(wish.work):
        print("sensei --help does not run here: the peers are measured alone", file=sys.stderr)
        names.remove("sensei")
    if "peer" in names:
        tools = [tool for pair, tool in zip(PAIRS, ("pgloader", "pgcopydb"), strict=True) if pair in wish.pairs]
        versions = [peers.version(tool) for tool in tools]
    else:
        versions = []
    results: list[rounds.Result] = []
    small = "sensei" in names and not wish.no_sizes
    for scale, alone in ((wish.scale / 10, True), (wish.scale, False)):
        if alone and not small:
            continue
        made = lineitem.generate(wish.work, scale)
        file, source = wish.work / f"lineitem-{scale:g}.db", "bench_source"
        lineitem.into_sqlite(made, file)
        lineitem.into_postgres(made, pg, source)
        wanted = lineitem.summary(pg, source)
        for pair in wish.pairs:
            sides = [_side(name, pair, pg, file, source, wish) for name in (["sensei"] if alone else names)]
            results += rounds.play(pg, pair, sides, times=wish.rounds, scale=scale, wanted=wanted, folder=wish.work)
        pg.drop_db(source)
    return {
        "results": results,
        "help": subject.help_seconds(wish.work) if "sensei" in names else [],
        "versions": [*versions, f"PostgreSQL {pg.sql('postgres', 'SHOW server_version')[0][0]}"],
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
        f"Validation after the move: {wish.validation}. fsync: {'on' if wish.fsync else 'off'}.",
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
        with server.Server(fsync=wish.fsync) as pg:
            measured = _measure(wish, pg)
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
