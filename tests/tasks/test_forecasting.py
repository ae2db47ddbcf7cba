"""The forecaster as its users call it."""

import copy
import json
from datetime import timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from recurra import Cell, Forecaster, State, engine
from recurra.cells import tanh
from recurra.errors import ArgumentError, ArtifactError, DataError, Notice
from recurra.training.store import write_folder

BOUNDS = ["GRU-lo-95", "GRU-lo-80", "GRU", "GRU-hi-80", "GRU-hi-95"]


def test_forecasts_go_on_from_each_end_with_nested_intervals(fitted, table):
    frame = fitted.predict(level=[80, 95])
    assert frame.columns == ["unique_id", "ds", "GRU", "GRU-lo-95", "GRU-lo-80", "GRU-hi-80", "GRU-hi-95"]
    assert frame.height == 21
    last = table["ds"].max()
    assert frame["ds"].unique().sort().to_list() == [last + timedelta(days=k) for k in range(1, 8)]
    bounds = frame.select(BOUNDS).to_numpy()
    assert (np.diff(bounds, axis=1) >= 0).all()
    for i, name in enumerate(("s0", "s1", "s2")):
        point = frame.filter(unique_id=name)["GRU"].to_numpy()
        assert np.abs(point / 10.0**i - 5).max() < 2  # each series at its own size


def test_positive_series_of_different_sizes_are_compared_by_ratio(fitted):
    assert fitted.transform_.log
    assert fitted.plan_.scaling == "recent"
    assert fitted.plan_.season == 7


def test_the_answer_has_the_kind_of_the_question(table, tiny):
    pandas = tiny().fit(table.to_pandas()).predict()
    assert isinstance(pandas, pd.DataFrame)
    arrow = tiny().fit(table.to_arrow()).predict()
    assert isinstance(arrow, pa.Table)
    polars = tiny().fit(table).predict()
    assert isinstance(polars, pl.DataFrame)
    assert pandas["GRU"].tolist() == arrow["GRU"].to_pylist() == polars["GRU"].to_list()


def test_a_path_and_other_column_names(tmp_path, tiny, make_table):
    table = make_table(count=1).rename({"ds": "date", "y": "sales"}).drop("unique_id")
    table.write_csv(tmp_path / "sales.csv")
    frame = tiny(time="date", target="sales").fit(tmp_path / "sales.csv").predict()
    assert frame.columns == ["date", "GRU"]
    assert frame["date"].dtype == pl.Date


def test_seeds_repeat_and_differ(table, tiny):
    def run(seed):
        return tiny(training={"steps": 12, "seed": seed}).fit(table).predict()["GRU"].to_list()

    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman", "elman-relu"])
def test_every_cell_and_engine(table, tiny, cell):
    native = tiny(cell=cell).fit(table)
    with engine("reference"):
        reference = tiny(cell=cell).fit(table)
    name = native.name
    np.testing.assert_allclose(reference.predict()[name], native.predict()[name], rtol=1e-3)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_point_losses_have_intervals_from_their_errors(table, tiny, loss):
    frame = tiny(loss=loss).fit(table).predict(level=[90])
    assert (frame["GRU-lo-90"] <= frame["GRU"]).all()
    assert (frame["GRU"] < frame["GRU-hi-90"]).all()


def test_covariates_of_every_role(tiny, make_table):
    table = make_table(holiday="future", visits="past", size="static")
    forecaster = tiny(future=["holiday"], past=["visits"], static=["size"]).fit(table)
    ends = table.group_by("unique_id", maintain_order=True).agg(pl.col("ds").max())
    steps = pl.DataFrame({"step": range(1, 8)})
    future = ends.join(steps, how="cross").select(
        "unique_id", pl.col("ds") + pl.duration(days=pl.col("step")), holiday=pl.lit(0.0)
    )
    calm = forecaster.predict(future=future)["GRU"].to_numpy()
    busy = forecaster.predict(future=future.with_columns(holiday=pl.lit(3.0)))["GRU"].to_numpy()
    assert np.abs(calm - busy).max() > 1e-3
    with pytest.raises(ArgumentError, match=r"knows the covariates holiday in advance: pass their next 7 steps"):
        forecaster.predict()
    with pytest.raises(DataError, match="2024-07-2"):
        forecaster.predict(future=future.filter(pl.col("ds") < pl.col("ds").max()))


