"""All commands, put together; each module of a noun is read only when one of its commands runs."""

from __future__ import annotations

import sys

import typer
from typer import exceptions as typer_errors
from typer.main import get_command

from sensei import __version__, errors
from sensei.cli import connections, demo, evidence, keys, later, migrations, output, validations

app = typer.Typer(
    name="sensei",
    help="Moves relational databases between engines so that every step can be taken back.\n\n"
    "Everywhere: --json prints one JSON document on stdout, --quiet ids only, --yes answers questions, "
    "--debug adds a traceback.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(migrations.app, name="migrations")
app.add_typer(validations.app, name="validations")
app.add_typer(connections.app, name="connections")
app.add_typer(evidence.app, name="evidence")
app.add_typer(keys.app, name="keys")
app.command("demo")(demo.demo)
later.add_to(app, migrations.app)

_EVERYWHERE = {"--json": "json", "--quiet": "quiet", "-q": "quiet", "--yes": "yes", "-y": "yes", "--debug": "debug"}


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        output.line(f"sensei {__version__}")
        raise typer.Exit


def run(words: list[str]) -> int:
    """Run one command line; returns the exit code."""
    words = _take_everywhere(words)
    try:
        command = get_command(app)
        code = command.main(args=words, prog_name="sensei", standalone_mode=False)
    except errors.SenseiError as error:
        return output.failure(error)
    except typer.Exit as leave:
        return int(leave.exit_code)
    except typer.Abort:
        return output.failure(errors.Refused("interrupted"))
    except typer_errors.TyperException as error:
        return _usage(error)
    except KeyboardInterrupt:
        return output.failure(errors.Refused("interrupted"))
    except BrokenPipeError:
        output.silence_stdout()
        return 0
    except Exception as error:
        fault = errors.Fault(
            f"{type(error).__name__}: {error}",
            hint="this is a fault in Sensei; run again with --debug and report what it prints",
        )
        fault.__cause__ = error
        return output.failure(fault)
    return code if isinstance(code, int) else 0


def _usage(error: typer_errors.TyperException) -> int:
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    if "Commands:" in text:  # a noun without a verb: the help is the answer
        sys.stderr.write(text + "\n")
        return 2
    hint = f"{context.command_path} --help" if context else "sensei --help"
    return output.failure(errors.BadInput(text, hint=hint))


def _take_everywhere(words: list[str]) -> list[str]:
    """Take the words that every command knows from wherever they stand before a `--`."""
    rest: list[str] = []
    output.MODE.__init__()  # type: ignore[misc]
    for at, word in enumerate(words):
        if word == "--":
            return rest + words[at:]
        if word in _EVERYWHERE and not (rest and rest[-1] in ("--reason", "--output", "--config", "--export")):
            setattr(output.MODE, _EVERYWHERE[word], True)
        else:
            rest.append(word)
    return rest
