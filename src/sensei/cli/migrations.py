"""sensei migrations: plan, run, watch, pause, take back, prove."""

from __future__ import annotations

from pathlib import Path

import typer

from sensei.cli import output

app = typer.Typer(help="Plan, run, watch, pause, take back, prove.", no_args_is_help=True, rich_markup_mode=None)

_ID = typer.Argument(..., metavar="ID", help="The migration's id, or a unique beginning of it.")


@app.command()
def create(
    config: Path = typer.Option(..., "--config", metavar="FILE", help="The migration file."),
    environment: str | None = typer.Option(None, "--environment", metavar="ENV", help="One of its environments."),
) -> None:
    """Plan a migration: looks at both sides, writes to neither; prints the id."""
    from sensei.cli import words
    from sensei.runner import create as creating
    from sensei.runner import desk

    with desk.open_desk(desk.Screen(say=output.say)) as here:
        migration, plan = creating.create(here, config, environment, output.MODE.yes)
        risks = words.risk_counts(plan)
    for line in words.created(plan, risks):
        output.say(line)
    output.say(f"next: sensei migrations plan {migration}, then: sensei migrations start {migration}")
    output.result({"id": migration}, [migration], [migration])


@app.command("list")
def list_(
    status: str | None = typer.Option(None, "--status", metavar="STATUS", help="Only those in this state."),
) -> None:
    """Show all migrations."""
    from sensei import errors, states
    from sensei.runner import desk

    try:
        wanted = states.State(status) if status else None
    except ValueError as error:
        raise errors.BadInput(
            f"there is no status {status}", hint="one of: " + ", ".join(s.value for s in states.State)
        ) from error
    with desk.open_desk() as here:
        found = here.store.migrations(wanted)
    rows = [(m.id, m.name, m.environment or "", str(m.status), m.created_at.strftime("%Y-%m-%d %H:%M")) for m in found]
    output.result(
        {"migrations": [
            {"id": m.id, "name": m.name, "environment": m.environment, "status": str(m.status),
             "created_at": m.created_at.isoformat(), "source": m.source_label, "target": m.target_label}
            for m in found
        ]},
        output.table(rows, ("id", "name", "environment", "status", "created")) if rows else ["no migrations"],
        [m.id for m in found],
    )  # fmt: skip


@app.command()
def plan(migration: str = _ID) -> None:
    """Show the steps with their way back, the risks, what is left out, and what it will cost."""
    from sensei.cli import words
    from sensei.config import owed
    from sensei.runner import desk

    with desk.open_desk() as here:
        loaded = here.load(migration)
        later = owed.not_yet(loaded.config)
        text = words.plan_text(loaded, later)
    output.result(words.plan_document(loaded, later), text, [loaded.id])


@app.command()
def start(
    migration: str = _ID,
    detach: bool = typer.Option(False, "--detach", help="Run it in a session of its own and return."),
    until: str | None = typer.Option(None, "--until", metavar="completed", help="For live mode: end there, paused."),
) -> None:
    """Run a planned migration; Ctrl-C pauses it."""
    from sensei.cli import running

    running.run(migration, "start", [], detach, until)


@app.command()
def resume(
    migration: str = _ID,
    config: Path | None = typer.Option(
        None,
        "--config",
        metavar="FILE",
        help="The file that it was planned with; tables that are rolled back may be configured anew.",
    ),
    detach: bool = typer.Option(False, "--detach", help="Run it in a session of its own and return."),
    until: str | None = typer.Option(None, "--until", metavar="completed", help="For live mode: end there, paused."),
) -> None:
    """Go on with one that was paused, failed, or whose runner died."""
    from sensei.cli import running

    running.run(migration, "resume", ["--config", str(config)] if config else [], detach, until)


@app.command()
def pause(
    migration: str = _ID,
    reason: str = typer.Option("", "--reason", metavar="TEXT", help="Goes into the journal."),
) -> None:
    """Stop at the next chunk boundary and release every connection."""
    from sensei import errors, states
    from sensei.runner import control, desk

    with desk.open_desk(desk.Screen(say=output.say)) as here:
        loaded = here.load(migration)
        status = control.pause(here, loaded.id, reason)
    if status is not states.State.PAUSED:
        raise errors.WrongState(
            f"{loaded.id} was {status} before it could pause", hint=f"sensei migrations status {loaded.id}"
        )
    output.result(
        {"id": loaded.id, "status": str(status)},
        [f"{loaded.id} is paused", f"next: sensei migrations resume {loaded.id}"],
        [loaded.id],
    )


@app.command()
def cancel(
    migration: str = _ID,
    reason: str = typer.Option(..., "--reason", metavar="TEXT", help="Goes into the journal."),
) -> None:
    """Discard a plan before it is started; nothing was touched."""
    from sensei.runner import control, desk

    with desk.open_desk() as here:
        loaded = here.load(migration)
        control.cancel(here, loaded.id, reason)
    output.result(
        {"id": loaded.id, "status": "cancelled"},
        [f"{loaded.id} is cancelled; nothing was touched on either side",
         "next: sensei migrations create --config FILE"],
        [loaded.id],
    )  # fmt: skip


@app.command()
def status(
    migration: str = _ID,
    detailed: bool = typer.Option(False, "--detailed", help="Also steps, quarantine and journal."),
) -> None:
    """Show where a migration stands and what to do next."""
    from sensei.cli import words
    from sensei.runner import desk
    from sensei.runner import status as reading

    with desk.open_desk() as here:
        found = reading.status(here, migration, detailed)
    output.result(found, words.status_text(found), [found["id"]])