def test_a_new_series_is_forecast_from_its_own_past(fitted, make_table):
    new = make_table(count=1, seed=9).with_columns(pl.col("y") * 1e6, unique_id=pl.lit("new"))
    frame = fitted.predict(new)
    assert frame["unique_id"].unique().to_list() == ["new"]
    assert np.abs(frame["GRU"].to_numpy() / 1e6 - 5).max() < 2


def test_rows_of_one_series_do_not_touch_another(fitted, table):
    alone = fitted.predict(table.filter(unique_id="s1"))["GRU"].to_numpy()
    together = fitted.predict(table).filter(unique_id="s1")["GRU"].to_numpy()
    np.testing.assert_allclose(alone, together, rtol=1e-6)


def test_saved_and_loaded_forecasts_are_the_same(fitted, table, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    assert loaded.predict(level=[80, 95]).equals(fitted.predict(level=[80, 95]))
    assert loaded.predict(table)["GRU"].to_list() == fitted.predict(table)["GRU"].to_list()
    assert loaded.get_params()["horizon"] == 7
    assert loaded.plan_ == fitted.plan_
    with pytest.raises(ArtifactError, match="exists already"):
        fitted.save(tmp_path / "model")
    fitted.save(tmp_path / "model", overwrite=True)


def test_saved_with_covariates_times_and_numeric_ids(tiny, tmp_path, make_table):
    table = make_table(visits="past").with_columns(unique_id=pl.col("unique_id").str.slice(1).cast(pl.Int64))
    forecaster = tiny(past=["visits"]).fit(table)
    forecaster.save(tmp_path / "model")
    assert Forecaster.load(tmp_path / "model").predict().equals(forecaster.predict())


class Leaky(Cell):
    """A cell that only this file knows: h = h / 2 + tanh(W x + U h) / 2."""

    gates = ("n",)
    states = ("h",)

    def step(self, x, u, s):
        return State(h=0.5 * s.h + 0.5 * tanh(x.n + u.n))


def test_a_cell_of_the_users_own_trains_saves_and_must_be_brought_to_load(table, tiny, tmp_path):
    forecaster = tiny(cell=Leaky).fit(table)
    frame = forecaster.predict()
    assert frame.columns == ["unique_id", "ds", "Leaky"]
    forecaster.save(tmp_path / "model")
    with pytest.raises(ArgumentError, match=r"a cell of yours, 'leaky'; pass cell="):
        Forecaster.load(tmp_path / "model")
    assert Forecaster.load(tmp_path / "model", cell=Leaky).predict().equals(frame)


def test_parameters_are_stored_untouched_and_copyable():
    forecaster = Forecaster(28, cell="lstm", levels=[80])
    assert forecaster.get_params()["levels"] == [80]
    assert copy.deepcopy(forecaster).set_params(horizon=3).horizon == 3
    with pytest.raises(ArgumentError, match="did you mean 'horizon'"):
        forecaster.set_params(horizn=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon": 0}, "horizon is 0"),
        ({"members": 0}, "members is 0"),
        ({"levels": [150]}, r"levels are \[150\]"),
        ({"loss": "mape"}, "loss is 'mape'"),
        ({"cell": "lstn"}, "did you mean 'lstm'"),
        ({"dropout": 1.7}, "dropout is 1.7"),
        ({"transform": "sqrt"}, "transform is 'sqrt'"),
        ({"training": {"learning_rate": -1}}, "learning_rate is -1"),
        ({"missing": "ffill"}, "missing is 'ffill'"),
    ],
)
def test_bad_parameters_are_refused_by_name(table, tiny, changes, message):
    with pytest.raises(ArgumentError, match=message):
        tiny(**changes).fit(table)


