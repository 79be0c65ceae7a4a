"""Values of tens of megabytes: they arrive as they are, and cost little more memory than one of them."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import ends
import fix_sensei
import moves
import servers

SIZE = 20_000_000
#: A process at work with small rows.
REST = 150_000_000
#: How many times over the largest value may be there beside. PostgreSQL's client library holds a row, its bytes in hex,
#: three times; a text with one letter beyond the first 65,536 takes Python four bytes a letter, twice for a moment.
TIMES = {("sqlite", "postgres"): 4, ("postgres", "mysql"): 10, ("mysql", "sqlite"): 16}

_KINDS = {"sqlite": ("BLOB", "TEXT"), "postgres": ("bytea", "text"), "mysql": ("LONGBLOB", "LONGTEXT")}


class _Watch(threading.Thread):
    """Looks for the largest process of a command, by the high-water mark that the system keeps."""

    def __init__(self, spawned: fix_sensei.Spawned) -> None:
        super().__init__(daemon=True)
        self.spawned = spawned
        self.most = 0

    def run(self) -> None:
        while self.spawned.is_running():
            try:
                family = psutil.Process(self.spawned.pid)
                for process in (family, *family.children(recursive=True)):
                    self.most = max(self.most, _high_water(process.pid))
            except (psutil.NoSuchProcess, OSError):
                pass
            self.spawned.process.poll()
            threading.Event().wait(0.02)


def _high_water(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def _filled(end: ends.End) -> dict[str, str]:
    """Make the table and return the hash of each value."""
    chance = random.Random(5)
    blob = chance.randbytes(SIZE)
    words = "".join(chance.choice("abc dé\\\n\t😀\v'") for _ in range(999))
    text = (words * (SIZE // len(words.encode()) + 1)).encode()[:SIZE].decode("utf-8", "ignore")
    blob_type, text_type = _KINDS[ends.engine(end)]
    ends.run(end, f"CREATE TABLE large (id INTEGER PRIMARY KEY, b {blob_type}, t {text_type})")
    rows = [(1, b"small", "small"), (2, blob, None), (3, None, text), (4, blob[:-1], text[:-1]), (5, b"", "")]
    if isinstance(end, Path):
        with sqlite3.connect(end) as db:
            db.executemany("INSERT INTO large VALUES (?, ?, ?)", rows)
    else:
        for row in rows:
            end.execute("INSERT INTO large VALUES (%s, %s, %s)", row)
    return {f"{id}{name}": _hash(value) for id, b, t in rows for name, value in (("b", b), ("t", t))}


def _hash(value: bytes | memoryview | str | None) -> str:
    return "" if value is None else hashlib.md5(value.encode() if isinstance(value, str) else value).hexdigest()


@pytest.fixture
def wide_maker(maker: ends.Maker) -> Iterator[ends.Maker]:
    """The maker of ends, where a server of MariaDB takes statements of a whole value."""
    changed: list[tuple[servers.MysqlServer, int]] = []

    def of(engine: str) -> ends.Make:
        def make() -> ends.End:
            end = maker(engine)()
            if isinstance(end, servers.MysqlDatabase):
                changed.append((end.server, end.value("SELECT @@global.max_allowed_packet")))
                end.server.run(f"SET GLOBAL max_allowed_packet = {1 << 30}")
            return end

        return make

    yield of
    for server, before in reversed(changed):
        server.run(f"SET GLOBAL max_allowed_packet = {before}")


@pytest.mark.parametrize(("source", "target"), TIMES)
def test_memory_is_bounded_by_the_largest_value(
    source: str, target: str, sensei: fix_sensei.Sensei, wide_maker: ends.Maker
) -> None:
    here, there = wide_maker(source)(), wide_maker(target)()
    expected = _filled(here)
    move = moves.plan_move(sensei, here, there, schema="public" if target == "postgres" else None)
    running = sensei.spawn("migrations", "start", move.id)
    watch = _Watch(running)
    watch.start()
    running.wait(expect=0)
    watch.join()
    found = ends.ask(there, "SELECT id, b, t FROM large ORDER BY id")
    assert {f"{i}{n}": _hash(v) for i, b, t in found for n, v in (("b", b), ("t", t))} == expected
    assert 0 < watch.most < REST + TIMES[source, target] * SIZE
