"""The C that is written for programs: the same each time, and right for every set of instructions."""

import ctypes
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from recurra.cells import Cell, State, get_cell, list_cells
from recurra.compiler.build import compile_library
from recurra.compiler.emit import emit
from recurra.compiler.forms import Form
from recurra.compiler.library import FIELDS
from recurra.compiler.processor import processor
from recurra.compiler.program import make_program
from recurra.compiler.toolchain import find_compiler
from recurra.testing import assert_within_rounding

FORMS = {
    "plain": Form(),
    "normal": Form(layer_norm=True),
    "thinned": Form(thinned=True),
    "drawn": Form(zoneout=("drawn",)),
    "share": Form(zoneout=("share",)),
}

BUILDS = {}
if platform.machine() == "x86_64":
    BUILDS["plain"] = ("-march=x86-64",)
    if {"avx2", "fma"} <= processor().instructions:
        BUILDS["avx2"] = ("-march=x86-64", "-mavx2", "-mfma")
BUILDS["no threads"] = ("-fno-openmp",)


def source_of(name, form=Form(), bits=32, parts=1):  # noqa: B008 - a tuple
    cell = get_cell(name)
    return emit(make_program(cell, form._replace(zoneout=form.zoneout * len(cell.states))), bits=bits, parts=parts)


def digest():
    """Of the sources of all cells in all forms."""
    texts = [source_of(name, form) for name in list_cells() for form in FORMS.values()]
    return hashlib.sha256("".join(texts).encode()).hexdigest()


def test_a_program_is_written_alike_in_every_process():
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_emit; print(test_emit.digest())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, text=True
    )
    assert ran.stdout.strip() == digest(), ran.stderr


@pytest.mark.parametrize("name", list_cells())
def test_a_program_depends_on_the_cell_the_form_the_numbers_and_the_tile(name):
    texts = [
        *(source_of(name, form) for form in FORMS.values() if form != FORMS["thinned"]),
        source_of(name, bits=64),
        source_of(name, parts=2),
        source_of("elman-sigmoid"),
    ]
    assert len(set(texts)) == len(texts)


def test_a_name_never_becomes_code():
    class Named(Cell):
        gates, states = ("n",), ("h",)

        def __init__(self, kind="plain"):
            self.kind = kind

        def step(self, x, u, s):
            return State(h=x.n)

    text = emit(make_program(Named("*/ int evil; /*\n#error")), bits=32)
    first = text.partition("\n#define")[0]
    assert first.startswith("/*") and first.rstrip().endswith("*/")
    assert first.count("*/") == first.count("/*") == 1
    assert "\n" not in first.strip()


@pytest.mark.parametrize("name", [*list_cells(), "elman-relu"])
def test_a_program_says_of_itself_what_it_is(name):
    program = make_program(get_cell(name))
    numbers = dict(re.findall(r"^#define (\w+) (\d+)$", source_of(name), re.MULTILINE))
    assert int(numbers["STATES"]) == len(program.cell.states)
    assert int(numbers["COLUMNS"]) == len(program.columns)
    assert int(numbers["TAPE"]) == len(program.kept)
    assert int(numbers["OPERANDS"]) == len(program.operands)
    assert int(numbers["VECTORS"]) == len(program.vectors)
    assert int(numbers["X_COUNT"]) == sum(column.input_gate is not None for column in program.columns)


TIME, BATCH, FEATURES, HIDDEN = 6, 5, 3, 9
CASES = [
    ("cfc", Form(layer_norm=True, thinned=True, zoneout=("drawn",)), 32),
    ("slstm", Form(), 32),
    ("peepholelstm", Form(projected=True, zoneout=("", "share")), 64),
]


class Call(ctypes.Structure):
    """The arguments, as `c/recurrence.h` has them."""

    _fields_ = [(name, ctypes.c_int64) for name in FIELDS]


def addresses(tensors):
    return (ctypes.c_int64 * max(len(tensors), 1))(*(0 if one is None else one.data_ptr() for one in tensors))