def test_levels_beyond_the_trained_ones_and_use_before_fit_are_refused(fitted, tiny):
    with pytest.raises(ArgumentError, match=r"level 99 is outside what the model was trained for \(up to 95\)"):
        fitted.predict(level=[99])
    with pytest.raises(ArgumentError, match="not fitted"):
        tiny().predict()


def test_gaps_interpolated_masked_or_dropped_give_finite_forecasts(tiny, make_table):
    table = make_table(count=1).with_row_index().filter(~pl.col("index").is_in([50, 51, 120, 195])).drop("index")
    for missing in ("interpolate", "mask", "drop"):
        with pytest.warns(UserWarning, match="4 steps of 1d are missing"):
            forecaster = tiny(missing=missing).fit(table)
        assert np.isfinite(forecaster.predict(level=[90]).drop("unique_id", "ds").to_numpy()).all()


def test_constant_and_huge_series_train(tiny, make_table):
    constant = make_table(count=1).with_columns(y=pl.lit(5.0))
    assert tiny().fit(constant).predict()["GRU"].to_numpy() == pytest.approx(np.full(7, 5.0), abs=0.5)
    huge = make_table(count=1).with_columns(pl.col("y") * 1e30)
    values = tiny().fit(huge).predict()["GRU"].to_numpy()
    assert np.abs(values / 1e30 - 5).max() < 2


def test_a_fit_that_fails_leaves_the_forecaster_as_it_was(tiny, table):
    forecaster = tiny().fit(table)
    before = forecaster.predict()
    with pytest.raises(DataError):
        forecaster.fit(table.head(10))
    assert forecaster.predict().equals(before)


def test_series_with_nothing_to_read_are_refused_and_short_ones_told_of(fitted, make_table, tiny):
    with pytest.warns(Notice, match=r"'s0' has 3 steps and the model reads 56"):
        assert fitted.predict(make_table(count=1).tail(3)).height == 7
    row = pl.int_range(pl.len())
    with pytest.warns(Notice):
        gappy = tiny(missing="mask").fit(make_table().with_columns(y=pl.when(row == 5).then(None).otherwise("y")))
        ended = make_table(count=1).with_columns(y=pl.when(row > 100).then(None).otherwise("y"))
        with pytest.raises(DataError, match=r"series 's0' has no value in its last 56 steps"):
            gappy.predict(ended)


def test_periods_may_come_in_any_order(table, tiny):
    assert tiny(periods=[14, 7]).fit(table).plan_.periods == (7, 14)


@pytest.mark.parametrize("name", ["cutoff", "GRU"])
def test_columns_named_as_the_results_are_refused_before_training(table, tiny, name):
    with pytest.raises(ArgumentError, match=f"column '{name}' has a name that the results use"):
        tiny(target=name).fit(table.rename({"y": name}))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (("network", "hidden_size"), 30_000_000),
        (("network", "lookback"), 10**12),
        (("plan", "horizon"), 30),
        (("parameters", "horizon"), 30),
        (("members",), 0),
        (("members",), 2),
        (("quantiles",), [0.5]),
        (("ids",), []),
        (("transform",), {"log": True, "base": 10}),
    ],
)
def test_a_config_that_lies_is_refused_before_it_costs_anything(fitted, tmp_path, part, value):
    fitted.save(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    place = config
    for key in part[:-1]:
        place = place[key]
    place[part[-1]] = value
    data = (tmp_path / "model" / "model.safetensors").read_bytes()
    members = {"config.json": json.dumps(config).encode(), "model.safetensors": data}
    write_folder(tmp_path / "forged", members, kind="forecaster")
    with pytest.raises(ArtifactError, match="is inconsistent"):
        Forecaster.load(tmp_path / "forged")
