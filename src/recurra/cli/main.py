"""The command's entry: assembles the verbs, turns errors into one line and an exit code."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

import click
import typer

from recurra.cli import demo, evaluate, fit, predict, report, resume
from recurra.cli.console import fail, show_notice
from recurra.errors import RecurraError
from recurra.version import __version__

__all__ = ["app", "main"]

app = typer.Typer(
    name="recurra",
    help="Recurrent networks, from equations to the edge.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(demo.demo)
app.add_typer(fit.app, name="fit")
app.command()(predict.predict)
app.command()(evaluate.evaluate)
app.command()(report.report)
app.command()(resume.resume)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"recurra {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 0 done, 1 failed, 2 bad input or usage, 128 + n ended by signal n."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    warnings.showwarning = show_notice
    try:
        code = app(arguments, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        typer.echo(error.format_message())
        return 2
    except click.ClickException as error:
        return fail(error.format_message(), 2)
    except click.Abort:
        return fail("stopped", 130)
    except RecurraError as error:
        if debug:
            raise
        return fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return fail("stopped; nothing was lost that a checkpoint held", 130)
    except Exception as error:
        if debug:
            raise
        return fail(f"internal error ({type(error).__name__}: {error}); run again with --debug and report it", 1)
