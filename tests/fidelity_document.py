"""Sends sample databases and awkward cases everywhere and back, and writes how their tables ended as docs/fidelity.md.

Run it as ``make fidelity``: it takes some minutes on two cores.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import server_mariadb
import server_postgres

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "fidelity.md"
_TITLES = {"postgres": "PostgreSQL", "mysql": "MariaDB", "sqlite": "SQLite"}
_BEGIN = """\
# Fidelity

What became of whole databases on the way to another engine and home again: the sample databases Chinook, Sakila,
Pagila and AdventureWorks, and databases of other tools' own tests, chosen for what broke them
([tests/data](../tests/data/README.md)). Made from a run, by

```
make fidelity
```

Each table is read on both sides by a reader that shares no code with Sensei (`tests/reader.py`), and ends as one of:

- **same**: every row and value is there.
- **refused**: the plan left it behind, by name and with the reason.
- **announced**: it differs as the plan said it would: rows in quarantine, columns that `accept_lossy` names, days that
  become midnights.
- **silent**: it differs, and nothing said so. This must be 0.

*Home* compares what came home with the first source. Tables of several schemas that went into one SQLite file are not
sent home. Every way was also rolled back, and the rollback verified. A way that ended in any other manner counts as a
crash. Run with {versions}.

| case | from | to | same | refused | announced | home: same | refused | announced | silent | crashes |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def main() -> int:
    """Write the document; returns 1 where a table is silently different or a way crashed."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-q", "-n", os.environ.get("TESTERS", "2"), "--dist", "worksteal", "-p", "no:randomly"]
        subprocess.run(
            [sys.executable, "-m", "pytest", *words, "tests/conformance/test_cases.py"],
            cwd=ROOT,
            env={**os.environ, "SENSEI_FIDELITY": folder},
            check=False,
        )
        ways = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(Path(folder).glob("*.json"))]
    if not ways:
        print("nothing was run", file=sys.stderr)
        return 1
    DOCUMENT.write_text(_document(ways), encoding="utf-8")
    bad = [w for w in ways if w["crashed"] or w["there"]["silent"] or w["home"]["silent"]]
    print(f"{len(ways)} ways, {len(bad)} with a silent difference or a crash; wrote {DOCUMENT.relative_to(ROOT)}")
    return 1 if bad else 0


def _document(ways: list[dict[str, Any]]) -> str:
    lines = []
    total = [0] * 8
    for way in ways:
        there, home = way["there"], way["home"]
        numbers = [there[k] for k in ("same", "refused", "announced")]
        numbers += [home[k] for k in ("same", "refused", "announced")]
        numbers += [there["silent"] + home["silent"], int(way["crashed"])]
        total = [a + b for a, b in zip(total, numbers, strict=True)]
        ends = f"{_TITLES[way['engine']]} | {_TITLES[way['to']]}"
        sent = any(home.values())
        shown = [str(n) if sent or not 3 <= i < 6 else "–" for i, n in enumerate(numbers)]
        lines.append(f"| {way['case']} | {ends} | {' | '.join(shown)} |")
    lines.append(f"| **all** |  |  | {' | '.join(f'**{n}**' for n in total)} |")
    reasons = sorted(
        {
            f"| {way['case']} | {_TITLES[way['to']]} | `{name}` | {_cell(reason)} |"
            for way in ways
            for name, reason in way["refused"].items()
        }
    )
    text = _BEGIN.format(versions=_versions()) + "\n".join(lines) + "\n"
    if reasons:
        text += "\n## Refused\n\n| case | to | table | reason |\n| --- | --- | --- | --- |\n"
        text += "\n".join(reasons) + "\n"
    return text


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")


def _versions() -> str:
    postgres, mariadb = server_postgres.find_postgres(), server_mariadb.find_mariadb()
    assert postgres and mariadb

    def said(program: Path) -> str:
        text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"\d+\.\d+(\.\d+)?", text)
        assert found, text
        return found[0]

    return f"PostgreSQL {said(postgres / 'postgres')}, MariaDB {said(mariadb)} and SQLite {sqlite3.sqlite_version}"


if __name__ == "__main__":
    sys.exit(main())
