"""sensei keys: what signs the journal."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from sensei.cli import output

app = typer.Typer(
    help="The key that signs the journal, and those that are trusted.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_() -> None:
    """Show this home's key and the trusted ones."""
    from sensei import journal
    from sensei.config import home

    known = journal.keys.Keys(home.home()).known()
    rows = [(k.fingerprint, k.name) for k in known]
    output.result(
        {"keys": [{"fingerprint": f, "name": n} for f, n in rows]},
        output.table(rows, ("fingerprint", "name")),
        [f for f, _ in rows],
    )


@app.command()
def export(
    output_file: Path = typer.Option(..., "--output", metavar="FILE", help="Where to write the public key."),
) -> None:
    """Write the public key, to check signatures elsewhere."""
    from sensei import errors, journal
    from sensei.config import home

    text = journal.keys.Keys(home.home()).public_pem()
    try:
        with os.fdopen(os.open(output_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as file:
            file.write(text)
    except FileExistsError as error:
        raise errors.BadInput(f"{output_file} is already there", hint="name another file") from error
    except OSError as error:
        raise errors.BadInput(
            f"{output_file} can't be written: {error.strerror}", hint="name a file in a folder that you can write to"
        ) from error
    output.result({"written": str(output_file)}, [f"the public key is in {output_file}"], [str(output_file)])
