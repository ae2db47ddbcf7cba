"""`recurra doctor`: what makes recurra fast on this machine, what is missing, and whether it computes right."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shlex
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from recurra.cli.options import Debug, Json, Quiet

__all__ = ["doctor"]

ClearCache = Annotated[bool, typer.Option("--clear-cache", help="Delete the built libraries, and do nothing else.")]

_SELF_TEST = "recurra.engines.selftest"
_VECTORS = {"avx2": "avx2", "fma": "fma", "avx512f": "avx512f", "neon": "neon", "asimd": "neon"}


def doctor(clear_cache: ClearCache = False, json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Show versions, processor, compiler and cache, and test the compiled kernels; with --quiet, show only problems.

    Example: recurra doctor
    """
    from recurra.cli.console import output, print_json

    if clear_cache:
        cleared = _clear()
        if json:
            print_json(cleared)
        elif not quiet:
            output().print(f"{cleared['deleted']} built libraries deleted from {cleared['folder']}", markup=False)
        return
    found = _examine()
    if json:
        print_json(found)
    else:
        for label, text, is_problem in _lines(found):
            if is_problem or not quiet:
                output().print(f"{label:<12}{text}", markup=False)
    if not all(row["passed"] for row in found["self-test"]):
        raise typer.Exit(1)


def _clear() -> dict[str, Any]:
    from recurra.compiler.cache import cache_folder, clear_cache
    from recurra.errors import RecurraError

    try:
        folder = cache_folder()
        return {"folder": str(folder), "deleted": clear_cache(folder)}
    except OSError as error:
        raise RecurraError(f"the cache was not cleared: {error}") from error


def _examine() -> dict[str, Any]:
    compiler = _compiler()
    return {
        "versions": _versions(),
        "processor": _processor(),
        "compiler": compiler,
        "cache": _cache(),
        "self-test": _self_test() if compiler["command"] else [],
    }


def _versions() -> dict[str, str]:
    import numpy
    import torch

    from recurra.version import __version__

    return {
        "recurra": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }


def _processor() -> dict[str, Any]:
    import torch

    from recurra.compiler.processor import processor

    found = processor()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "model": found.model,
        "vectors": list(dict.fromkeys(word for name, word in _VECTORS.items() if name in found.instructions)),
        "cores": cores,
        "torch threads": torch.get_num_threads(),
    }


def _compiler() -> dict[str, Any]:
    from recurra.compiler.toolchain import find_compiler, why_no_compiler

    found = find_compiler()
    if found is None:
        return {"command": None, "problem": why_no_compiler()}
    return {
        "command": shlex.join(found.command),
        "version": found.version,
        "flags": list(found.flags),
        "openmp": found.openmp,
        "problem": None,
    }


def _cache() -> dict[str, Any]:
    from recurra.compiler.cache import cache_folder, list_cache, open_folder

    folder = None
    try:
        folder = cache_folder()
        open_folder(folder)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} cannot be written")
    except OSError as error:
        return {"folder": folder and str(folder), "problem": str(error)}
    files = list_cache(folder)
    return {
        "folder": str(folder),
        "libraries": sum(path.suffix == ".so" for path in files),
        "megabytes": round(sum(path.stat().st_size for path in files) / 1e6, 3),
        "problem": None,
    }


def _self_test() -> list[dict[str, Any]]:
    from recurra.errors import RecurraError

    if importlib.util.find_spec(_SELF_TEST) is None:
        return []
    try:
        rows = importlib.import_module(_SELF_TEST).run()
    except RecurraError as error:
        rows = [("build", False, str(error))]
    return [{"name": name, "passed": passed, "detail": detail} for name, passed, detail in rows]


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Label, text, and whether it is a problem."""
    versions, processor, compiler, cache = (found[key] for key in ("versions", "processor", "compiler", "cache"))
    yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items()), False
    vectors = " ".join(processor["vectors"]) or "no vector instructions that matter"
    threads = f"{processor['cores']} cores, torch uses {processor['torch threads']} threads"
    yield "processor", f"{processor['model']}, {vectors}; {threads}", False
    if compiler["problem"]:
        yield "compiler", f"{compiler['problem']}; until then everything works, slower", True
    else:
        yield "compiler", f"{compiler['version']}, {'with' if compiler['openmp'] else 'without'} OpenMP", False
        yield "", " ".join([compiler["command"], *compiler["flags"]]), False
    if cache["problem"]:
        yield "cache", f"{cache['problem']}; kernels are built again in every process", True
    else:
        yield "cache", f"{cache['folder']}, {cache['libraries']} libraries, {cache['megabytes']:.1f} MB", False
    for row in found["self-test"]:
        yield "self-test", f"{'ok' if row['passed'] else 'FAILED':<8}{row['name']}: {row['detail']}", not row["passed"]
