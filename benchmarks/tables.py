"""Measures whether the commands stay linear in the number of tables: small ones, with foreign keys among them."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
from pathlib import Path

# Run as a file, Python looks for modules beside it; run as a module, where it was started.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import measure, report, rounds, server, subject  # noqa: E402 - needs the path

PAIRS = ("sqlite-postgres", "sqlite-mariadb")
ROWS = 10
DATABASE = "bench_tables"
COMMANDS = ("create", "plan", "start", "status", "rollback")

Costs = dict[str, measure.Cost]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 5000], help="tables (default 1000 5000)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each size (default 3)")
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--work", type=Path, help="folder for sources and homes, kept (default: a temporary one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round as data")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the section of docs/performance.md anew")
    return parser.parse_args()


def generate(file: Path, tables: int) -> None:
    """Write the source: each table but the first points at another, in a tree, and has an index on that."""
    file.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(file)) as db:
        for n in range(tables):
            parent = f" REFERENCES t{(n - 1) // 2:05}" if n else ""
            db.execute(
                f"CREATE TABLE t{n:05} (id INTEGER PRIMARY KEY, parent INTEGER{parent}, name TEXT NOT NULL,"
                " price NUMERIC(10, 2))"
            )
            db.execute(f"CREATE INDEX t{n:05}_parent ON t{n:05} (parent)")
            rows = [(i, i, f"name {i} of {n}", i / 4) for i in range(1, ROWS + 1)]
            db.executemany(f"INSERT INTO t{n:05} VALUES (?, ?, ?, ?)", rows)
        db.commit()


class Bench:
    """The servers of one run."""

    def __init__(self, folder: Path, targets: dict[str, rounds.Target]) -> None:
        self.folder, self.targets = folder, targets

    def turn(self, pair: str, tables: int) -> Costs:
        """Move a source of that many tables into a fresh database and take it back; raises measure.Failed."""
        file = self.folder / f"tables-{tables}.db"
        if not file.exists():
            generate(file, tables)
        target = self.targets[pair]
        target.fresh(DATABASE)
        sensei = subject.Sensei(target, (target.pid,), f"sqlite:///{file}", self.folder)
        costs = sensei.move(DATABASE)
        costs["plan"] = sensei.ask("plan")
        costs["status"] = sensei.ask("status")
        costs["rollback"] = sensei.undo()
        target.drop(DATABASE)
        return {name: costs[name] for name in COMMANDS}


Results = dict[str, dict[int, list[Costs]]]


def measured(bench: Bench, wish: argparse.Namespace) -> Results:
    """Interleave the sizes, so that a machine that gets slower hurts all of them."""
    found: Results = {pair: {size: [] for size in wish.sizes} for pair in wish.pairs}
    for number in range(1, wish.rounds + 1):
        for pair in wish.pairs:
            for size in wish.sizes:
                costs = bench.turn(pair, size)
                found[pair][size].append(costs)
                said = ", ".join(f"{name} {cost.wall:.2f} s" for name, cost in costs.items())
                busy = " (neighbours were busy)" if any(c.disturbed for c in costs.values()) else ""
                print(f"{pair}, {size} tables, round {number}: {said}{busy}", file=sys.stderr, flush=True)
    return found


def tables(found: Results) -> list[report.Table]:
    """Seconds of each command, and how many times a table costs at the largest size what it costs at the smallest."""
    made = []
    for pair, sizes in found.items():
        small, large = min(sizes), max(sizes)
        lines = []
        for name in COMMANDS:
            walls = {size: [c[name].wall for c in costs] for size, costs in sizes.items()}
            cpu = {size: [c[name].cpu_tool + c[name].cpu_server for c in costs] for size, costs in sizes.items()}
            peak = max(c[name].peak_process for c in sizes[large]) / report.MEGABYTE
            cells = [report.spread(walls[size]) for size in sizes]
            for each in (walls, cpu):
                ratio = statistics.median(each[large]) / large / (statistics.median(each[small]) / small)
                cells.append(f"{ratio:.2f}×")
            lines.append((name, *cells, f"{peak:.0f}"))
        header = ("command", *(f"{size:,} tables, s" for size in sizes), "time per table", "CPU per table")
        made.append(report.Table(pair, (*header, f"peak at {large:,}, MB"), tuple(lines)))
    return made


def section(wish: argparse.Namespace, found: Results) -> str:
    """The section of the document."""
    here = report.machine()
    turns = [c for sizes in found.values() for costs in sizes.values() for each in costs for c in each.values()]
    busy = sum(c.disturbed for c in turns)
    sizes = " ".join(str(size) for size in wish.sizes)
    parts = [
        "## Many tables",
        f"Made by `python -m benchmarks.tables --sizes {sizes} --rounds {wish.rounds}`: tables of {ROWS} rows, each"
        " with a primary key, an index and a foreign key to another of them. The servers have their default number of"
        f" locks. {here['cores']} cores of {here['cpu']}, Python {here['python']}; neighbours took more than a"
        f" twentieth of the machine in {busy} of {len(turns)} commands.",
        f'"Per table" is what a table costs at {max(wish.sizes):,} tables over what it costs at {min(wish.sizes):,}:'
        " 1.00× is linear, below it the fixed cost of a command is spread over more of them.",
    ]
    return "\n\n".join([*parts, *(f"#{table.markdown()}" for table in tables(found))]) + "\n"


def main() -> int:
    """Exit code 0, 1 where something failed, 2 where something has to be installed."""
    wish = arguments()
    kept = wish.work is not None
    folder = wish.work.resolve() if kept else Path(tempfile.mkdtemp(prefix="sensei-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.ExitStack() as stack:
            targets: dict[str, rounds.Target] = {}
            if "sqlite-postgres" in wish.pairs:
                targets["sqlite-postgres"] = rounds.PostgresTarget(stack.enter_context(server.Server()))
            if "sqlite-mariadb" in wish.pairs:
                from benchmarks import mariadb  # finds the tests' harness once server is there

                targets["sqlite-mariadb"] = mariadb.Target(stack.enter_context(mariadb.Server()))
            found = measured(Bench(folder, targets), wish)
    except (server.Missing, FileNotFoundError) as missing:
        print(missing, file=sys.stderr)
        return 2
    except measure.Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n\n".join(table.text() for table in tables(found)))
    if wish.markdown:
        report.write(wish.markdown, section(wish, found))
    if wish.json:
        plain = {
            pair: {size: [{n: c.__dict__ for n, c in each.items()} for each in costs] for size, costs in sizes.items()}
            for pair, sizes in found.items()
        }
        wish.json.write_text(json.dumps({"machine": report.machine(), "results": plain}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
