"""Measures tables of odd shapes: as many columns as a server takes, values of 100 MB, and rows that are mostly text."""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

# Run as a file, Python looks for modules beside it; run as a module, where it was started.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import measure, report, rounds, server, subject  # noqa: E402 - needs the path

PAIRS = ("sqlite-postgres", "sqlite-mariadb")
DATABASE = "bench_shapes"
MEGABYTE = 1_000_000
#: Columns: as many as PostgreSQL takes, and as InnoDB's page holds of the BIGINT that SQLite's numbers become.
COLUMNS = {"sqlite-postgres": 1600, "sqlite-mariadb": 990}
LARGEST = 100 * MEGABYTE


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shapes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each shape (default 3)")
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--work", type=Path, help="folder for sources and homes, kept (default: a temporary one)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the section of docs/performance.md anew")
    return parser.parse_args()


def _wide(db: sqlite3.Connection, pair: str) -> str:
    columns, rows = COLUMNS[pair], 5_000
    listed = ", ".join(f"c{n} SMALLINT" for n in range(1, columns))
    db.execute(f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {listed})")
    marks = ", ".join("?" * columns)
    chance = random.Random(1)
    # Every other one is NULL: a row of PostgreSQL has to fit into a page.
    numbers = [chance.randrange(-999, 1000) if n % 2 else None for n in range(columns)]
    db.executemany(f"INSERT INTO wide VALUES ({marks})", ((n, *numbers[1:]) for n in range(rows)))
    return f"{rows:,} rows of {columns:,} columns"


def _large(db: sqlite3.Connection, pair: str) -> str:
    db.execute("CREATE TABLE large (id INTEGER PRIMARY KEY, bytes BLOB, words TEXT)")
    chance = random.Random(2)
    word = "".join(chance.choice("abcdefgh ü\\\n\t") for _ in range(999)) + "."
    text = (word * (LARGEST // len(word.encode()) + 1)).encode()[:LARGEST].decode("utf-8", "ignore")
    for n in range(3):
        db.execute("INSERT INTO large VALUES (?, ?, NULL)", (2 * n, chance.randbytes(LARGEST)))
        db.execute("INSERT INTO large VALUES (?, NULL, ?)", (2 * n + 1, text))
    return f"3 values of bytes and 3 texts of {LARGEST // MEGABYTE} MB, each in a row of its own"


def _texts(db: sqlite3.Connection, pair: str) -> str:
    rows = 150_000
    db.execute("CREATE TABLE texts (id INTEGER PRIMARY KEY, title TEXT, body TEXT)")
    chance = random.Random(3)
    words = ["migration", "Über", "naïve", "日本", "tab\there", "line\n", "back\\slash", "it's", "a", "the", "rollback"]
    made = [" ".join(chance.choices(words, k=250)) for _ in range(500)]
    db.executemany("INSERT INTO texts VALUES (?, ?, ?)", ((n, f"no. {n}", made[n % 500]) for n in range(rows)))
    return f"{rows:,} rows with a text of 2 KB, full of letters of several bytes and of characters to be escaped"


SHAPES: dict[str, Callable[[sqlite3.Connection, str], str]] = {"wide": _wide, "large": _large, "texts": _texts}


def source(folder: Path, shape: str, pair: str) -> tuple[Path, str, int]:
    """Return the file, what is in it in words, and its bytes."""
    file = folder / f"shape-{shape}-{pair}.db"
    file.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(file)) as db:
        says = SHAPES[shape](db, pair)
        db.commit()
    return file, says, file.stat().st_size


def main() -> int:
    """Exit code 0, 1 where something failed, 2 where something has to be installed."""
    wish = arguments()
    kept = wish.work is not None
    folder = wish.work.resolve() if kept else Path(tempfile.mkdtemp(prefix="sensei-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[tuple[str, ...]] = []
    try:
        with contextlib.ExitStack() as stack:
            for pair in wish.pairs:
                target = _target(pair, stack)
                for shape in SHAPES:
                    lines.append(_measured(wish, folder, pair, shape, target))
    except (server.Missing, FileNotFoundError) as missing:
        print(missing, file=sys.stderr)
        return 2
    except measure.Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
    header = ("pair", "shape", "create, s", "start, s", "MB/s", "peak of one process, MB", "of all processes, MB")
    table = report.Table("Odd shapes", header, tuple(lines))
    print(table.text())
    if wish.markdown:
        here = report.machine()
        text = (
            "## Odd shapes\n\n"
            f"Made by `python -m benchmarks.shapes --rounds {wish.rounds}`, two workers; medians and ranges."
            f" {here['cores']} cores of {here['cpu']}, Python {here['python']}. Megabytes a second are those of the"
            " source's file.\n\n" + table.markdown().partition("\n\n")[2] + "\n"
        )
        report.write(wish.markdown, text)
    return 0


def _target(pair: str, stack: contextlib.ExitStack) -> rounds.Target:
    if pair == "sqlite-postgres":
        return rounds.PostgresTarget(stack.enter_context(server.Server()))
    from benchmarks import mariadb  # finds the tests' harness once server is there

    mariadb.SETTINGS["max_allowed_packet"] = "1G"
    return mariadb.Target(stack.enter_context(mariadb.Server()))


def _measured(wish: argparse.Namespace, folder: Path, pair: str, shape: str, target: rounds.Target) -> tuple[str, ...]:
    file, says, size = source(folder, shape, pair)
    found = []
    for number in range(1, wish.rounds + 1):
        target.fresh(DATABASE)
        sensei = subject.Sensei(target, (target.pid,), f"sqlite:///{file}", folder)
        costs = sensei.move(DATABASE)
        sensei.undo()
        target.drop(DATABASE)
        found.append(costs)
        print(f"{pair}, {shape}, round {number}: start {costs['start'].wall:.2f} s", file=sys.stderr, flush=True)
    file.unlink()
    walls = [c["start"].wall for c in found]
    peak = max(c["start"].peak_process for c in found) / report.MEGABYTE
    whole = max(c["start"].peak_sum for c in found) / report.MEGABYTE
    create = statistics.median(c["create"].wall for c in found)
    rate = size / MEGABYTE / statistics.median(walls)
    return (pair, says, f"{create:.2f}", report.spread(walls), f"{rate:.0f}", f"{peak:.0f}", f"{whole:.0f}")


if __name__ == "__main__":
    sys.exit(main())
