"""Commands of the contract that this version understands but does not carry out: each refuses with exit 3."""

from __future__ import annotations

import typer

from sensei.cli import output

_NOUNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "checks": ("Pre-migration checks.", ("run",)),
    "backups": ("Backups and their test restores.", ("create", "register", "test", "list")),
    "export": ("Exports.", ("post-cutover-transactions", "artifacts")),
    "drill": ("Rollback drills.", ("run", "list", "sign")),
    "metrics": ("Rollback metrics.", ("rollback",)),
}
_MIGRATIONS = ("cutover", "switch-back", "finalize", "analyze")
_ALONE = ("apply-transactions", "agent", "serve")

_ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}


def _refuse(app: typer.Typer, path: str, name: str) -> None:
    @app.command(name, context_settings=_ANYTHING, help="Not carried out by this version yet.")
    def refuse(context: typer.Context) -> None:
        output.not_yet(f"sensei {path}{name}")


def add_to(app: typer.Typer, migrations: typer.Typer) -> None:
    """Add every command that is still owed."""
    for noun, (text, verbs) in _NOUNS.items():
        group = typer.Typer(
            help=text + " Not carried out by this version yet.", no_args_is_help=True, rich_markup_mode=None
        )
        for verb in verbs:
            _refuse(group, f"{noun} ", verb)
        app.add_typer(group, name=noun)
    for verb in _MIGRATIONS:
        _refuse(migrations, "migrations ", verb)
    for verb in _ALONE:
        _refuse(app, "", verb)
