"""The elementary functions of kernels, against a wider type: for several sets of instructions, flushing or not."""

import ctypes
import functools
import platform
from typing import NamedTuple

import numpy as np
import pytest

from recurra.compiler.build import compile_library
from recurra.compiler.emit import fixed_text
from recurra.compiler.processor import processor
from recurra.compiler.toolchain import find_compiler

ONE_ARGUMENT = ("sigmoid", "tanh", "relu", "exp", "expm1", "log", "sqrt", "sin", "cos", "abs")
TWO_ARGUMENTS = ("maximum", "minimum", "logaddexp")
FUNCTIONS = ONE_ARGUMENT + TWO_ARGUMENTS

BUILDS = {"native": (), "unfused": ("-ffp-contract=off",)}
if platform.machine() == "x86_64":
    BUILDS["plain"] = ("-march=x86-64",)
    if {"avx2", "fma"} <= processor().instructions:
        BUILDS["avx2"] = ("-march=x86-64", "-mavx2", "-mfma")

WRAPPER = """
#define EACH(name, value) \\
    void each_##name(const real *a, const real *b, real *to, long count) { \\
        for (long i = 0; i < count; i += LANES) { \\
            const vec x = load_some(a + i, count - i), y = load_some(b + i, count - i); \\
            (void)y; \\
            store_some(to + i, value, count - i); \\
        } \\
    }
EACH(same, x)
"""
WRAPPER += "".join(f"EACH({name}, vec_{name}(x))\n" for name in ONE_ARGUMENT)
WRAPPER += "".join(f"EACH({name}, vec_{name}(x, y))\n" for name in TWO_ARGUMENTS)
WRAPPER += """
long lanes(void) { return LANES; }

void sum_some(const real *a, real *to, long count) { *to = sum(load_some(a, count)); }

void flush(int on) {
#if defined(__x86_64__)
    _mm_setcsr(on ? _mm_getcsr() | 0x8040 : _mm_getcsr() & ~0x8040u);
#else
    (void)on;
#endif
}
"""


class Vectors(NamedTuple):
    """A built library, the type of its numbers and a wider one; flushed: denormals count as 0, as in kernels."""

    library: ctypes.CDLL
    type: type
    wide: type
    flushed: bool

    def __call__(self, name, a, b=None):
        a = np.asarray(a, self.type)
        b = a if b is None else np.asarray(b, self.type)
        out = np.full_like(a, np.nan)
        self.library.flush(self.flushed)
        try:
            getattr(self.library, f"each_{name}")(pointer(a), pointer(b), pointer(out), ctypes.c_long(a.size))
        finally:
            self.library.flush(False)
        return out

    @property
    def limits(self):
        return np.finfo(self.type)

    def seen(self, x):
        """The arguments as the processor takes them, in the wider type."""
        return (
            np.where(np.abs(x) < self.limits.tiny, np.copysign(0, x), x).astype(self.wide) if self.flushed else widen(x)
        )


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def widen(x):
    return x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """Builds the library, once for each name of BUILDS and number of bits; a warning is an error."""
    compiler = find_compiler()
    if compiler is None:
        pytest.skip("there is no C compiler")

    @functools.cache
    def build_one(name, bits):
        source = f"#define REAL_BITS {bits}\n" + fixed_text("vectors.h") + fixed_text("functions.h") + WRAPPER
        path = tmp_path_factory.mktemp("functions") / f"{name}-{bits}.so"
        compile_library(source, path, compiler, (*BUILDS[name], "-Wall", "-Wextra", "-Werror"))
        return ctypes.CDLL(str(path))

    return build_one


@pytest.fixture(scope="session", params=[32, 64], ids=["float32", "float64"])
def bits(request):
    if request.param == 64 and np.finfo(np.longdouble).nmant < 60:
        pytest.skip("no type is wider than float64 here")
    return request.param


@pytest.fixture(scope="session", params=BUILDS)
def library(request, build, bits):
    return build(request.param, bits)


@pytest.fixture(params=[False, True], ids=["", "flushed"])
def vectors(request, library, bits):
    if request.param and platform.machine() != "x86_64":
        pytest.skip("the wrapper cannot flush denormals here")
    return Vectors(library, *((np.float32, np.float64) if bits == 32 else (np.float64, np.longdouble)), request.param)


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


