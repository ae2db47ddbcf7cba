"""The C compiler that builds kernels: which one, and the flags that it takes here.

It is the first that works of $CC, cc, gcc, clang and `python -m ziglang cc` (of the extra recurra[cc]). RECURRA_CC
names the only one to be tried; RECURRA_CC=none behaves as if there were none.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from recurra.compiler.processor import processor
from recurra.errors import BuildError, Notice

__all__ = ["Compiler", "find_compiler", "invoke", "why_no_compiler"]

_TRIAL_SECONDS = 60.0  # zig builds its runtime the first time
_REMEDY = "install one, or recurra[cc]"

# NaN, infinity and the sign of zero keep their meaning; only error numbers, traps and separate rounding are given up.
_FLAGS = (
    *("-O3", "-std=gnu11", "-fPIC", "-shared"),
    *("-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"),
)
_NATIVE = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
_OPENMP = "-fopenmp"

_ERROR = re.compile(r"\b(error|undefined reference|cannot find|failed)\b")

_TRIAL = """
#include <math.h>

typedef float vec __attribute__((vector_size(32)));
typedef int mask __attribute__((vector_size(32)));
typedef float loose __attribute__((vector_size(32), aligned(4), may_alias));

void fill(float *to, long count) {
#ifdef _OPENMP
#pragma omp parallel for
#endif
    for (long i = 0; i < count; i++) to[i] = expf(to[i]);
}

double trial(const float *from) {
    vec value = *(const loose *)from;
    mask positive = value > (vec){0};
    vec kept = (vec)((mask)(value * (2 - (vec){0})) & positive);
    double total = 0;
    for (int lane = 0; lane < 8; lane++) total += kept[lane];
    return total;
}
"""
_TRIAL_VALUES, _TRIAL_RESULT = (0.5, -1.0, 2.0, float("nan"), -3.0, 4.0, -0.0, 8.0), 29.0


class Compiler(NamedTuple):
    """A C compiler that was tried and works.

    command: the program and its leading arguments.
    version: the first line of what it says of itself.
    flags: what every library is built with.
    openmp: whether OpenMP is among them.
    cpu: the processor, by its model and what it can do: what "native" means in the flags.
    """

    command: tuple[str, ...]
    version: str
    flags: tuple[str, ...]
    openmp: bool
    cpu: str


def find_compiler() -> Compiler | None:
    """The C compiler to build with, or None; found once for each value of $RECURRA_CC, $CC and $PATH.

    A `Notice` says if $CC does not work and another is taken.
    """
    return _search()[0]


def why_no_compiler() -> str:
    """One line on why `find_compiler` has found none, and what to do; empty if it has found one."""
    compiler, refusals = _search()
    chosen = os.environ.get("RECURRA_CC", "").strip()
    if compiler is not None:
        return ""
    if chosen == "none":
        return "RECURRA_CC=none turns the compiler off; unset it"
    if chosen:
        return f"the compiler that RECURRA_CC names does not work ({'; '.join(refusals)}); unset it to try others"
    if refusals:
        return f"no C compiler works ({'; '.join(refusals)}); {_REMEDY}"
    return f"no C compiler found ($CC, cc, gcc, clang, python -m ziglang cc); {_REMEDY}"


def invoke(arguments: Sequence[str], scratch: Path, seconds: float) -> str:
    """Run a compiler and give back what it printed: without a shell, without input, its temporary files in `scratch`.

    Raises BuildError, with the first error that it printed, if it fails or takes longer than `seconds`: then it and all
    that it started are ended.
    """
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C", "TMPDIR": str(scratch)},
            umask=0o077,
            process_group=0,
        )
    except OSError as error:
        raise BuildError(f"{arguments[0]}: {error.strerror or error}") from None
    with process:
        try:
            output = process.communicate(timeout=seconds)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            raise BuildError(f"it took more than {seconds:g} s and was stopped") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise BuildError(_first_error(output) or f"it ended with status {process.returncode}")
    return output


def _first_error(output: str) -> str:
    return next((line.strip() for line in output.splitlines() if _ERROR.search(line)), "")


def _search() -> tuple[Compiler | None, tuple[str, ...]]:
    """The compiler, and why each one that was tried before it was passed over."""
    words = (os.environ.get("RECURRA_CC", "").strip(), os.environ.get("CC", "").strip())
    return _search_among(*words, os.environ.get("PATH", os.defpath))


@functools.cache
def _search_among(chosen: str, cc: str, path: str) -> tuple[Compiler | None, tuple[str, ...]]:
    refusals: list[str] = []
    for name, words in _candidates(chosen, cc, path):
        try:
            compiler = _try(words, path)
        except (BuildError, OSError) as error:
            refusals.append(f"{name}: {error}")
            continue
        if refusals and cc and not chosen:
            warnings.warn(f"{refusals[0]}; {name} is used instead", Notice, stacklevel=5)
        return compiler, tuple(refusals)
    return None, tuple(refusals)


def _candidates(chosen: str, cc: str, path: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What there is to be tried: how it was named, and the words of the command."""
    if chosen == "none":
        return
    if chosen:
        yield f"RECURRA_CC={chosen}", _words(chosen)
        return
    if cc:
        yield f"CC={cc}", _words(cc)
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name, path=path):
            yield name, (name,)
    if sys.executable and importlib.util.find_spec("ziglang"):
        yield "python -m ziglang cc", (sys.executable, "-P", "-m", "ziglang", "cc")


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:  # a quote without its other half
        return (text,)


def _try(words: tuple[str, ...], path: str) -> Compiler:
    """The compiler of that command. Raises BuildError or OSError if it does not build what runs here."""
    program = shutil.which(words[0], path=path)
    if program is None:
        raise BuildError("it is not there")
    command = (str(Path(program).absolute()), *words[1:])
    with tempfile.TemporaryDirectory(prefix="recurra-") as scratch:
        folder = Path(scratch)
        said = invoke([*command, "--version"], folder, _TRIAL_SECONDS)
        flags = _working_flags(command, folder)
    version = next(iter(said.splitlines()), "").strip()
    return Compiler(command, version, flags, _OPENMP in flags, processor().identity)


def _working_flags(command: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """The flags, without OpenMP or the processor's own instructions where the compiler does not take these."""
    text = folder / "trial.c"
    text.write_text(_TRIAL)
    refusal = BuildError("no flags to try")
    for number, extra in enumerate(((_NATIVE, _OPENMP), (_NATIVE,), (_OPENMP,), ())):
        flags = (*_FLAGS, *extra)
        library = folder / f"trial{number}.so"  # a name of its own: the loader knows libraries by their names
        try:
            invoke([*command, *flags, str(text), "-o", str(library), "-lm"], folder, _TRIAL_SECONDS)
            _check_trial(library)
        except BuildError as error:
            refusal = error
        else:
            return flags
    raise refusal


def _check_trial(library: Path) -> None:
    try:
        trial = ctypes.CDLL(str(library)).trial
    except (OSError, AttributeError) as error:
        raise BuildError(f"what it builds cannot be loaded ({error})") from None
    trial.restype = ctypes.c_double
    result = trial((ctypes.c_float * 8)(*_TRIAL_VALUES))
    if result != _TRIAL_RESULT:
        raise BuildError(f"what it builds computes {result:g} where {_TRIAL_RESULT:g} is right")
