import struct

import pytest

from recurra.errors import RecurraError, RunError
from recurra.reports import RunRecord, write_figures
from recurra.reports.figures import backtest_figure, forecast_figure
from recurra.reports.palette import LIGHT


def test_both_figures_are_written_as_wide_images(weekly_run, tmp_path):
    paths = write_figures(RunRecord.read(weekly_run), tmp_path)
    assert [path.name for path in paths] == ["forecast.png", "backtest.png"]
    for path in paths:
        head = path.read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", head[16:24]) == (1920, 768)
    assert {path.name for path in tmp_path.iterdir()} == {"weekly", "forecast.png", "backtest.png"}


def test_the_forecast_is_drawn_as_recorded(weekly_run):
    record = RunRecord.read(weekly_run)
    (panel,) = forecast_figure(record, [None]).axes
    line = next(line for line in panel.lines if line.get_color() == LIGHT["model"])
    assert list(line.get_ydata()) == record.forecast["LSTM"].to_list()
    assert [text.get_text() for text in panel.texts] == ["LSTM", "80 %", "95 %"]
    assert len(panel.collections) == 2


def test_the_backtest_shows_the_last_three_windows_of_the_model_and_its_rival(weekly_run):
    (panel,) = backtest_figure(RunRecord.read(weekly_run), [None]).axes
    colours = [line.get_color() for line in panel.lines]
    assert colours.count(LIGHT["model"]) == colours.count(LIGHT["baseline"]) == 3


def test_names_are_drawn_literally_and_no_more_than_four_series(hostile_run, tmp_path):
    record = RunRecord.read(hostile_run)
    figure = forecast_figure(record, record.names(4))
    assert figure.axes[1].get_title(loc="left") == "<b>bold</b> $x_1$"
    assert not figure.axes[1]._left_title.get_parse_math()
    assert len(write_figures(record, tmp_path)) == 2


def test_without_a_backtest_only_the_forecast_is_drawn(bare_run, tmp_path):
    assert [path.name for path in write_figures(RunRecord.read(bare_run), tmp_path)] == ["forecast.png"]
    (bare_run / "forecast.csv").unlink()
    with pytest.raises(RunError, match="nothing to draw"):
        write_figures(RunRecord.read(bare_run), tmp_path)


def test_a_missing_folder_is_reported(weekly_run, tmp_path):
    with pytest.raises(RecurraError, match=r"cannot write .*No such file"):
        write_figures(RunRecord.read(weekly_run), tmp_path / "nowhere")