@functools.cache
def arguments(kind):
    """Random bit patterns, grids, numbers near 0 and 1, and special values."""
    rng = np.random.default_rng(0)
    count, limits = 10_001, np.finfo(kind)
    patterns = rng.integers(0, 2**limits.bits, 4 * count, dtype=f"uint{limits.bits}").view(kind)
    steps = np.linspace(-1, 1, count)
    near = np.geomspace(limits.eps / 4, 0.5, count // 2)
    lowest, highest = np.log(limits.tiny) * 1.1, np.log(limits.max) * 1.01
    grids = [steps, 20 * steps, np.linspace(lowest, highest, 2 * count), near, -near, 1 + near, 1 - near]
    edges = np.array([0.0, 1.0, limits.tiny, limits.smallest_subnormal, limits.max, np.inf], kind)
    return np.concatenate([patterns, *(grid.astype(kind) for grid in grids), edges, -edges, np.array([np.nan], kind)])


@pytest.fixture
def x(vectors):
    return arguments(vectors.type)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def in_ulp(error, size, limits):
    """The error in units in the last place of a number of that size."""
    return np.abs(error) / np.ldexp(size.dtype.type(1), np.frexp(np.maximum(size, limits.tiny))[1] - 1 - limits.nmant)


def assert_accurate(vectors, out, expected, most, size=None):
    """NaN and infinity where they belong, and elsewhere at most so many ulp; what vanishes may be 0."""
    limits = vectors.limits
    rounded = expected.astype(vectors.type)
    infinite = np.isinf(rounded) | np.isinf(out)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(expected))
    np.testing.assert_array_equal(out[infinite], rounded[infinite])
    finite = ~infinite & ~np.isnan(expected)
    out, expected = out[finite].astype(vectors.wide), expected[finite]
    vanishing = np.abs(expected) < 4 * limits.tiny
    assert np.all(np.abs(out - expected)[vanishing] <= np.abs(expected)[vanishing] + limits.tiny * vectors.flushed)
    error = in_ulp(out - expected, np.abs(expected) if size is None else size[finite], limits)
    assert error[~vanishing].max() <= most


# --- parts of a vector


def test_part_of_a_vector_is_read_and_written_alone(vectors):
    lanes = vectors.library.lanes()
    for count in range(1, 2 * lanes + 1):
        to = np.full(2 * lanes, 7, vectors.type)
        vectors.library.each_same(*(pointer(one) for one in (ramp(vectors, lanes), to, to)), ctypes.c_long(count))
        np.testing.assert_array_equal(to[:count], np.arange(1, count + 1))
        np.testing.assert_array_equal(to[count:], 7)


def test_the_sum_is_that_of_the_lanes_that_were_read(vectors):
    lanes = vectors.library.lanes()
    for count in range(1, lanes + 1):
        numbers, total = ramp(vectors, lanes), np.zeros(1, vectors.type)
        numbers[count:] = np.nan
        vectors.library.sum_some(pointer(numbers), pointer(total), ctypes.c_long(count))
        assert total[0] == count * (count + 1) / 2


def ramp(vectors, lanes):
    return np.arange(1, 2 * lanes + 1, dtype=vectors.type)


# --- accuracy


@pytest.mark.parametrize(("name", "most"), [("exp", 1.25), ("expm1", 2.25), ("log", 1), ("sqrt", 0.5)])
def test_exponentials_logarithm_and_root_are_within_few_ulp_of_every_argument(vectors, x, name, most):
    assert_accurate(vectors, vectors(name, x), getattr(np, name)(vectors.seen(x)), most)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sine_and_cosine_are_the_c_librarys(vectors, x, name):
    x = x[np.isnan(x) | (np.abs(x) < 1e4)]
    assert_accurate(vectors, vectors(name, x), getattr(np, name)(vectors.seen(x)), 1)


def test_the_sigmoid_is_near_for_every_argument_and_never_outside_0_and_1(vectors, x):
    expected = sigmoid(vectors.seen(x))
    out = vectors("sigmoid", x)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(x))
    assert np.nanmax(np.abs(out - expected)) <= (1.2e-7 if vectors.type == np.float32 else 3e-16)
    assert np.nanmin(out) >= 0
    assert np.nanmax(out) <= 1


def test_the_hyperbolic_tangent_is_near_for_every_argument_odd_and_within_1(vectors, x):
    expected = np.tanh(vectors.seen(x))
    out = vectors("tanh", x)
    relative = np.abs(out - expected)[expected != 0] / np.abs(expected)[expected != 0]
    large = np.abs(expected)[expected != 0] >= 4 * vectors.limits.tiny
    np.testing.assert_array_equal(np.isnan(out), np.isnan(x))
    assert relative[large].max() <= (2.2e-7 if vectors.type == np.float32 else 5e-16)
    assert np.nanmax(np.abs(out)) <= 1
    np.testing.assert_array_equal(vectors("tanh", -x), -out)


