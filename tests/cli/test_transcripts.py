"""The main job in an operator's words: what each command prints is kept in transcripts/*.txt and stays true.

A transcript is a list of commands, each led by `$ `, and what they print: stdout, then stderr's lines led by `! `.
`[exit code N]` stands where it is not 0. What differs between runs is written as {ID}, {SECONDS}, {TIME}, … .
With SENSEI_WRITE_TRANSCRIPTS=1 the files are written anew from what the commands print.
"""

from __future__ import annotations

import difflib
import getpass
import os
import re
import shlex
import socket
from pathlib import Path

import cli_case
import pytest

import fix_postgres
import servers
from fix_sensei import Result, Sensei

FOLDER = Path(__file__).parent / "transcripts"
NAMES = sorted(p.stem for p in FOLDER.glob("*.txt"))

MIGRATION = """\
name: shop
connections:
  shop-file: sqlite:///shop.db
  shop-server: {target}
source:
  connection: shop-file
target:
  connection: shop-server
  schema: public
options:
  parallelism: 1
"""

#: How far a copy is, told now and then: whether there is such a line is a matter of speed.
PROGRESS = re.compile(r"\s*[\d.]+ %  ")


@pytest.mark.parametrize("name", NAMES)
def test_what_the_commands_print_is_what_the_transcript_shows(
    name: str, sensei: Sensei, make_pg_db: fix_postgres.MakeDatabase
) -> None:
    path = FOLDER / f"{name}.txt"
    written = path.read_text(encoding="utf-8")
    target = make_pg_db()
    cli_case.fill(sensei.folder / "shop.db", cli_case.SHOP + "CREATE VIEW rich AS SELECT * FROM customers;")
    sensei.write("migration.yaml", MIGRATION.format(target=target.url))
    stage = Stage(sensei, target)
    shown = "\n".join(stage.play(line) for line in written.splitlines() if line.startswith("$ ")) + "\n"
    if os.environ.get("SENSEI_WRITE_TRANSCRIPTS"):
        path.write_text(shown, encoding="utf-8")
    difference = "\n".join(difflib.unified_diff(written.splitlines(), shown.splitlines(), "kept", "printed", "", "", 1))
    assert written == shown, f"SENSEI_WRITE_TRANSCRIPTS=1 writes it anew:\n{difference}"


def test_there_are_transcripts_of_the_main_job() -> None:
    assert {"migrate", "take_back", "pause", "damage"} <= set(NAMES)


class Stage:
    """Runs the commands of a transcript and writes what varies in one way."""

    def __init__(self, sensei: Sensei, target: servers.Database) -> None:
        self.sensei, self.target = sensei, target
        self.migration = ""

    def play(self, line: str) -> str:
        """Run one line of a transcript; return it with what it printed."""
        words = shlex.split(line.removeprefix("$ ").replace("{ID}", self.migration))
        if words[0] == "sensei":
            result = self.sensei(*words[1:], expect=None)
        else:
            result = self._others(words)
        if words[1:3] == ["migrations", "create"] and result.returncode == 0:
            self.migration = result.stdout.strip()
        said = [f"! {part}" if part else "!" for part in result.stderr.splitlines() if not PROGRESS.match(part)]
        code = [f"[exit code {result.returncode}]"] if result.returncode else []
        return "\n".join([line, *map(self._same, [*said, *result.stdout.splitlines()]), *code])

    def _others(self, words: list[str]) -> Result:
        """What an operator does beside Sensei: SQL on either side, or the power going off."""
        if words[0] == "sqlite3":
            return Result(tuple(words), 0, servers.sqlite_shell(self.sensei.folder / words[1], words[2]), "")
        if words[0] == "psql":
            return Result(tuple(words), 0, self.target.psql(words[-1]), "")
        if words[0] == "kill":  # of a runner that has just begun to copy
            result = self.sensei(
                "migrations", "start", self.migration, crash_at="journal:step_begun:copy:before", expect=None
            )
            assert result.returncode < 0
            return Result(tuple(words), 0, "", "")
        raise AssertionError(f"nobody knows how to run {words}")

    def _same(self, text: str) -> str:
        for found, instead in (
            (re.escape(self.migration) if self.migration else "(?!)", "{ID}"),
            (re.escape(self.target.name), "{DATABASE}"),
            (rf":{self.target.server.port}\b", ":5432"),
            (re.escape(servers.PASSWORD_ENV), "PASSWORD"),
            (re.escape(str(self.sensei.folder)) + "/?", ""),
            (r"\b\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?Z?", "{TIME}"),
            (re.escape(f"{getpass.getuser()}@{socket.gethostname()}"), "operator@host"),
            (rf"process \d+ on {re.escape(socket.gethostname())}", "process {PID} on host"),
            (r"\b\d+(\.\d)? s\b", "{SECONDS}"),
            (r"\b[\d,]+ rows/s", "{RATE}"),
            (r"\b\d+(\.\d)? kB\b", "{SIZE}"),
        ):
            text = re.sub(found, instead, text)
        return text