@app.command()
def watch(migration: str = _ID) -> None:
    """Follow the progress until the migration rests."""
    from sensei.cli import running

    running.watch(migration)


@app.command()
def logs(
    migration: str = _ID,
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on printing until the migration rests."),
) -> None:
    """Print the journal: who did what, and when."""
    from sensei.cli import running

    running.logs(migration, follow)


@app.command("rollback-script")
def rollback_script(
    migration: str = _ID,
    output_file: Path = typer.Option(..., "--output", metavar="FILE", help="Where to write it."),
) -> None:
    """Write the way back as a script for psql, mariadb or sqlite3 alone."""
    from sensei import engines
    from sensei.runner import desk, script

    with desk.open_desk() as here:
        loaded = here.load(migration)
        script.write(here, loaded, output_file, output.MODE.yes)
    command = engines.by_name(loaded.plan.target_engine).script_command.format(script=output_file)
    output.result(
        {"id": loaded.id, "output": str(output_file)},
        [f"the rollback script is in {output_file}", f"run it with: {command}",
         f"then: sensei migrations verify-rollback {loaded.id}"],
        [str(output_file)],
    )  # fmt: skip


@app.command()
def rollback(
    migration: str = _ID,
    full: bool = typer.Option(False, "--full", help="Take everything back."),
    tables: list[str] = typer.Option([], "--tables", metavar="A,B", help="Only these tables."),
    keep_progress: bool = typer.Option(False, "--keep-progress", help="Trust the other tables' ledger."),
    phase: str | None = typer.Option(None, "--phase", metavar="NAME", help="Only this phase of a phased cutover."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would be done; change nothing."),
    verify: bool = typer.Option(False, "--verify", help="Measure all five lines afterwards."),
    verify_source: bool = typer.Option(False, "--verify-source", help="Measure the source's two lines afterwards."),
    reason: str = typer.Option("", "--reason", metavar="TEXT", help="Goes into the journal."),
) -> None:
    """Take a migration back; cut off anywhere, the same command goes on."""
    from sensei import errors
    from sensei.cli import rolling, words
    from sensei.runner import back, desk, partial

    chosen = [n for n, given in (("--full", full), ("--tables", bool(tables)), ("--phase", phase is not None)) if given]
    if len(chosen) != 1:
        raise errors.BadInput(
            "say what to take back: exactly one of --full, --tables A,B and --phase NAME",
            hint=f"sensei migrations rollback {migration} --full",
        )
    if keep_progress and not tables:
        raise errors.BadInput(
            "--keep-progress goes with --tables",
            hint=f"leave it out: sensei migrations rollback {migration} {chosen[0]}",
        )
    with desk.open_desk(desk.Screen(say=output.say)) as here:
        loaded = here.load(migration)
        if phase is not None:
            output.not_yet(f"rollback {chosen[0]}")
        if tables:
            request = partial.Request(tables, keep_progress, reason)
            if dry_run:
                output.result(*rolling.dry_run(here, loaded.id, request), [loaded.id])
                return
            report = rolling.tables(here, loaded.id, request, check=verify, check_source=verify_source)
            _report(loaded.id, report, rolling.report_text(loaded.id, report))
            return
        if dry_run:
            due = back.dry_run(here, loaded.id)
            output.result(
                {"id": loaded.id, "dry_run": True, "statements": due},
                [f"would do: {d}" for d in due] or ["nothing is left to take back"],
                [loaded.id],
            )
            return
        report = back.full(here, loaded.id, reason=reason, check=verify, check_source=verify_source)
    _report(loaded.id, report, words.rollback_text(loaded.id, report))


@app.command("verify-rollback")
def verify_rollback(migration: str = _ID) -> None:
    """Measure the five lines: both sides are as they were."""
    from sensei.cli import words
    from sensei.runner import back, desk

    with desk.open_desk(desk.Screen(say=output.say)) as here:
        loaded = here.load(migration)
        report = back.prove(here, loaded.id)
    _report(loaded.id, report, words.rollback_text(loaded.id, report))


def _report(migration: str, report: object, text: list[str]) -> None:
    from sensei.runner import back

    assert isinstance(report, back.Report)
    output.result({"id": migration, **report.to_json()}, text, [migration])
    if not report.passed:
        raise typer.Exit(4)


@app.command()
def recover(
    connection: str = typer.Argument(..., metavar="CONNECTION", help="The target's connection."),
    migration: str | None = typer.Argument(None, metavar="[ID]", help="Only this migration."),
) -> None:
    """Rebuild migrations in this home from the ledger in their target, where the old home is lost."""
    from sensei.runner import desk
    from sensei.runner import recover as recovering

    with desk.open_desk(desk.Screen(say=output.say)) as here:
        found = recovering.recover(here, connection, migration)
    lines = []
    for one in found:
        lines.append(f"{one.id} ({one.name}) is here again, {one.status}")
        if not one.verifiable:
            lines.append("  its fingerprint was not in the ledger: it can be taken back, but not verified")
        for name in one.missing:
            lines.append(f"  this home has no connection {name} yet: sensei connections add {name} URL")
        lines.append(f"  next: {recovering.next_command(one)}")
    output.result(
        {"recovered": [
            {"id": one.id, "name": one.name, "status": str(one.status), "verifiable": one.verifiable,
             "missing_connections": list(one.missing)}
            for one in found
        ]},
        lines,
        [one.id for one in found],
    )  # fmt: skip