def test_logaddexp_is_within_few_ulp_of_its_largest_number(vectors, x):
    rng = np.random.default_rng(1)
    x = np.concatenate([x, x[np.isfinite(x)], x[np.isfinite(x)]])
    apart = rng.choice([0.1, 1, 10], x.size) * rng.normal(size=x.size)
    y = np.concatenate([rng.permutation(arguments(vectors.type)), (x + apart).astype(vectors.type)])[: x.size]
    a, b = vectors.seen(x), vectors.seen(y)
    expected = np.logaddexp(a, b)
    size = np.maximum(np.maximum(np.abs(a), np.abs(b)), np.abs(expected))
    assert_accurate(vectors, vectors("logaddexp", x, y), expected, 4, size)


def test_logaddexp_keeps_its_relative_accuracy_where_it_is_all_but_0(vectors):
    y = np.linspace(-80, -1, 1001).astype(vectors.type)
    assert_accurate(vectors, vectors("logaddexp", np.zeros_like(y), y), np.logaddexp(0, vectors.seen(y)), 4)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_maximum_and_minimum_are_exact_and_nan_where_either_is(vectors, x, name):
    y = np.random.default_rng(1).permutation(x)
    expected = getattr(np, name)(vectors.seen(x), vectors.seen(y))
    out = vectors(name, x, y)
    normal = ~(np.abs(expected) < vectors.limits.tiny)  # of equal numbers, 0 when flushed, either may be given
    np.testing.assert_array_equal(out[normal], expected[normal])
    assert np.abs(out[~normal]).max() < vectors.limits.tiny


def test_magnitude_and_rectifier_are_exact(vectors, x):
    np.testing.assert_array_equal(vectors("abs", x), np.abs(x))
    normal = x[~(np.abs(x) < vectors.limits.tiny)]
    np.testing.assert_array_equal(vectors("relu", normal), np.where(normal < 0, 0, normal))


# --- limits

INF = np.inf
LIMITS = {
    "sigmoid": {INF: 1, -INF: 0, 1e30: 1, -1e30: 0, 0: 0.5},
    "tanh": {INF: 1, -INF: -1, 1e30: 1, -1e30: -1, 0: 0},
    "relu": {INF: INF, -INF: 0},
    "exp": {INF: INF, -INF: 0, 1e30: INF, -1e30: 0, 0: 1},
    "expm1": {INF: INF, -INF: -1, 1e30: INF, -1e30: -1, 0: 0},
    "log": {INF: INF, 0: -INF, 1: 0},
    "sqrt": {INF: INF, 0: 0},
    "abs": {INF: INF, -INF: INF, 0: 0},
}


@pytest.mark.parametrize("name", LIMITS)
def test_infinities_and_zeros_give_the_limits(vectors, name):
    out = vectors(name, list(LIMITS[name]))
    expected = np.array(list(LIMITS[name].values()), vectors.type)
    np.testing.assert_allclose(out, expected, rtol=0, atol=vectors.limits.tiny)
    assert not vectors.flushed or np.array_equal(out, expected)


def test_logarithm_and_root_of_negative_numbers_are_nan_but_not_of_negative_zero(vectors):
    for name in ("log", "sqrt"):
        assert np.isnan(vectors(name, [-1, -1e-30, -1e30, -INF])).all()
    assert vectors("log", [-0.0])[0] == -INF
    assert vectors("sqrt", [-0.0])[0] == 0


def test_logaddexp_of_infinities_is_infinite(vectors):
    out = vectors("logaddexp", [INF, -INF, INF, -INF, INF, 3], [INF, -INF, -INF, INF, 2, -INF])
    np.testing.assert_array_equal(out, [INF, -INF, INF, INF, INF, 3])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_gives_nan_in_its_own_lane_alone(vectors, name):
    a = np.linspace(0.5, 3, 2 * vectors.library.lanes() + 1)
    b = a[::-1].copy()
    whole = vectors(name, a, b)
    for nan in (np.nan, -np.nan):
        for broken in (a, b) if name in TWO_ARGUMENTS else (a,):
            for lane in range(a.size):
                kept, broken[lane] = broken[lane], nan
                expected = whole.copy()
                expected[lane] = np.nan
                np.testing.assert_array_equal(vectors(name, a, b), expected)
                broken[lane] = kept