class Kernel:
    """A library and the arguments of one call of it."""

    def __init__(self, path, program, bits):
        self.library = ctypes.CDLL(str(path))
        self.program, self.dtype = program, torch.float32 if bits == 32 else torch.float64
        self.generator = torch.Generator().manual_seed(0)
        self.held = []

    def draw(self, *shape):
        numbers = torch.rand(shape, generator=self.generator, dtype=torch.float64) * 1.5 + 0.1
        return numbers.to(self.dtype)

    def signed(self, *shape):
        return self.draw(*shape) - 0.85

    def room(self, *shape):
        return torch.full(shape, torch.nan, dtype=self.dtype)

    def set(self, call, **tensors):
        for name, value in tensors.items():
            many = isinstance(value, Sequence)
            array = addresses(value) if many else value
            self.held += [value, array]
            setattr(call, name, ctypes.addressof(array) if many else value.data_ptr())

    def run(self, name, call):
        function = getattr(self.library, f"recurra_{name}")
        function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_int64
        return function(ctypes.addressof(call))

    def results(self, threads):
        """Of a sequence forward and backward, and of a step."""
        program, cell = self.program, self.program.cell
        output = 4 if program.form.projected else HIDDEN
        widths = [output, *[HIDDEN] * (len(cell.states) - 1)]
        gates, again = len(cell.gates), len(cell.recurrent_gates)
        weights = {
            "weight_input": self.signed(gates * HIDDEN, FEATURES),
            "weight_recurrent": self.signed(again * HIDDEN, output) / 3,
            "bias_input": self.signed(gates * HIDDEN),
            "bias_recurrent": self.signed(again * HIDDEN),
            "projection": self.signed(output, HIDDEN),
            "vectors": [self.draw(HIDDEN) for _ in program.vectors],
            "thin": self.draw(BATCH, output),
            "kept": [
                (self.draw(TIME, BATCH, HIDDEN) > 1).byte() if "drawn" in program.form.zoneout else None for _ in widths
            ],
            "gaps": self.draw(TIME, BATCH),
        }
        x, start = self.signed(TIME, BATCH, FEATURES), [self.draw(BATCH, width) for width in widths]
        call = Call(
            TIME, BATCH, FEATURES, HIDDEN, output, 1, threads, BATCH, BATCH * FEATURES, FEATURES, x=x.data_ptr()
        )
        y, last = self.room(TIME, BATCH, output), [self.room(BATCH, width) for width in widths]
        order = torch.tensor([2, 0, 4, 1, 3])
        self.set(call, **weights, start=start, y=y, last=last, lengths=torch.tensor([6, 6, 4, 1, 0]), order=order)
        self.set(call, resets=(self.draw(TIME, BATCH) > 1.3).byte(), restart=[self.draw(*part.shape) for part in start])
        tape = self.room(self.run("tape_size", call))
        self.set(call, tape=tape)
        assert self.run("forward", call) == 0
        gradients = {
            "dx": self.room(TIME, BATCH, FEATURES),
            "dweight_input": self.room(gates * HIDDEN, FEATURES),
            "dweight_recurrent": self.room(again * HIDDEN, output),
            "dbias_input": self.room(gates * HIDDEN),
            "dbias_recurrent": self.room(again * HIDDEN),
            "dprojection": self.room(output, HIDDEN),
            "dvectors": self.room(len(program.vectors), HIDDEN),
            "dstart": [self.room(BATCH, width) for width in widths],
            "drestart": [torch.zeros_like(part) for part in start],
        }
        self.set(call, **gradients, dy=self.signed(*y.shape), dlast=[self.signed(*part.shape) for part in last])
        assert self.run("backward", call) == 0
        step = Call(1, 4, FEATURES, HIDDEN, output, 0, 1, 4, 4 * FEATURES, FEATURES, x=x.data_ptr())
        y_t, after = self.room(4, output), [self.room(4, width) for width in widths]
        self.set(step, **weights, start=start, y=y_t, last=after)
        assert self.run("advance", step) == 0
        if not program.form.projected:
            del gradients["dprojection"]
        parts = gradients.items()
        found = {"y": y, "y_t": y_t, **{name: part for name, part in parts if not isinstance(part, list)}}
        many = {"last": last, "after": after, **{name: part for name, part in parts if isinstance(part, list)}}
        return found | {f"{name}[{i}]": one for name, part in many.items() for i, one in enumerate(part)}


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    """The results of each case as this machine's own instructions compute them, once."""
    known = {}

    def get(case):
        if case not in known:
            known[case] = run_case(case, (), tmp_path_factory.mktemp("native"))
        return known[case]

    return get


def run_case(case, flags, folder):
    name, form, bits = case
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("there is no C compiler")
    program = make_program(get_cell(name), form)
    warnings = ("-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-Wno-unknown-pragmas", "-Wno-unused-parameter")
    compile_library(emit(program, bits=bits), folder / "kernel.so", compiler, (*flags, *warnings))
    return Kernel(folder / "kernel.so", program, bits).results(threads=2)


@pytest.mark.slow
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_every_set_of_instructions_computes_the_same(case, build, native, tmp_path):
    found = run_case(case, BUILDS[build], tmp_path)
    for name, expected in native(case).items():
        assert_within_rounding(found[name], expected, f"{name} of {case[0]}, built {build}")


def cross_compiler():
    """A compiler for 64-bit ARM, if there is one."""
    if shutil.which("aarch64-linux-gnu-gcc"):
        return ["aarch64-linux-gnu-gcc"]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu"]
    return None


@pytest.mark.slow
@pytest.mark.skipif(cross_compiler() is None, reason="there is no compiler for aarch64")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_neon_takes_the_text(case, tmp_path):
    name, form, bits = case
    (tmp_path / "kernel.c").write_text(emit(make_program(get_cell(name), form), bits=bits))
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-c"]
    subprocess.run(
        [*cross_compiler(), *flags, str(tmp_path / "kernel.c"), "-o", str(tmp_path / "kernel.o")],
        check=True,
        timeout=300,
    )
