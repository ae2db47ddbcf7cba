"""Reservoirs beside reservoirpy's: errors and times of fits with the same hyperparameters, and errors after our search.

Three series of known equations. The first 6,000 steps are learned from, the next 2,000 searched on, the last 2,000
measured once. Fits alternate with reservoirpy's in one process. Usage: python reservoirs.py (pip install reservoirpy)
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from shared import keep

from recurra.data.equations import lorenz, mackey_glass, narma
from recurra.layers import Reservoir
from recurra.models.echo_checks import valid_steps
from recurra.models.echo_state import EchoStateNetwork
from recurra.models.reservoir_search import search_reservoir

STEPS, LEARNED, SEARCHED = 10_000, 6_000, 8_000
HYPERPARAMETERS = {
    "leak": 0.3,
    "spectral_radius": 0.9,
    "input_scaling": 1.0,
    "ridge": 1e-8,
    "connectivity": 0.1,
    "input_connectivity": 0.1,
}
SEEDS, TRIALS, LOOP = (0, 1, 2, 3, 4), 32, 1_000
LYAPUNOV = {"mackey_glass": 1 / 0.006, "lorenz": 1 / (0.906 * 0.02)}  # steps of a Lyapunov time


def series() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Inputs and targets, (steps, feature), scaled to -1 .. 1 by the part that is learned from."""
    found = {}
    for name, x in (("mackey_glass", mackey_glass(STEPS + 1)), ("lorenz", lorenz(STEPS + 1))):
        x = scaled(x)
        found[name] = (x[:-1], x[1:])
    u, y = narma(STEPS)
    found["narma10"] = (scaled(u), scaled(y))
    return found


def scaled(x: np.ndarray) -> np.ndarray:
    """To -1 .. 1 over the steps that are learned from."""
    low, high = x[:LEARNED].min(0), x[:LEARNED].max(0)
    return 2 * (x - low) / (high - low) - 1


def nrmse(found: np.ndarray, truth: np.ndarray) -> float:
    """Root of the mean squared error over the deviation, over all features."""
    return float(np.sqrt(np.mean((found - truth) ** 2)) / truth.std())


def fit_theirs(x: np.ndarray, y: np.ndarray, units: int, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """reservoirpy's, fitted; it goes on where it ended."""
    from reservoirpy.nodes import Reservoir as Theirs
    from reservoirpy.nodes import Ridge

    h = HYPERPARAMETERS
    options = {"lr": h["leak"], "sr": h["spectral_radius"], "input_scaling": h["input_scaling"]}
    model = Theirs(
        units, **options, rc_connectivity=h["connectivity"], input_connectivity=h["input_connectivity"], seed=seed
    ) >> Ridge(ridge=h["ridge"])
    model.fit(x, y, warmup=100)
    return model.run


def fit_ours(x: np.ndarray, y: np.ndarray, units: int, seed: int) -> tuple[EchoStateNetwork, Any]:
    """Ours, fitted."""
    h = HYPERPARAMETERS
    reservoir = Reservoir(
        x.shape[1],
        units,
        leak=h["leak"],
        spectral_radius=h["spectral_radius"],
        input_scaling=h["input_scaling"],
        connectivity=h["connectivity"],
        input_connectivity=h["input_connectivity"],
        input_weights="signs",  # as theirs are
        seed=seed,
        dtype=torch.float64,
    )
    network = EchoStateNetwork(reservoir, y.shape[1], ridge=h["ridge"])
    state = network.add(torch.from_numpy(x), torch.from_numpy(y))
    network.solve()
    return network, state


def compare(name: str, x: np.ndarray, y: np.ndarray, units: int) -> dict[str, Any]:
    """The same hyperparameters, alternating, several seeds: errors of the last 2,000 steps, and seconds of a fit."""
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for seed in SEEDS:
        begun = time.perf_counter()
        run = fit_theirs(x[:SEARCHED], y[:SEARCHED], units, seed)
        seconds = time.perf_counter() - begun
        theirs.append((nrmse(run(x[SEARCHED:]), y[SEARCHED:]), seconds))
        begun = time.perf_counter()
        network, state = fit_ours(x[:SEARCHED], y[:SEARCHED], units, seed)
        seconds = time.perf_counter() - begun
        found, _ = network(torch.from_numpy(x[SEARCHED:]), state)
        ours.append((nrmse(found.numpy(), y[SEARCHED:]), seconds))
    record: dict[str, Any] = {
        "series": name,
        "units": units,
        "NRMSE": [error for error, _ in ours],
        "reservoirpy's NRMSE": [error for error, _ in theirs],
        "fit, s": statistics.median(seconds for _, seconds in ours),
        "reservoirpy's fit, s": statistics.median(seconds for _, seconds in theirs),
    }
    record["reservoirpy's fit / ours"] = round(record["reservoirpy's fit, s"] / record["fit, s"], 2)
    return record


def after_search(name: str, x: np.ndarray, y: np.ndarray, units: int) -> dict[str, Any]:
    """Hyperparameters by our search on steps 6,000 to 8,000; then learned from all 8,000 and measured on the rest."""
    given, wanted = torch.from_numpy(x), torch.from_numpy(y)
    begun = time.perf_counter()
    found = search_reservoir(
        given[:SEARCHED],
        wanted[:SEARCHED],
        hidden_size=units,
        trials=TRIALS,
        validation=(SEARCHED - LEARNED) / SEARCHED,
        fixed={"connectivity": HYPERPARAMETERS["connectivity"]},
    )
    seconds = time.perf_counter() - begun
    best, network = found.best, found.build()
    state = network.add(given[:SEARCHED], wanted[:SEARCHED])
    network.solve()
    predicted, _ = network(given[SEARCHED:], state)
    record: dict[str, Any] = {
        "series": name,
        "units": units,
        "searched, s": round(seconds, 1),
        "trials": TRIALS,
        "options": best.options,
        "ridge": best.ridge,
        "validation NRMSE": best.error,
        "NRMSE": nrmse(predicted.numpy(), y[SEARCHED:]),
    }
    if name in LYAPUNOV:
        begun = time.perf_counter()
        going_on, _ = network.generate(given[:SEARCHED], LOOP)
        record["closed loop, us a step"] = round(1e6 * (time.perf_counter() - begun) / (LOOP + SEARCHED))
        valid = valid_steps(going_on, given[SEARCHED : SEARCHED + LOOP])
        record["valid steps of 1,000"] = valid
        record["valid Lyapunov times"] = round(valid / LYAPUNOV[name], 1)
    return record


def main() -> None:
    """All series, 500 and 1,000 units."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else torch.get_num_threads())
    rows = []
    for name, (x, y) in series().items():
        for units in (500, 1000):
            for make in (compare, after_search):
                rows.append(make(name, x, y, units))
                print(rows[-1], file=sys.stderr, flush=True)
    keep("reservoirs", {"hyperparameters": HYPERPARAMETERS, "seeds": SEEDS, "rows": rows})


if __name__ == "__main__":
    main()
