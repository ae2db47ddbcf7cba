"""The `recurra` command: one file per verb; each parses, calls and prints."""

from recurra.cli.main import main

__all__ = ["main"]
