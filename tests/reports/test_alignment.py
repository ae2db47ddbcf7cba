"""Alignments: weights where they belong, as a picture and as a table."""

import re

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from recurra.errors import ArgumentError
from recurra.nn import AdditiveAttention
from recurra.reports.alignment import alignment_figure, alignment_style, render_alignment, write_alignment
from recurra.reports.palette import LIGHT

WEIGHTS = [[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]]
SOURCE, TARGET = ["the", "$x$", " "], ["das", "שלום"]


def test_columns_are_source_and_rows_target():
    panel = alignment_figure(WEIGHTS, SOURCE, TARGET).axes[0]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["the", "$x$", "␣"]
    assert [label.get_text() for label in panel.get_yticklabels()] == TARGET
    assert not any(label.get_parse_math() for label in panel.get_xticklabels())
    shades = panel.images[0].get_array().data
    assert shades[1, 2] == pytest.approx(np.array(to_rgb(LIGHT["model"])))
    assert shades[0, 1] == pytest.approx(1 - 0.25 * (1 - np.array(to_rgb(LIGHT["model"]))))
    numbers = {text.get_position(): text.get_text() for text in panel.texts if text.get_transform() == panel.transData}
    assert numbers == {(0, 0): "75", (1, 0): "25", (2, 1): "100"}


def test_tokens_that_come_again_keep_their_names():
    panel = alignment_figure(np.eye(3), ["the", "the", "end"], ["a", "a", "b"]).axes[0]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["the", "the", "end"]


def test_what_attention_returns_fits():
    attention = AdditiveAttention(3, 2, seed=0)
    _, weights = attention(torch.ones(2, 1, 3), torch.randn(3, 1, 2))
    assert alignment_figure(weights[:, 0], SOURCE, TARGET).axes[0].images[0].get_array().shape == (2, 3, 3)
    with pytest.raises(ArgumentError, match=r"weights has shape \(2, 1, 3\); .* pass weights\[:, row\]"):
        alignment_figure(weights, SOURCE, TARGET)


def test_the_table_holds_every_share_and_shade():
    page = render_alignment(WEIGHTS, ["<b>", "a", "b"], TARGET, title="<i>one</i>")
    assert re.findall(r'class="shade-(\d+)" title="(\d+ %)"', page) == [
        ("8", "75 %"), ("2", "25 %"), ("0", "0 %"), ("0", "0 %"), ("0", "0 %"), ("10", "100 %"),
    ]  # fmt: skip
    assert re.findall(r"<span>(.*?)</span></th>", page) == ["&lt;b&gt;", "a", "b"]
    assert "<i>" not in page
    assert "<script" not in page
    assert "style=" not in page


def test_the_caption_says_what_a_row_adds_up_to():
    assert "went in. Each row adds up to 100 %.</figcaption>" in render_alignment(WEIGHTS, SOURCE, TARGET)
    local = [[0.3, 0.2, 0.0], [0.0, 0.0, 1.0]]
    assert "A row adds up to less than 100 % where" in render_alignment(local, SOURCE, TARGET)


def test_every_shade_has_a_rule_in_light_and_dark():
    light, dark = alignment_style().split("@media")
    for rules in (light, dark):
        assert re.findall(r"\.shade-(\d+) {", rules) == [str(level) for level in range(1, 11)]
    assert f".shade-10 {{ background: {LIGHT['model']}; }}" in light


def test_long_sides_are_cut_and_it_is_said():
    weights = np.full((90, 100), 0.01)
    figure = alignment_figure(weights, ["s"] * 100, ["t"] * 90)
    assert figure.axes[0].images[0].get_array().shape == (80, 80, 3)
    said = "The first 80 of 100 source and 90 target tokens are shown."
    assert any(said in text.get_text() for text in figure.axes[0].texts)
    assert said in render_alignment(weights, ["s"] * 100, ["t"] * 90)


def test_the_title_stands_above_the_longest_token(tmp_path):
    figure = alignment_figure(WEIGHTS, ["a", "b", "a token of many letters"], TARGET)
    figure.draw_without_rendering()
    panel, renderer = figure.axes[0], figure.canvas.get_renderer()
    title = next(text for text in panel.texts if text.get_text() == "Alignment")
    lines = next(text for text in panel.texts if text.get_text().startswith("numbers"))
    labels = max(label.get_window_extent(renderer).y1 for label in panel.get_xticklabels())
    assert labels < lines.get_window_extent(renderer).y0 < title.get_window_extent(renderer).y0
    for ending in ("png", "svg"):
        assert write_alignment(tmp_path / f"a.{ending}", WEIGHTS, SOURCE, TARGET).stat().st_size > 5000


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[1.0, 0.0]], r"weights has shape \(1, 2\), there are 2 target and 3 source tokens; expected \(2, 3\)"),
        ([[1.0, 0.0, 0.0], [2.0, -1.0, 0.0]], r"weights\[1, 0\] is 2; expected shares from 0 to 1"),
        ([[1.0, 0.0, 0.0], [float("nan"), 0.0, 0.0]], r"weights\[1, 0\] is nan"),
    ],
)
def test_what_does_not_fit_is_refused(weights, message):
    with pytest.raises(ArgumentError, match=message):
        alignment_figure(weights, SOURCE, TARGET)
