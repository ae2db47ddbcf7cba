"""Series of known equations follow them."""

import numpy as np
import pytest

from recurra.data.equations import lorenz, mackey_glass, narma
from recurra.errors import ArgumentError


def test_mackey_glass_follows_its_equation():
    x = mackey_glass(400, transient=0)[:, 0]
    old = x[:-17]
    slope = (x[18:] - x[16:-2]) / 2
    expected = 0.2 * old[: len(slope)] / (1 + old[: len(slope)] ** 10) - 0.1 * x[17 : 17 + len(slope)]
    assert np.abs(slope - expected).max() < 0.02  # central differences over 2 units of time
    assert np.abs(slope).max() > 0.05


def test_mackey_glass_is_chaotic_at_17_and_not_at_10():
    near, other = mackey_glass(1500, seed=0), mackey_glass(1500, seed=1)
    assert np.abs(near - other)[-200:].max() > 0.2
    periodic = mackey_glass(1500, tau=10, transient=3000)[:, 0]
    spectrum = np.abs(np.fft.rfft(periodic - periodic.mean())) ** 2
    assert np.sort(spectrum)[-8:].sum() > 0.9 * spectrum.sum()


def test_lorenz_follows_its_equation():
    at = lorenz(200, step=0.001)
    slope = (at[2:] - at[:-2]) / 0.002
    x, y, z = at[1:-1].T
    expected = np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], 1)
    assert np.abs(slope - expected).max() < 0.01 * np.abs(expected).max()


def test_narma_follows_its_equation():
    u, y = (one[:, 0] for one in narma(100, order=10))
    for t in range(10, 99):
        expected = 0.3 * y[t] + 0.05 * y[t] * y[t - 9 : t + 1].sum() + 1.5 * u[t + 1 - 9] * u[t + 1] + 0.1
        assert abs(y[t + 1] - expected) < 1e-12


@pytest.mark.parametrize("make", [mackey_glass, lorenz, lambda steps: narma(steps)[0]])
def test_they_are_as_long_as_asked_and_the_same_each_time(make):
    assert len(make(37)) == 37
    assert np.array_equal(make(37), make(37))
    with pytest.raises(ArgumentError, match="steps is 0"):
        make(0)
