"""sensei demo: the main job on embedded defaults, each claim checked."""

from __future__ import annotations

from pathlib import Path

import typer


def demo(
    keep: Path | None = typer.Option(None, "--keep", metavar="DIR", help="Leave databases and home there."),
) -> None:
    """Migrate a sample shop to an embedded PostgreSQL, break it, take it back, and prove it."""
    from sensei.demo import show

    raise typer.Exit(show.run(keep))
