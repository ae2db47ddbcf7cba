"""The command's entry: assembles the verbs, turns errors into one line and an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Sequence

import typer

from recurra.cli import bench, cells, demo, doctor, evaluate, fit, generate, predict, report, resume
from recurra.cli.console import fail, show_notice
from recurra.cli.wording import as_options
from recurra.errors import Notice, RecurraError
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
app.command()(generate.generate)
app.command()(report.report)
app.command()(resume.resume)
app.command()(cells.cells)
app.command()(doctor.doctor)
app.add_typer(bench.app, name="bench")


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
    """Run the command line; the exit code is 0 done, 1 failed, 2 bad input or usage, 128 + n ended by signal n, of
    which 141 says that nobody reads the output any more."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always", Notice)
        warnings.showwarning = show_notice
        try:
            return _run(arguments)
        except SystemExit as left:  # typer and rich leave with 1 when they meet a pipe that nobody reads
            if not isinstance(left.__context__, BrokenPipeError):
                raise
            return _end_quietly()
        except BrokenPipeError:
            return _end_quietly()
        except Exception as error:
            if "--debug" in arguments:
                raise
            return _report(error)


def _run(arguments: Sequence[str]) -> int:
    code = app(arguments, prog_name="recurra", standalone_mode=False)
    sys.stdout.flush()
    if code == 130:  # what typer makes of an interrupt
        return fail("stopped", code)
    return code if isinstance(code, int) else 0


def _report(error: Exception) -> int:
    """Print the one line for `error` and give back the exit code."""
    if isinstance(error, RecurraError):
        return fail(as_options(str(error)), error.exit_code)
    if isinstance(error, typer.TyperException):
        return _usage(error.format_message())
    if isinstance(error, OSError):  # the verbs name what they read and write; what is left is mostly a full disk
        _discard_output()
        return fail(f"{error.filename or 'standard output'}: {error.strerror or error}", 1)
    return fail(f"internal error ({type(error).__name__}: {error}); run again with --debug and report it", 1)


def _end_quietly() -> int:
    """End as other tools do in `recurra predict RUN | head`: by the number of the signal that says so."""
    _discard_output()
    return 128 + signal.SIGPIPE


def _usage(message: str) -> int:
    if "\n" in message:  # the help of a command that was called without anything
        typer.echo(message, err=True)
        return 2
    return fail(message, 2)


def _discard_output() -> None:
    """Let the interpreter's own flush at its end succeed where standard output takes nothing more."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
