"""sensei validations repair: shows the rows that differ, asks, puts them right, and takes that back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from sensei.cli import output

if TYPE_CHECKING:  # it is slow to load
    from sensei.runner import repair as repairing

_SAMPLES = 5


def repair(
    migration: str = typer.Argument(..., metavar="ID", help="The migration's id, or a unique beginning of it."),
    tables: list[str] = typer.Option([], "--tables", metavar="A,B", help="The tables whose rows are put right."),
    undo: bool = typer.Option(False, "--undo", help="Take the last repair back that stands."),
) -> None:
    """Copy the rows again that differ, and only those; asks first, and keeps what they were."""
    from sensei import errors
    from sensei.cli import screen
    from sensei.runner import desk, repair

    if bool(tables) == undo:
        raise errors.BadInput(
            "say which tables' rows are to be put right, or --undo to take the last repair back",
            hint="sensei validations repair ID --tables A,B",
        )
    with screen.open_screen() as show, desk.open_desk(show) as here:
        loaded = here.load(migration)
        if undo:
            done = repair.undo(here, loaded.id, _consent)
        else:
            done = repair.run(here, loaded.id, tables, _consent)
    output.result(
        {
            "id": loaded.id,
            "repair": done.number,
            "undoes": done.undoes,
            "tables": [shown.to_json() for shown in done.tables],
        },
        _text(loaded.id, done),
        [] if done.number is None else [str(done.number)],
    )


def _consent(shown: Sequence[repairing.Shown]) -> bool:
    from sensei.cli import verdict_words
    from sensei.runner import repair
    from sensei.validation import model

    for one in shown:
        output.say(_line(one))
        for sample in one.samples[:_SAMPLES]:
            output.say(f"  {verdict_words.sample(sample.to_json())}")
        if len(one.samples) > _SAMPLES:
            output.say("  and more")
        if one.evidence:
            output.say(f"  {one.evidence}")
        if one.cause is model.Cause.SOURCE_MOVED_ON:
            output.say(
                "  these rows get what the source holds now, not what was copied; the proof of a rollback will go on"
                " saying that the source has changed"
            )
        if one.quarantined:
            output.say(f"  {output.count(one.quarantined, 'row')} in quarantine stay there: clean the source and retry")
    return output.confirm(f"Put {output.count(repair.rows_of(shown), 'row')} of the target right?")


def _line(one: repairing.Shown) -> str:
    parts = [
        f"{n:,} {words}"
        for n, words in (
            (one.missing, "to put in"),
            (one.extra, "to take out"),
            (one.different, "to change"),
        )
        if n
    ]
    return f"{one.table}: {', '.join(parts) or 'nothing to put right'}"


def _text(migration: str, done: repairing.Done) -> list[str]:
    lines = [_line(one) for one in done.tables]
    if done.number is None:
        lines.append("nothing was changed: what these tables hold is what the source holds, or its rows in quarantine")
        return [*lines, f"next: sensei validations run {migration}"]
    if done.undoes is not None:
        lines.append(f"repair {done.number} took repair {done.undoes} back; what was there is kept beside the ledger")
    else:
        lines.append(f"repair {done.number} is done; what these rows were before is kept beside the ledger")
        lines.append(f"take it back with: sensei validations repair {migration} --undo")
    return [*lines, "every verdict from before is void", f"next: sensei validations run {migration}"]
