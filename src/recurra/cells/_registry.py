"""Cells by name: the folder is the list."""

from __future__ import annotations

import importlib
import pkgutil

from recurra.cells._cell import Cell
from recurra.errors import ArgumentError, nearest

__all__ = ["get_cell", "list_cells"]

_PACKAGE = "recurra.cells"


def list_cells() -> list[str]:
    """The names of the cells in this folder, in alphabetical order; nothing is imported.

    >>> [name for name in list_cells() if name in ("gru", "lstm")]
    ['gru', 'lstm']
    """
    folder = importlib.import_module(_PACKAGE).__path__
    return sorted(module.name for module in pkgutil.iter_modules(folder) if not module.name.startswith("_"))


def get_cell(spec: str | type[Cell] | Cell) -> Cell:
    """The cell that spec means.

    spec: a name from `list_cells()`, with options after dashes ("elman-relu"); or a Cell class; or a cell, returned
    as it is.
    Raises ArgumentError for an unknown name or anything else.

    >>> get_cell("elman-relu")
    Elman(activation='relu')
    >>> get_cell("elman-relu").name
    'elman-relu'
    """
    cell = spec if isinstance(spec, Cell) else _make(spec)
    hash(cell)  # which it keeps: torch.compile, which traces again after a break, must not see it change
    return cell


def _make(spec: str | type[Cell]) -> Cell:
    if isinstance(spec, type) and issubclass(spec, Cell) and spec is not Cell:
        return spec()
    if not isinstance(spec, str):
        raise ArgumentError(
            f"cell is {spec!r}; pass a name ({', '.join(list_cells())}), a Cell subclass or its instance"
        )
    name, *options = spec.split("-")
    cell_class = _load(name)
    known = cell_class.option_names()
    if len(options) > len(known):
        takes = f"takes {len(known)} at most: {', '.join(known)}" if known else "takes none"
        raise ArgumentError(f"cell {spec!r} has {len(options)} options after dashes; {name!r} {takes}")
    return cell_class(*options)


def _load(name: str) -> type[Cell]:
    """The class whose name in lower case is the file's. Only names of files in this folder are ever imported."""
    known = list_cells()
    if name not in known:
        raise ArgumentError(f"cell {name!r} is unknown; {nearest(name.lower(), known)} Or pass a Cell subclass")
    module = importlib.import_module(f"{_PACKAGE}.{name}")
    for value in vars(module).values():
        own = isinstance(value, type) and issubclass(value, Cell) and value.__module__ == module.__name__
        if own and value.__name__.lower() == name:
            found: type[Cell] = value
            return found
    raise ArgumentError(
        f"recurra/cells/{name}.py defines no Cell whose name in lower case is {name!r}; "
        f"name the class after its file, or begin the file's name with an underscore if it holds no cell"
    )
