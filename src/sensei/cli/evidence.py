"""sensei evidence: what rollbacks kept."""

from __future__ import annotations

import typer

from sensei.cli import output

app = typer.Typer(help="What rollbacks kept.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(migration: str | None = typer.Argument(None, metavar="[ID]", help="Only of this migration.")) -> None:
    """Show tables set aside and files exported."""
    from sensei.cli import words
    from sensei.runner import desk

    with desk.open_desk() as here:
        wanted = here.store.migration(migration).id if migration else None
        found = here.store.evidence(wanted)
    rows = [
        (e["migration"], e.get("kind", ""), e.get("object", ""), e.get("place", ""), words.moment(e["at"]),
         "purged" if e["purged_at"] else "kept")
        for e in found
    ]  # fmt: skip
    output.result(
        {"evidence": found},
        output.table(rows, ("migration", "kind", "object", "place", "since", "state")) if rows else ["no evidence"],
        [e["id"] for e in found],
    )


@app.command()
def purge(migration: str = typer.Argument(..., metavar="ID", help="The migration.")) -> None:
    """Drop what a rollback set aside, for good; asks first."""
    from sensei import errors
    from sensei.runner import desk, purge

    with desk.open_desk(desk.Screen(say=output.say)) as here:
        due = purge.due(here, migration)
        if not due:
            output.result({"purged": []}, ["nothing is kept"])
            return
        output.say("this drops for good:")
        for item in due:
            output.say(f"  {item['kind']} {item['object']} in {item['place']}")
        if not output.confirm("Drop it all?"):
            raise errors.Refused("nothing was dropped", hint="say yes at the question, or --yes")
        gone = purge.purge(here, migration)
    output.result({"purged": gone}, [f"dropped {g['object']}" for g in gone], [g["id"] for g in gone])
