"""`recurra fit TASK`: from the user's file to a measured model."""

import typer

from recurra.cli.fit.classify import classify
from recurra.cli.fit.forecast import forecast
from recurra.cli.fit.language import language
from recurra.cli.fit.tag import tag
from recurra.cli.fit.translate import translate

__all__ = ["app"]

app = typer.Typer(help="Train a model on a file.", no_args_is_help=True, rich_markup_mode=None)
app.command()(forecast)
app.command()(classify)
app.command()(tag)
app.command()(language)
app.command()(translate)
