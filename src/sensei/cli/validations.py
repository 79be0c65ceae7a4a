"""sensei validations: compare both sides, and read what was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from sensei.cli import certificates, output, repairs

app = typer.Typer(
    help="Is the target the same, and if not, why and what to do.", no_args_is_help=True, rich_markup_mode=None
)

app.command("certificate")(certificates.certificate)
app.command("verify-certificate")(certificates.verify_certificate)
app.command("repair")(repairs.repair)

_ID = typer.Argument(..., metavar="ID", help="The migration's id, or a unique beginning of it.")
_RUN = typer.Option(None, "--run", metavar="N", help="That run's (the last one that is over).")
_EXPORT = typer.Option(None, "--export", metavar="FILE", help="Write it to a .json, .html or .txt file.")


@app.command()
def run(
    migration: str = _ID,
    kind: str | None = typer.Option(None, "--type", metavar="full|quick", help="full compares every row; the default."),
) -> None:
    """Compare both sides; one that was cut off goes on. Exit code 4 where a critical difference was found."""
    from sensei import errors
    from sensei.cli import screen, verdict_words
    from sensei.runner import desk, validate

    if kind not in (None, "full", "quick"):
        raise errors.BadInput(f"--type {kind} is not known", hint="one of: full, quick")
    with screen.open_screen() as show, desk.open_desk(show) as here:
        loaded = here.load(migration)
        done = validate.run(here, loaded.id, kind)
    if done.document is None:
        output.result(
            {"id": loaded.id, "run": done.number, "status": str(done.status)},
            [f"validation {done.number} of {loaded.id} was interrupted: nothing that it has finished is lost",
             f"next: sensei validations run {loaded.id}"],
            [str(done.number)],
        )  # fmt: skip
        return
    document = {k: v for k, v in done.document.items() if k != "divergence"}
    output.result(document, verdict_words.report_text(done.document), [str(done.number)])
    if not done.passed:
        raise typer.Exit(4)


@app.command("list")
def list_(migration: str = _ID) -> None:
    """Show the runs of a migration's validation."""
    from sensei.cli import words
    from sensei.runner import desk, verdicts

    with desk.open_desk() as here:
        loaded = here.load(migration)
        found = verdicts.runs(here, loaded.id)
    rows = [
        (str(r.number), r.kind, (r.status or "unfinished") + (", void" if r.void else ""), str(r.failures),
         words.moment(r.begun_at), words.moment(r.finished_at) if r.finished_at else "")
        for r in found
    ]  # fmt: skip
    head = ("run", "type", "status", "failures", "begun", "finished")
    output.result(
        {"id": loaded.id, "runs": [r.to_json() for r in found]},
        output.table(rows, head)
        if rows
        else [f"{loaded.id} has not been validated", f"next: sensei validations run {loaded.id}"],
        [str(r.number) for r in found],
    )


@app.command()
def report(
    migration: str = _ID,
    number: int | None = _RUN,
    failures_only: bool = typer.Option(False, "--failures-only", help="Only what failed, and what to do about it."),
    export: Path | None = _EXPORT,
) -> None:
    """Show what a validation found, why, and the next command to type."""
    from sensei.cli import verdict_words
    from sensei.runner import verdicts

    _, found = _read(migration, number)
    kept = verdicts.report(found, failures_only)
    text = verdict_words.report_text(found, failures_only)
    if export is not None:
        _write(export, found, kept, text)
        output.say(f"written to {export}")
    output.result(kept, text, [f"{f['perspective']}:{f['table'] or ''}" for f in kept["failures"]])


@app.command()
def divergence(migration: str = _ID, number: int | None = _RUN, export: Path | None = _EXPORT) -> None:
    """Show how far each table is apart: rows missing, extra and different, with samples of them."""
    from sensei.cli import verdict_words

    loaded_id, found = _read(migration, number)
    apart: dict[str, Any] = {"id": loaded_id, "run": found["run"], "type": found["type"], **found["divergence"]}
    text = verdict_words.divergence_text(found)
    if export is not None:
        _write(export, found, apart, text)
        output.say(f"written to {export}")
    output.result(apart, text, [t["name"] for t in apart["tables"] if t["missing"] or t["extra"] or t["different"]])


def _read(migration: str, number: int | None) -> tuple[str, dict[str, Any]]:
    from sensei.runner import desk, verdicts

    with desk.open_desk() as here:
        loaded = here.load(migration)
        return loaded.id, verdicts.document(loaded, verdicts.chosen(here, loaded, number))


def _write(path: Path, whole: dict[str, Any], document: dict[str, Any], text: list[str]) -> None:
    from sensei import errors
    from sensei.validation import page

    suffix = path.suffix.lower()
    if suffix == ".json":
        body = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    elif suffix in (".html", ".htm"):
        body = page.page(whole)
    elif suffix == ".txt":
        body = "".join(output.one_line(line) + "\n" for line in text)
    else:
        raise errors.BadInput(
            f"{path}: the form of the export is told by its name", hint="name a file that ends in .json, .html or .txt"
        )
    output.write_private(path, body)
