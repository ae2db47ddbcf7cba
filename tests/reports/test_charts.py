import csv

from recurra.reports import RunRecord
from recurra.reports.charts import backtest_charts, forecast_charts, training_charts


def traces(chart):
    return {trace["name"]: trace for trace in chart.data}


def test_the_forecast_chart_holds_history_median_and_closed_intervals(weekly_run):
    record = RunRecord.read(weekly_run)
    (chart,) = forecast_charts(record)
    drawn = traces(chart)
    assert list(drawn) == ["95 % interval", "80 % interval", "LSTM", "history"]
    first = record.forecast.row(0, named=True)
    assert drawn["LSTM"]["x"][0] == first["week"].isoformat()
    assert drawn["LSTM"]["y"][0] == float(f"{first['LSTM']:.6g}")
    outline = drawn["95 % interval"]
    assert (outline["x"][0], outline["y"][0]) == (outline["x"][-1], outline["y"][-1])
    assert len(outline["x"]) == 2 * 26 + 1
    assert drawn["LSTM"]["customdata"][0][0] == float(f"{first['LSTM-lo-95']:.6g}")


def test_missing_values_are_gaps(weekly_run):
    record = RunRecord.read(weekly_run)
    history = traces(forecast_charts(record)[0])["history"]
    assert history["y"].count(None) == 2
    assert history["connectgaps"] is False


def test_the_backtest_chart_breaks_between_windows(weekly_run):
    (chart,) = backtest_charts(RunRecord.read(weekly_run))
    drawn = traces(chart)
    assert set(drawn) == {"90 % interval", "LSTM", "SeasonalNaive", "truth"}
    assert drawn["LSTM"]["x"].count(None) == 2
    assert len(drawn["LSTM"]["customdata"]) == len(drawn["LSTM"]["x"])


def test_the_backtest_chart_needs_no_history_of_its_time(weekly_run):
    file = weekly_run / "history.csv"
    with file.open() as opened:
        rows = list(csv.reader(opened))
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([rows[0], *rows[-5:]])
    truth = traces(backtest_charts(RunRecord.read(weekly_run))[0])["truth"]
    assert len(truth["y"]) == 3 * 26


def test_at_most_twenty_series_and_two_thousand_points_are_drawn(tmp_path, make_run):
    record = RunRecord.read(
        make_run(tmp_path / "many", series="shop", names=[str(i) for i in range(23)], backtest=False)
    )
    assert len(forecast_charts(record)) == 20
    lengths = [len(trace["x"]) for chart in training_charts(record) for trace in chart.data]
    assert max(lengths) <= 2000


def test_each_stage_has_its_curves_and_the_models_own_come_first(weekly_run):
    charts = training_charts(RunRecord.read(weekly_run))
    assert [chart.label for chart in charts] == ["select", "fit", "backtest-select"]
    assert set(traces(charts[0])) == {"loss", "validation", "gradient norm"}
    assert len(traces(charts[0])["validation"]["x"]) == 16
    assert set(traces(charts[1])) == {"loss", "gradient norm"}
    assert charts[0].layout["yaxis"]["type"] == "log"
    assert 0.5 in charts[0].layout["yaxis"]["tickvals"]


def test_names_reach_plotly_escaped(hostile_run):
    record = RunRecord.read(hostile_run)
    for chart in (*forecast_charts(record), *backtest_charts(record)):
        title = chart.layout["yaxis"]["title"]["text"]
        assert title == "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;"
        assert all("<" not in trace["name"] for trace in chart.data)
    assert forecast_charts(record)[0].label == "</script><img src=x onerror=alert(1)>"
