"""The generated C under the sanitizers for addresses and undefined behaviour: forward, backward, single steps, streams.

Each program runs by itself, with buffers of exactly the size that callers give, results filled with NaN before, and the
gaps between the pieces of its own memory poisoned. It checks that nothing is read or written outside, and that
no NaN is left in a result.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from recurra.cells import get_cell, list_cells
from recurra.compiler.emit import emit, emit_wavenet
from recurra.compiler.forms import Form
from recurra.compiler.program import Program, make_program
from recurra.compiler.toolchain import Compiler, find_compiler

pytestmark = pytest.mark.slow

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")

PLAIN = Form()
NORMAL = Form(layer_norm=True)
THINNED = Form(thinned=True)
ZONED_OUT = Form(zoneout=("drawn", "share", "drawn"))
MANY = Form(layer_norm=True, thinned=True, zoneout=("share", "drawn", ""))

# cell, form, bits, parts of a tile
PROGRAMS = [(name, PLAIN, 32, 1) for name in list_cells()]
PROGRAMS += [("elman-relu", PLAIN, 32, 4), ("mingru", PLAIN, 64, 2), ("lstm", PLAIN, 64, 1)]
PROGRAMS += [(name, form, 32, 1) for name in ("lstm", "gru", "cfc") for form in (NORMAL, MANY)]
PROGRAMS += [("lstm", THINNED, 32, 1), ("lstm", ZONED_OUT, 32, 1), ("cfc", THINNED, 32, 1)]
PROGRAMS += [("lru", form, 32, 1) for form in (THINNED, Form(zoneout=("drawn", "", "")))]
PROGRAMS += [
    ("lstm", Form(projected=True), 32, 1),
    ("lstm", Form(layer_norm=True, thinned=True, projected=True), 32, 1),
]

# In front of the program: between pieces of memory, what no piece may touch.
TAKING = "static real *take(Arena *arena, long count) {"
POISONING = """
void __asan_poison_memory_region(void const volatile *, size_t);

static real *take_unguarded(Arena *arena, long count);

static real *take(Arena *arena, long count) {
    real *piece = take_unguarded(arena, count);
    char *end = (char *)(piece + count);
    if (piece) __asan_poison_memory_region(end, (size_t)(arena->base + arena->used - end));
    return piece;
}

