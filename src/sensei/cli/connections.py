"""sensei connections: names for databases, without their passwords."""

from __future__ import annotations

import typer

from sensei.cli import output

app = typer.Typer(help="Names for databases.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def add(
    name: str = typer.Argument(..., help="A name such as prod-source."),
    url: str = typer.Argument(..., help="postgresql://user:${VAR}@host/db, mysql://…, sqlite:////path/file"),
) -> None:
    """Remember a database under a name; a password comes from ${VAR}, the engine's password file, or a prompt."""
    from sensei.config import connections, home

    book = connections.ConnectionBook(home.home())
    replace = name in book.list() and output.confirm(f"{name} is known already. Replace it?")
    connections.check_url(url)  # before anybody is asked for a password
    book.add(name, url, password=_ask_password(name, url), replace=replace)
    output.result(
        {"name": name, "url": connections.mask(url)}, [f"{name} is {connections.mask(url)}",
        f"next: sensei connections test {name}"], [name],
    )  # fmt: skip


def _ask_password(name: str, url: str) -> str | None:
    """Ask for the password where the URL has none; only on a terminal, and an empty answer means none."""
    import getpass
    import sys

    from sensei.config import connections

    if output.MODE.yes or output.MODE.json or not sys.stdin.isatty() or not connections.lacks_password(url):
        return None
    return (
        getpass.getpass(f"Password of {name} (empty: none is kept, the engine's own password file is used): ") or None
    )


@app.command("list")
def list_() -> None:
    """Show the names and where they point to."""
    from sensei.config import connections, home

    known = connections.ConnectionBook(home.home()).list()
    rows = [(name, connections.mask(url)) for name, url in sorted(known.items())]
    output.result(
        {"connections": [{"name": n, "url": u} for n, u in rows]},
        output.table(rows, ("name", "url")) if rows else ["no connections yet: sensei connections add NAME URL"],
        [n for n, _ in rows],
    )


@app.command()
def test(name: str = typer.Argument(..., help="The connection's name.")) -> None:
    """Connect, and tell what answers; changes nothing."""
    import os

    from sensei import engines
    from sensei.config import connections, home
    from sensei.engines import base
    from sensei.work import sides

    book = connections.ConnectionBook(home.home())
    side = sides.Side(base.Purpose.SOURCE, name, book.open_url(name, {}, os.environ))
    with side.session("sensei test") as session:
        found = engines.for_url(side.url).introspect.catalog(session, None)
    output.result(
        {"name": name, "engine": found.engine, "version": found.version, "tables": len(found.tables),
         "schemas": list(found.schemas)},
        [f"{name} answers: {found.engine} {found.version}, {output.count(len(found.tables), 'table')}"
         + (f" in {', '.join(found.schemas)}" if found.schemas else "")],
        [name],
    )  # fmt: skip


@app.command()
def remove(name: str = typer.Argument(..., help="The connection's name.")) -> None:
    """Forget a name; the database is not touched."""
    from sensei.config import connections, home

    connections.ConnectionBook(home.home()).remove(name)
    output.result({"removed": name}, [f"{name} is forgotten"], [name])
