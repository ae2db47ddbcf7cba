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

from recurra.cells import Cell
from recurra.data.columns import Columns
from recurra.data.covariates import CovariateEncoder
from recurra.data.frequency import Frequency
from recurra.data.series import SeriesSet
from recurra.errors import ArtifactError, RecurraError
from recurra.models.plan import Plan
from recurra.models.window import WindowConfig, WindowNetwork
from recurra.tasks.artifact import check_cell, is_built_in, model_folder, plain_parameters
from recurra.tasks.transform import TargetTransform
from recurra.training.calibrated import Calibrated
from recurra.training.conformal import Calibration
from recurra.training.recorder import Recorder
from recurra.training.store import pack_json, pack_tensors, read_folder, unpack_json, unpack_tensors, write_folder
from recurra.training.windowed import WindowForecaster

if TYPE_CHECKING:
    from recurra.tasks.forecasting import Forecaster

__all__ = ["load_forecaster", "save_forecaster"]

_MEMBERS = ("config.json", "model.safetensors")
_ID_KINDS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Date)
_ID_TYPES = {str(kind): kind for kind in _ID_KINDS}  # others come back as text
_ARRAYS = ("offsets", "times", "target", "past", "future", "static")


def save_forecaster(forecaster: Forecaster, path: Path, *, overwrite: bool) -> None:
    """Write the folder, whole or not at all."""
    network = _network(forecaster.model_)
    context = forecaster.series_.tail(forecaster.plan_.lookback)
    if network.config is None or forecaster.model_.calibration is None:
        raise RecurraError("the forecaster is not fitted; call fit first")
    parameters = plain_parameters(forecaster.get_params())
    parameters["training"] = network.settings.model_dump()
    config = {
        "task": "forecast",
        "parameters": parameters,
        "built_in_cell": is_built_in(forecaster.cell),
        "transform": forecaster.transform_._asdict(),
        "plan": forecaster.plan_._asdict(),
        "network": network.config.model_dump(),
        "members": len(network.networks),
        "best_steps": network.best_steps,
        "quantiles": list(forecaster.quantiles),
        "columns": asdict(context.columns),
        "frequency": str(context.frequency),
        "encoder": context.encoder.to_json(),
        "ids": context.ids.cast(pl.String).to_list(),
        "ids_type": str(context.ids.dtype),
        "interpolated": context.interpolated,
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

    path = model_folder(path, "forecast")
    members = read_folder(path, _MEMBERS, kind="forecaster")
    config = unpack_json(members["config.json"])
    tensors = unpack_tensors(members["model.safetensors"])
    try:
        check_cell(config, cell, path)
    except (KeyError, TypeError):
        raise ArtifactError(f"{path}: config.json describes no forecaster; save it again") from None
    try:
        forecaster = Forecaster(**{**config["parameters"], **({"cell": cell} if cell is not None else {})})
        _restore(forecaster, config, tensors)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{path}: the saved forecaster is inconsistent ({detail}); save it again") from error
    return forecaster


def _restore(forecaster: Forecaster, config: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    plan = Plan(**{**config["plan"], "periods": tuple(config["plan"]["periods"])})
    architecture = WindowConfig(**config["network"])
    shared = ("horizon", "lookback", "season", "long_period")
    if forecaster.horizon != plan.horizon or any(getattr(plan, n) != getattr(architecture, n) for n in shared):
        raise ValueError("parameters, plan and network disagree")
    quantiles, shifts = np.array(config["quantiles"], float), tensors["calibration.shifts"].numpy()
    if tuple(quantiles) != forecaster.quantiles or shifts.shape != (plan.horizon, len(quantiles)):
        raise ValueError("the calibration does not fit the levels and the horizon")
    network = forecaster.network(Recorder())
    network.plan, network.config, network.best_steps = plan, architecture, int(config["best_steps"])
    network.networks = [_member(i, architecture, network.cell, tensors) for i in range(int(config["members"]))]
    if not network.networks:
        raise ValueError("there is no network")
    forecaster.model_ = Calibrated(network, quantiles=quantiles.tolist())
    forecaster.model_.plan, forecaster.model_.calibration = plan, Calibration(quantiles, shifts)
    forecaster.plan_, forecaster.transform_ = plan, TargetTransform(**config["transform"])
    forecaster.series_, forecaster.kind_ = _context(config, tensors, plan.lookback), None


def _member(number: int, architecture: WindowConfig, cell: Cell | None, tensors: dict[str, Tensor]) -> WindowNetwork:
    """One network, built without memory first: what config.json claims is allocated only if the tensors have it."""
    prefix = f"member.{number}."
    with torch.device("meta"):
        member = WindowNetwork(architecture, cell=cell)
    state = {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
    member.load_state_dict(state, assign=True)
    return member.eval()


def _context(config: dict[str, Any], tensors: dict[str, Tensor], lookback: int) -> SeriesSet:
    arrays: dict[str, Any] = {name: tensors[f"context.{name}"].numpy() for name in _ARRAYS}
    frequency = Frequency(config["frequency"])
    if not frequency.integer:
        arrays["times"] = arrays["times"].astype("M8[us]")
    lengths = np.diff(arrays["offsets"])
    if not len(lengths) or lengths.min() < 1 or lengths.max() > lookback:
        raise ValueError("the ends of the training series do not fit the lookback")
    ids = pl.Series(config["ids"], dtype=pl.String)
    return SeriesSet(
        ids=ids.cast(_ID_TYPES.get(config["ids_type"], pl.String)),
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