static real *take_unguarded(Arena *arena, long count) {"""

# How large weights may be for x to be multiplied step by step: a constant, which the driver changes.
THRESHOLD, CHANGING = "enum { CACHED_BYTES = 1 << 20 };", "static long CACHED_BYTES;"

HOLDING = """
static void *held[4096];
static int holding;

static void *hold(size_t bytes) {
    void *memory = malloc(bytes);
    if (!memory || holding == 4096) abort();
    return held[holding++] = memory;
}

static void release(void) {
    while (holding) free(held[--holding]);
}

static real drawn(void) {
    static uint32_t bits = 1;
    bits = bits * 1664525u + 1013904223u;
    return (real)(bits >> 8) / (1 << 24);
}

static real *numbers(long count, real low, real high) {
    real *to = hold((size_t)count * sizeof(real));
    for (long i = 0; i < count; i++) to[i] = low + (high - low) * drawn();
    return to;
}

static real *filled(long count, real value) {
    real *to = hold((size_t)count * sizeof(real));
    for (long i = 0; i < count; i++) to[i] = value;
    return to;
}

static void check(const char *what, const real *from, long count) {
    for (long i = 0; i < count; i++)
        if (from[i] != from[i]) {
            fprintf(stderr, "%s is NaN at %ld of %ld\\n", what, i, count);
            exit(1);
        }
}
"""

DRIVER = """
typedef struct {
    long time, batch, input, hidden, slabs, block;
    int reverse, ragged, resets, biased, wants_x;
} Case;

static const Case CASES[] = {
    {1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1},   {4, 3, 2, 3, 1, 3, 0, 1, 0, 1, 1},  {5, 4, 3, 7, 3, 2, 1, 1, 1, 0, 1},
    {7, 5, 2, 33, 2, 9, 0, 1, 1, 1, 0},  {6, 9, 5, 17, 1, 256, 1, 0, 0, 1, 1}, {3, 13, 9, 65, 2, 7, 0, 0, 1, 1, 1},
    {4, 3, 2, 7, 2, 2, 1, 1, 0, 1, 1},   {2, 0, 2, 3, 1, 1, 0, 0, 0, 1, 1},  {2, 7, 140, 150, 2, 5, 0, 0, 0, 1, 1},
    {2, 270, 2, 3, 1, 256, 1, 1, 0, 1, 1},
};

/* Results that are added to, or that not all columns write, are 0 before; the others NaN. */
static real *result(long count, int complete) { return filled(count, complete ? NAN : 0); }

static real *const *results(const Call *c, int complete) {
    real **to = hold(STATES * sizeof(real *));
    for (int state = 0; state < STATES; state++) to[state] = result(c->batch * unit_count(c, state), complete);
    return to;
}

static const real *const *states(const Call *c, real low, real high) {
    const real **to = hold(STATES * sizeof(real *));
    for (int state = 0; state < STATES; state++) to[state] = numbers(c->batch * unit_count(c, state), low, high);
    return to;
}

static void check_states(const char *what, const Call *c, const real *const *from) {
    for (int state = 0; state < STATES; state++) check(what, from[state], c->batch * unit_count(c, state));
}

static uint8_t *flags(long count) {
    uint8_t *to = hold((size_t)count);
    for (long i = 0; i < count; i++) to[i] = drawn() < (real)0.3;
    return to;
}

static void set_lengths(Call *c) {
    int64_t *lengths = hold((size_t)c->batch * sizeof(int64_t)), *order = hold((size_t)c->batch * sizeof(int64_t));
    for (long row = 0; row < c->batch; row++) {
        lengths[row] = row + 1 == c->batch ? 0 : c->time - row % (c->time + 1) * (row > 0);
        order[row] = c->batch - 1 - row;
    }
    for (long row = 1; row < c->batch; row++) /* they fall */
        if (lengths[row] > lengths[row - 1]) lengths[row] = lengths[row - 1];
    c->lengths = lengths, c->order = order;
}

/* Whether only some of the recurrent weights are there. */
static int sparse;

static void connect(Call *c) {
    c->connected = c->output < 3 ? c->output : 3;
    int64_t *to = hold((size_t)(AGAIN * c->hidden * c->connected) * sizeof(int64_t));
    for (long row = 0; row < AGAIN * c->hidden; row++)
        for (long one = 0; one < c->connected; one++)
            to[row * c->connected + one] = row % (c->output - c->connected + 1) + one;
    c->connections = to;
}

static Call prepare(const Case *k, long time, long batch) {
    const long output = PROJECTED ? (k->hidden + 1) / 2 : k->hidden;
    Call c = {.time = time, .batch = batch, .input = k->input, .hidden = k->hidden, .output = output,
              .reverse = k->reverse, .slabs = k->slabs < batch ? k->slabs : batch > 0 ? batch : 1};
    const long rows = up(batch, c.slabs) / c.slabs, more = k->biased; /* room between the rows of x */
    c.block = k->block > rows ? k->block : rows;
    c.x_batch = k->input + more, c.x_time = batch * c.x_batch;
    c.x = numbers(batch ? (time - 1) * c.x_time + (batch - 1) * c.x_batch + k->input : 0, -2, 2);
    c.weight_input = numbers(GATES * k->hidden * k->input, -1, 1);
    if (AGAIN) c.weight_recurrent = numbers(AGAIN * k->hidden * output, (real)-0.3, (real)0.3);
    if (AGAIN && sparse) connect(&c);
    if (k->biased) {
        c.bias_input = numbers(GATES * k->hidden, -1, 1);
        if (AGAIN) c.bias_recurrent = numbers(AGAIN * k->hidden, -1, 1);
    }
    if (PROJECTED) c.projection = numbers(output * k->hidden, -1, 1);
    const real **vectors = hold((VECTORS + 1) * sizeof(real *));
    for (int vector = 0; vector < VECTORS; vector++) vectors[vector] = numbers(k->hidden, (real)0.1, (real)0.9);
    c.vectors = vectors;
    if (THINNED) c.thin = numbers(batch * output, 0, 2);
    static const int drawn_out[] = {DRAWN_OUT};
    const uint8_t **kept = hold(STATES * sizeof(uint8_t *));
    for (int state = 0; state < STATES; state++)
        kept[state] = drawn_out[state] ? flags(time * batch * unit_count(&c, state)) : NULL;
    c.kept = kept;
    if (k->resets) c.gaps = numbers(time * batch, 0, 2);
    c.start = sparse && k->biased ? hold(STATES * sizeof(real *)) : states(&c, (real)0.1, 1);
    if (sparse && k->biased) memset((void *)c.start, 0, STATES * sizeof(real *));
    c.y = result(time * batch * output, 1);
    c.last = results(&c, 1);
    return c;
}

static void check_forward(const Call *c) {
    check("y", c->y, c->time * c->batch * c->output);
    check_states("last", c, (const real *const *)c->last);
}

static void run_sequence(const Case *k) {
    Call c = prepare(k, k->time, k->batch);
    if (k->ragged) set_lengths(&c);
    if (k->resets) c.resets = flags(k->time * k->batch), c.restart = states(&c, (real)0.1, 1);
    if (recurra_forward(&c)) abort();
    check_forward(&c);
    c.y = result(k->time * k->batch * c.output, 1), c.last = results(&c, 1);
    const long tape = recurra_tape_size(&c);
    c.tape = result(tape, 1);
    if (recurra_forward(&c)) abort();
    check_forward(&c);
    c.dy = k->biased ? numbers(k->time * k->batch * c.output, -1, 1) : NULL;
    c.dlast = states(&c, -1, 1);
    if (k->wants_x) c.dx = result(k->time * k->batch * k->input, 1);
    const long input_size = GATES * k->hidden * k->input, recurrent_size = AGAIN * k->hidden * c.output;
    c.dweight_input = result(input_size, ALL_INPUT);
    if (AGAIN) c.dweight_recurrent = result(recurrent_size, ALL_AGAIN);
    if (k->biased && !LAYER_NORM) c.dbias_input = result(GATES * k->hidden, ALL_INPUT);
    if (k->biased && AGAIN && !LAYER_NORM) c.dbias_recurrent = result(AGAIN * k->hidden, ALL_AGAIN);
    if (PROJECTED) c.dprojection = result(c.output * k->hidden, 1);
    c.dvectors = result(VECTORS * k->hidden, 1);
    c.dstart = results(&c, 1);
    if (k->resets) c.drestart = results(&c, 0);
    if (sparse && !k->biased) { /* what is fixed needs no gradient */
        c.dweight_input = c.dweight_recurrent = NULL;
        memset((void *)c.dstart, 0, STATES * sizeof(real *));
    }
    c.slabs = 1; /* the tape knows how many there were */
    if (recurra_backward(&c)) abort();
    if (c.dx) check("dx", c.dx, k->time * k->batch * k->input);
    if (c.dweight_input) check("dweight_input", c.dweight_input, input_size);
    if (c.dweight_recurrent) check("dweight_recurrent", c.dweight_recurrent, recurrent_size);
    if (c.dbias_input) check("dbias_input", c.dbias_input, GATES * k->hidden);
    if (c.dbias_recurrent) check("dbias_recurrent", c.dbias_recurrent, AGAIN * k->hidden);
    if (PROJECTED) check("dprojection", c.dprojection, c.output * k->hidden);
    check("dvectors", c.dvectors, VECTORS * k->hidden);
    if (c.dstart[0]) check_states("dstart", &c, (const real *const *)c.dstart);
    if (c.drestart) check_states("drestart", &c, (const real *const *)c.drestart);
}

static void run_step(const Case *k) {
    Call c = prepare(k, 1, k->batch < 4 ? k->batch : 4);
    if (recurra_advance(&c)) abort();
    check_forward(&c);
}

static void run_stream(const Case *k) {
    Call c = prepare(k, 1, k->batch);
    c.slabs = 1, c.block = k->batch > 0 ? k->batch : 1, c.reverse = 0;
    Stream *stream = recurra_stream_open(&c);
    if (!stream) abort();
    for (int step = 0; step < 3; step++) {
        recurra_stream_step(stream);
        recurra_stream_read(stream, c.last);
        check_forward(&c);
        if (step == 1) recurra_stream_write(stream, c.start);
    }
    recurra_stream_close(stream);
}

int main(void) {
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const Case *k = &CASES[i];
        fprintf(stderr, "case %zu\\n", i);
        for (int way = 0; way < 3; way++) { /* as if weights were too large for the cache, too; and few of them */
            CACHED_BYTES = way == 1 ? 0 : 1 << 20;
            sparse = way == 2;
            run_sequence(k);
            run_step(k);
            if (STREAMS) run_stream(k);
            release();
        }
    }
    return 0;
}
"""


WAVENET_DRIVER = """
static const struct { long batch, input, output, channels, skip, kernel, layers, told; int classes; } CASES[] = {
    {1, 1, 1, 1, 1, 2, 1, 0, 0},  {3, 2, 5, 3, 7, 2, 4, 0, 0},   {2, 17, 33, 19, 65, 3, 3, 5, 0},
    {4, 7, 4, 16, 32, 2, 2, 1, 1}, {1, 256, 256, 32, 64, 2, 10, 0, 1}, {5, 3, 2, 34, 1, 4, 2, 18, 1},
};

