"""The loop that measures the machine's peak."""

import pytest

from recurra.bench import peak
from recurra.bench.forward import share_of_peak
from recurra.bench.sizes import Size
from recurra.bench.timing import Pace
from recurra.errors import RecurraError

compiled = pytest.mark.skipif(bool(peak.no_compiler()), reason=peak.no_compiler())


@compiled
def test_the_loop_runs_all_its_chains_to_their_fixed_point():
    with peak.Peak(1) as loop:
        assert loop.operations % (2 * peak._ROUNDS) == 0
        lanes_and_chains = loop.operations / (2 * peak._ROUNDS)
        # x -> 0.999 x + 0.001 goes to 1 in every lane of every chain
        assert loop.run() == [pytest.approx(lanes_and_chains, rel=1e-3)]


@compiled
def test_two_threads_do_twice_the_operations():
    with peak.Peak(1) as one, peak.Peak(2) as two:
        assert two.operations == 2 * one.operations
        assert two.run() == one.run() * 2


@compiled
def test_the_share_is_of_the_products_alone():
    size = Size(3, 2, 1, 5)
    (record,) = share_of_peak(size, 1, Pace(0.0, 2, 2))
    assert 0 < record.ratio < 1
    assert "GF/s" in record.note
    operations = 2 * 3 * 2 * (1 + 5) * 4 * 5
    with peak.Peak(1) as loop:
        assert record.theirs < operations / loop.operations  # the loop's ten million take less than a second


def test_without_a_compiler_the_reason_says_what_to_install(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "install gcc or clang" in peak.no_compiler()
    with pytest.raises(RecurraError, match="no C compiler found"):
        peak.Peak(1)
