"""Series of known equations, on which recurrences are compared: chaos, and a filter with memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from recurra.errors import ArgumentError

__all__ = ["lorenz", "mackey_glass", "narma"]

Array = NDArray[np.float64]


def mackey_glass(steps: int, *, tau: float = 17.0, seed: int | None = None, transient: int = 500) -> Array:
    """The series of Mackey & Glass (1977), one sample for each unit of time: chaotic for tau above 16.8.

        dx/dt = 0.2 x(t - tau) / (1 + x(t - tau)^10) - 0.1 x(t)

    steps: samples returned. transient: samples left out before them.
    seed: of the past it begins with, within 0.2 of 1.2; None: 1.2.
    By the fourth-order Runge-Kutta method with steps of 0.1. Returns (steps, 1). Raises ArgumentError for no steps.

    >>> bool(0.2 < mackey_glass(1000).min() < mackey_glass(1000).max() < 1.4)
    True
    """
    _check_steps(steps)
    parts = 10  # of a unit of time
    delay = max(1, round(tau * parts))
    past = np.full(delay + 1, 1.2)
    if seed is not None:
        past += np.random.default_rng(seed).uniform(-0.2, 0.2, delay + 1)
    x = np.concatenate([past, np.zeros((transient + steps) * parts)])
    h = 1.0 / parts
    for now in range(delay, len(x) - 1):
        old, next_old = x[now - delay], x[now - delay + 1]
        pulls = [0.2 * one / (1.0 + one**10) for one in (old, (old + next_old) / 2, next_old)]
        k1 = pulls[0] - 0.1 * x[now]
        k2 = pulls[1] - 0.1 * (x[now] + h / 2 * k1)
        k3 = pulls[1] - 0.1 * (x[now] + h / 2 * k2)
        k4 = pulls[2] - 0.1 * (x[now] + h * k3)
        x[now + 1] = x[now] + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return x[delay + 1 + transient * parts :: parts][:steps, None]


def lorenz(steps: int, *, step: float = 0.02, seed: int | None = None, transient: int = 500) -> Array:
    """The system of Lorenz (1963), chaotic: dx/dt = 10 (y - x), dy/dt = x (28 - z) - y, dz/dt = x y - 8/3 z.

    steps: samples returned, `step` apart; its largest Lyapunov exponent is 0.906 a unit of time.
    seed: of where it begins, within 1 of (1, 1, 1); None: there. Returns (steps, 3). Raises ArgumentError for no steps.
    """
    _check_steps(steps)
    begin = np.ones(3) + (0 if seed is None else np.random.default_rng(seed).uniform(-1, 1, 3))

    def slope(_: float, at: Array) -> Any:
        x, y, z = at
        return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z

    times = np.arange(transient + steps) * step
    solved = solve_ivp(slope, (0, times[-1] + step), begin, t_eval=times, rtol=1e-9, atol=1e-9, method="DOP853")
    found: Array = solved.y.T[transient:]
    return found


def narma(steps: int, *, order: int = 10, seed: int = 0, transient: int = 200) -> tuple[Array, Array]:
    """A nonlinear autoregressive moving average (Atiya & Parlos 2000): inputs must be remembered for `order` steps.

        y_(t+1) = 0.3 y_t + 0.05 y_t (y_t + ... + y_(t-order+1)) + 1.5 u_(t-order+1) u_t + 0.1      u uniform, 0 to 0.5

    Returns (u, y), (steps, 1) each: y_t is what is to be told from u up to u_t. Raises ArgumentError for no steps.
    """
    _check_steps(steps)
    u = np.random.default_rng(seed).uniform(0, 0.5, transient + steps + order)
    y = np.zeros(len(u) + 1)
    for t in range(order - 1, len(u)):
        y[t + 1] = 0.3 * y[t] + 0.05 * y[t] * y[t - order + 1 : t + 1].sum() + 1.5 * u[t - order + 1] * u[t] + 0.1
    return u[-steps:, None], y[1:][-steps:, None]


def _check_steps(steps: object) -> None:
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ArgumentError(f"steps is {steps!r}; expected an int of at least 1")
