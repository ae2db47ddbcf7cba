"""A fitted Forecaster as a stored folder: `config.json` and `model.safetensors` under a manifest.

`config.json` holds the constructor's arguments, the plan, the architecture and the data's description;
`model.safetensors` the weights of every member, the conformal corrections and the end of each training series, from
which `predict` goes on. Loading builds the objects from these and executes nothing.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from recurra.cells import Cell, get_cell
from recurra.data.columns import Columns
from recurra.data.covariates import CovariateEncoder
from recurra.data.frequency import Frequency
from recurra.data.series import SeriesSet
from recurra.errors import ArgumentError, ArtifactError, RecurraError
from recurra.models.plan import Plan
from recurra.models.window import WindowConfig, WindowNetwork
from recurra.training.calibrated import Calibrated
from recurra.training.conformal import Calibration
from recurra.training.contract import Recorder
from recurra.training.store import pack_json, pack_tensors, read_folder, unpack_json, unpack_tensors, write_folder
from recurra.training.windowed import WindowForecaster

if TYPE_CHECKING:
    from recurra.tasks.forecasting import Forecaster

__all__ = ["load_forecaster", "save_forecaster"]

_MEMBERS = ("config.json", "model.safetensors")
_ARRAYS = ("offsets", "times", "target", "past", "future", "static")


def save_forecaster(forecaster: Forecaster, path: Path, *, overwrite: bool) -> None:
    """Write the folder, whole or not at all."""
    network = _network(forecaster.model_)
    context = forecaster.series_.tail(forecaster.plan_.lookback)
    if network.config is None or forecaster.model_.calibration is None:
        raise RecurraError("the forecaster is not fitted; call fit first")
    parameters = forecaster.get_params()
    parameters["cell"] = get_cell(forecaster.cell).name
    parameters["training"] = network.settings.model_dump()
    config = {
        "task": "forecast",
        "parameters": parameters,
        "own_cell": _is_own(forecaster.cell),
        "log": forecaster.log_,
        "plan": forecaster.plan_._asdict(),
        "network": network.config.model_dump(),
        "members": len(network.networks),
        "best_steps": network.best_steps,
        "quantiles": list(forecaster.quantiles),
        "columns": asdict(context.columns),
        "frequency": str(context.frequency),
        "encoder": context.encoder.to_json(),
        "ids": context.ids.cast(pl.String).to_list(),
        "interpolated": context.interpolated,
        "ids_are_numbers": context.ids.dtype.is_integer(),
    }
    tensors: dict[str, Tensor] = {
        f"member.{i}.{name}": value
        for i, member in enumerate(network.networks)
        for name, value in member.state_dict().items()
    }
    tensors["calibration.shifts"] = torch.from_numpy(forecaster.model_.calibration.shifts)
    for name in _ARRAYS:
        array = getattr(context, name)
        tensors[f"context.{name}"] = torch.from_numpy(
            np.ascontiguousarray(array.astype(np.int64) if name == "times" else array)
        )
    members = {"config.json": pack_json(config), "model.safetensors": pack_tensors(tensors)}
    write_folder(path, members, kind="forecaster", overwrite=overwrite)


def load_forecaster(path: Path, *, cell: type[Cell] | Cell | None) -> Forecaster:
    """Read the folder and build the forecaster again."""
    from recurra.tasks.forecasting import Forecaster

    members = read_folder(path, _MEMBERS, kind="forecaster")
    config = unpack_json(members["config.json"])
    tensors = unpack_tensors(members["model.safetensors"])
    try:
        if not config["own_cell"] and cell is None:
            raise ArgumentError(
                f"{path} was trained with a cell of yours, {config['parameters']['cell']!r}; pass cell=... to load"
            )
        forecaster = Forecaster(**{**config["parameters"], **({"cell": cell} if cell is not None else {})})
        _restore(forecaster, config, tensors)
    except RecurraError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ArtifactError(f"{path}: the saved forecaster is inconsistent ({error!r}); save it again") from error
    return forecaster


def _restore(forecaster: Forecaster, config: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    plan = config["plan"]
    forecaster.plan_ = Plan(**{**plan, "periods": tuple(plan["periods"])})
    network = forecaster._network(Recorder())
    forecaster.model_ = Calibrated(network, quantiles=config["quantiles"])
    network.plan, network.config = forecaster.plan_, WindowConfig(**config["network"])
    network.best_steps = config["best_steps"]
    for i in range(config["members"]):
        member = WindowNetwork(network.config, cell=network.cell)
        prefix = f"member.{i}."
        member.load_state_dict({n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)})
        network.networks.append(member.eval())
    quantiles = np.array(config["quantiles"])
    forecaster.model_.plan = forecaster.plan_
    forecaster.model_.calibration = Calibration(quantiles, tensors["calibration.shifts"].numpy())
    forecaster.log_ = bool(config["log"])
    forecaster.series_, forecaster.kind_ = _context(config, tensors), None


def _context(config: dict[str, Any], tensors: dict[str, Tensor]) -> SeriesSet:
    arrays: dict[str, Any] = {name: tensors[f"context.{name}"].numpy() for name in _ARRAYS}
    frequency = Frequency(config["frequency"])
    if not frequency.integer:
        arrays["times"] = arrays["times"].astype("M8[us]")
    ids = pl.Series(config["ids"], dtype=pl.String)
    return SeriesSet(
        ids=ids.cast(pl.Int64) if config["ids_are_numbers"] else ids,
        frequency=frequency,
        columns=Columns(**config["columns"]),
        encoder=CovariateEncoder.from_json(config["encoder"]),
        interpolated=bool(config["interpolated"]),
        **arrays,
    )


def _network(model: Calibrated) -> WindowForecaster:
    if not isinstance(model.model, WindowForecaster):
        raise RecurraError(f"{model.name} cannot be saved")
    return model.model


def _is_own(cell: Any) -> bool:
    """Whether the cell's name alone finds it again."""
    try:
        return type(get_cell(get_cell(cell).name)) is type(get_cell(cell))
    except RecurraError:
        return False
