"""When two results count as equal."""

import pytest
import torch

from recurra.errors import ArgumentError
from recurra.testing import assert_lawful, assert_within_rounding
from recurra.testing.comparing import assert_raises_argument_error

EXACT = torch.linspace(-1, 1, 9, dtype=torch.float64)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (EXACT + 1e-12, "differs by 1e-12"),
        (EXACT[1:], r"shape \(8,\), not \(9,\)"),
        (EXACT.float(), "dtype torch.float32"),
        (EXACT * torch.nan, "holds NaN"),
        (EXACT / 0, "holds NaN or infinity"),
    ],
)
def test_more_than_rounding_is_found(found, words):
    with pytest.raises(AssertionError, match=words):
        assert_within_rounding(found, EXACT)


def test_rounding_passes():
    assert_within_rounding(EXACT + 1e-14, EXACT)
    assert_within_rounding(EXACT[:0], EXACT[:0])


def test_a_kernel_may_err_twice_as_much_as_plain_arithmetic():
    plain = (EXACT + 1e-3).float()
    assert_lawful((EXACT - 2e-3).float(), plain, EXACT)
    with pytest.raises(AssertionError, match=r"y has error 0\.0021"):
        assert_lawful((EXACT - 2.1e-3).float(), plain, EXACT, "y")
    with pytest.raises(AssertionError, match="holds NaN"):
        assert_lawful(plain * torch.nan, plain, EXACT)


def test_a_call_that_is_accepted_or_speaks_otherwise_fails():
    def refuse(value):
        raise ArgumentError(f"value is {value}")

    assert_raises_argument_error(["value", "3"], refuse, 3)
    with pytest.raises(AssertionError, match=r"lacks \['expected'\]"):
        assert_raises_argument_error(["expected"], refuse, 3)
    with pytest.raises(AssertionError, match="was accepted"):
        assert_raises_argument_error(["value"], abs, 3)