static int64_t *classes(long count, long highest) {
    int64_t *to = hold((size_t)count * sizeof(int64_t));
    for (long i = 0; i < count; i++) to[i] = i % 2 ? highest : 0;
    return to;
}

int main(void) {
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const long batch = CASES[i].batch, input = CASES[i].input, output = CASES[i].output, told = CASES[i].told;
        const long skip = CASES[i].skip, kernel = CASES[i].kernel, layers = CASES[i].layers, c = CASES[i].channels;
        const long taps = layers * (kernel - 1);
        WaveNetCall *call = hold(sizeof(WaveNetCall) + (size_t)taps * sizeof(real *));
        memset(call, 0, sizeof *call);
        call->batch = batch, call->input = input, call->output = output, call->channels = c, call->skip = skip;
        call->kernel = kernel, call->layers = layers, call->condition_size = told;
        call->x = CASES[i].classes ? (void *)classes(batch, input - 1) : (void *)numbers(batch * input, -1, 1);
        call->weight_input = numbers(input * c, -1, 1);
        if (!CASES[i].classes) call->bias_input = numbers(c, -1, 1);
        call->weight_dilated = numbers(layers * 2 * c * kernel * c, -1, 1);
        call->bias_dilated = numbers(layers * 2 * c, -1, 1);
        if (told) call->condition = numbers(batch * told, -1, 1);
        if (told) call->weight_condition = numbers(layers * 2 * c * told, -1, 1);
        call->weight_residual = numbers((layers - 1) * c * c, -1, 1);
        call->weight_skip = numbers(skip * layers * c, -1, 1), call->bias_skip = numbers(skip, -1, 1);
        call->weight_hidden = numbers(skip * skip, -1, 1), call->bias_hidden = numbers(skip, -1, 1);
        call->weight_output = numbers(output * skip, -1, 1), call->bias_output = numbers(output, -1, 1);
        call->y = filled(batch * output, NAN), call->next = filled(layers * batch * c, NAN);
        for (long tap = 0; tap < taps; tap++) call->past[tap] = numbers(batch * c, -1, 1);
        if (recurra_wavenet_step(call)) abort();
        check("y", call->y, batch * output);
        check("next", call->next, layers * batch * c);
        if (CASES[i].classes) {
            call->x = classes(batch, input);
            ((int64_t *)call->x)[0] = i % 2 ? -1 : input;
            if (recurra_wavenet_step(call) != 1) abort();
        }
        fprintf(stderr, "case %zu\\n", i);
        release();
    }
    return 0;
}
"""


@pytest.fixture(scope="session")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    """One that has the sanitizers."""
    found = find_compiler()
    if found is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("sanitizers")
    (folder / "trial.c").write_text("int main(void) { return 0; }\n")
    trial = [*found.command, *SANITIZERS, str(folder / "trial.c"), "-o", str(folder / "trial")]
    built = subprocess.run(trial, capture_output=True, timeout=60)
    if built.returncode or subprocess.run([str(folder / "trial")], capture_output=True, timeout=60).returncode:
        pytest.skip("the compiler has no sanitizers")
    return found


@pytest.mark.parametrize(("name", "form", "bits", "parts"), PROGRAMS, ids=lambda value: _spell(value))
def test_a_program_stays_within_its_memory_and_leaves_no_result_out(
    name: str, form: Form, bits: int, parts: int, compiler: Compiler, tmp_path: Path
) -> None:
    cell = get_cell(name)
    form = form._replace(zoneout=form.zoneout[: len(cell.states)])
    program = make_program(cell, form)
    source = emit(program, bits=bits, parts=parts)
    assert source.count(TAKING) == source.count(THRESHOLD) == 1
    source = source.replace(TAKING, POISONING).replace(THRESHOLD, CHANGING) + _constants(program) + HOLDING + DRIVER
    binary = _build(compiler, source, tmp_path)
    options = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1", "OMP_NUM_THREADS": "2"}
    ran = subprocess.run([binary], capture_output=True, text=True, timeout=300, env={**os.environ, **options})
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stderr.splitlines()[-1] == "case 9"


@pytest.mark.parametrize("bits", [32, 64])
def test_a_step_of_a_wavenet_stays_within_its_memory_and_leaves_no_result_out(
    bits: int, compiler: Compiler, tmp_path: Path
) -> None:
    binary = _build(compiler, f"#include <stdio.h>\n{emit_wavenet(bits)}{HOLDING}{WAVENET_DRIVER}", tmp_path)
    ran = subprocess.run([binary], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stderr.splitlines()[-1] == "case 5"


def _build(compiler: Compiler, source: str, folder: Path) -> str:
    (folder / "program.c").write_text(source)
    flags = [flag for flag in compiler.flags if flag not in ("-shared", "-fPIC")]
    out = str(folder / "program")
    command = [*compiler.command, *flags, "-O0", *SANITIZERS, str(folder / "program.c"), "-o", out, "-lm"]
    subprocess.run(command, check=True, timeout=300)
    return out


def _constants(program: Program) -> str:
    cell, form = program.cell, program.form
    drawn = [kind == "drawn" for kind in form.zoneout] or [False] * len(cell.states)
    numbers = {
        "GATES": len(cell.gates),
        "AGAIN": len(cell.recurrent_gates),
        "ALL_INPUT": _are_all_there(len(cell.gates), [column.input_gate for column in program.columns]),
        "ALL_AGAIN": _are_all_there(len(cell.recurrent_gates), [column.recurrent_gate for column in program.columns]),
        "DRAWN_OUT": ", ".join(str(int(one)) for one in drawn),
        "STREAMS": int(not form.thinned and not any(drawn)),
    }
    return "".join(f"#define {name} {value}\n" for name, value in numbers.items())


def _are_all_there(count: int, gates: Sequence[int | None]) -> int:
    return int(set(range(count)) <= set(gates))


def _spell(value: object) -> str:
    if not isinstance(value, Form):
        return str(value)
    asked = [name for name in ("layer_norm", "thinned", "projected") if getattr(value, name)]
    return "-".join([*asked, *(word or "none" for word in value.zoneout)]) or "plain"
