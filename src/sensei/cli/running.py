"""Runs a migration in front of an operator: progress, pause by Ctrl-C, or in a session of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import typer

from sensei import errors, states
from sensei.cli import event_words, output, screen, verdict_words, words
from sensei.config import home
from sensei.journal import migrations as rows
from sensei.runner import desk as desks
from sensei.runner import execute
from sensei.runner import status as reading

#: States in which nothing goes on by itself.
_RESTING = frozenset(states.State) - {states.State.RUNNING, states.State.ROLLING_BACK, states.State.VALIDATING}


def run(migration: str, verb: str, extra: list[str], detach: bool, until: str | None) -> None:
    """Start or resume; `until` is accepted for full mode, which ends at completed by itself."""
    if until not in (None, "completed"):
        raise errors.BadInput(f"--until {until} is not known", hint="the only end that can be named is: completed")
    with screen.open_screen() as show, desks.open_desk(show) as here:
        loaded = here.load(migration)
        if detach:
            _detach(here, loaded, verb, extra)
            return
        if verb == "start":
            outcome = execute.start(here, loaded.id)
        else:
            outcome = execute.resume(here, loaded.id, Path(extra[1]) if extra else None)
    document: dict[str, Any] = {
        "id": loaded.id,
        "status": str(outcome.status),
        "rows_copied": outcome.rows,
        "rows_quarantined": outcome.quarantined,
        "duration_seconds": round(outcome.seconds, 3),
    }
    text = words.outcome_text(loaded.id, outcome)
    done = outcome.validation
    if done is not None:
        report = done.document
        document["validation"] = {"run": done.number, "status": report["status"] if report else "unfinished"}
        text = verdict_words.outcome_text(loaded.id, outcome.rows, outcome.quarantined, done)
    output.result(document, text, [loaded.id])
    if done is not None and not done.passed:
        raise typer.Exit(4)


def _detach(here: desks.Desk, loaded: desks.Loaded, verb: str, extra: list[str]) -> None:
    if verb == "start":
        loaded.refuse_state(states.State.PLANNED)
    else:
        loaded.refuse_state(states.State.PAUSED, states.State.FAILED, states.State.RUNNING, states.State.VALIDATING)
    before = here.store.lease(loaded.id)
    if before is not None and before.alive:
        raise errors.LeaseHeld(
            f"{loaded.id} is being run by process {before.holder.pid} on {before.holder.host}",
            hint=f"sensei migrations watch {loaded.id}",
        )
    log = home.private_file(home.logs(loaded.id))
    with log.open("a", encoding="utf-8") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "sensei", "migrations", verb, loaded.id, *extra],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, "SENSEI_DETACHED": "1"},
        )
    # Wait until it holds the lease, so that the next command finds a runner; a child that fails at once is reported.
    until = time.monotonic() + 60
    while time.monotonic() < until:
        lease = here.store.lease(loaded.id)
        if lease is not None and (before is None or lease.epoch > before.epoch):
            break
        code = child.poll()
        if code is not None and code != 0:
            tail = log.read_text(encoding="utf-8").strip().splitlines()[-5:]
            raise _as_error(code, "\n".join(tail))
        time.sleep(0.05)
    output.result(
        {"id": loaded.id, "pid": child.pid, "log": str(log)},
        [f"{loaded.id} runs as process {child.pid}", f"next: sensei migrations watch {loaded.id}"],
        [loaded.id],
    )


def _as_error(code: int, text: str) -> errors.SenseiError:
    kinds: dict[int, type[errors.SenseiError]] = {
        2: errors.BadInput,
        3: errors.Refused,
        4: errors.DifferenceFound,
        5: errors.ServerFailed,
        6: errors.StoppedByRule,
    }
    return kinds.get(code, errors.Fault)(f"the detached runner ended at once: {text}")


def watch(migration: str) -> None:
    """Draw the progress until the migration rests, or its runner is gone."""
    with screen.open_screen() as show, desks.open_desk() as here:
        row = here.store.migration(migration)
        while True:
            found = reading.status(here, row.id)
            show.progress(found["progress"])
            runner = found["runner"]
            if states.State(found["status"]) in _RESTING or not (runner and runner["alive"]):
                break
            time.sleep(0.5)
    output.result(found, words.status_text(found), [row.id])


def logs(migration: str, follow: bool) -> None:
    """Print the journal's events as lines; with --json one document (an event a line while following)."""
    with desks.open_desk() as here:
        row = here.store.migration(migration)
        last = 0
        seen: list[dict[str, Any]] = []
        while True:
            for event in here.store.events(row.id, after=last):
                last = event.seq
                if output.MODE.json and not follow:
                    seen.append(event_words.event_document(event))
                elif output.MODE.json:
                    output.line(event_words.compact(event_words.event_document(event)))
                else:
                    output.line(event_words.event_text(event))
            if not follow or here.store.migration(row.id).status in _RESTING:
                break
            lease = here.store.lease(row.id)
            if lease is None or not lease.alive:
                output.say(f"nobody runs {row.id} now: {rows.next_command(states.State.PAUSED, row.id)}")
                break
            time.sleep(0.5)
    if output.MODE.json and not follow:
        output.document({"id": row.id, "events": seen})
