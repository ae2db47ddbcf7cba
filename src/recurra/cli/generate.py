"""`recurra generate`: a language model goes on with a text."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from recurra.cli.options import Debug, Json, Run

__all__ = ["generate"]


def generate(
    run: Run,
    prompt: Annotated[str, typer.Option(help="Text to go on with. [default: a new line]")] = "",
    tokens: Annotated[int, typer.Option(help="Tokens to draw.")] = 200,
    temperature: Annotated[float, typer.Option(help="Below 1 closer to the likeliest; 0: the likeliest.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from so many of the likeliest tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the fewest that have this probability.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same gives the same text.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Go on with a text, token by token as they come.

    Example: recurra generate runs/shakespeare --prompt "ROMEO:" --temperature 0.8 --seed 1
    """
    from recurra.cli.console import print_json
    from recurra.errors import ArgumentError
    from recurra.tasks.jobs import load_fitted
    from recurra.tasks.language import LanguageModel
    from recurra.training.run import RunFolder

    model = load_fitted(RunFolder.open(run))
    if not isinstance(model, LanguageModel):
        raise ArgumentError(f"{run} is a {type(model).__name__}'s run; one of `recurra fit language` writes text")
    pieces = model.stream(prompt, tokens=tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    if json:
        print_json({"prompt": prompt, "text": "".join(pieces), "tokens": tokens, "seed": seed})
        return
    typer.echo(prompt, nl=False)
    for piece in pieces:
        typer.echo(piece, nl=False)
        sys.stdout.flush()
    typer.echo()
