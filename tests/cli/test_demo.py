"""The demo: runs to its end, checks what it says, and fails where something is not so."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from fix_sensei import SRC
from sensei import errors
from sensei.demo import show

ROWS = 6_000

#: Runs the real command line, with a smaller shop and, for some tests, somebody who meddles.
RUN = """
import sys
from contextlib import closing
from sensei.cli import app
from sensei.demo import show

def meddle(demo, scene):
    pass

{meddle}

show.ROWS = {rows}
whole = show.run
show.run = lambda keep: whole(keep, meddle=meddle)
sys.exit(app.run(["demo", *sys.argv[1:]]))
"""


def demo(*words: str, meddle: str = "") -> subprocess.CompletedProcess[str]:
    script = RUN.format(rows=ROWS, meddle=textwrap.dedent(meddle))
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(SRC), "NO_COLOR": "1"},
    )


def folder_of(shown: str) -> str:
    found = re.search(r"(\S*sensei-demo-[^/]+)/shop/shop\.db", shown)
    assert found, shown
    return found[1]


def working_for(folder: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if any(folder in word for word in process.cmdline()) and process.status() != "zombie":
                found.append(str(process))
        except psutil.Error:
            continue
    return found


def test_the_demo_shows_the_whole_way_there_and_back_and_leaves_nothing_behind() -> None:
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    for said in (
        "$ sensei migrations create --config shop.yaml",
        "$ sensei migrations start mig_",
        "$ sensei migrations pause mig_",
        "$ kill -9 ",
        "checked: the runner died without a word",
        "checked: it is completed",
        "checked: order_items: ",
        "--full --verify",
        "checked: it says source_data_integrity: verified",
        "checked: the target is as it was, object by object and row by row",
        "checked: it names the index",
        "checked: it says indexes_restored: true again",
    ):
        assert said in done.stdout, said
    count = re.search(r"All (\d+) claims were checked and hold", done.stdout)
    assert count and int(count[1]) == done.stdout.count("checked: ") >= 35
    folder = folder_of(done.stdout)
    assert not Path(folder).exists()
    assert working_for(folder) == []


@pytest.mark.parametrize(
    ("meddle", "named"),
    [
        pytest.param(
            """
            def meddle(demo, scene):
                if scene == "completed":
                    demo._execute("UPDATE customers SET name = name || ' ' WHERE id = 77")
            """,
            "customers",
            id="a blank more in one row of the target",
        ),
        pytest.param(
            """
            def meddle(demo, scene):
                if scene == "damaged":
                    demo._execute(show._OWN_INDEX)
                    demo._change("UPDATE products SET name = rtrim(name) WHERE id = 42")
            """,
            "exit code 4 was expected, not 0",
            id="a damage that is not there to be found",
        ),
    ],
)
def test_a_claim_that_does_not_hold_makes_the_demo_fail_and_is_named(meddle: str, named: str) -> None:
    done = demo(meddle=meddle)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "The demo failed" in done.stderr and named in done.stderr
    assert "claims were checked and hold" not in done.stdout
    folder = folder_of(done.stdout)
    assert not Path(folder).exists()
    assert working_for(folder) == []


def test_keep_leaves_databases_and_home_and_wants_a_folder_of_its_own(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    stop = """
    def meddle(demo, scene):
        if scene == "plan":
            raise show.stage.Broken("far enough")
    """
    done = demo("--keep", str(kept), meddle=stop)
    assert done.returncode == 1 and "far enough" in done.stderr, done.stdout + done.stderr
    assert (kept / "shop.db").stat().st_size > 100_000
    assert (kept / "postgres" / "PG_VERSION").is_file()
    assert (kept / "home" / "sensei.db").is_file()
    assert (kept / "environment").stat().st_mode & 0o777 == 0o600
    assert working_for(str(kept)) == []

    again = demo("--keep", str(kept))
    assert again.returncode == 2
    assert "is not empty" in again.stderr


def test_without_the_package_the_demo_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.Refused) as refused:
        show.run()
    assert "pip install 'sensei-migrations[demo]'" in refused.value.hint
    assert "make demo" in refused.value.hint
