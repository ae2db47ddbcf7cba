"""What still figures share: letters, shades, files."""

import struct

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from recurra.errors import ArgumentError
from recurra.reports import still
from recurra.reports.palette import LIGHT
from recurra.reports.still import contrast, legible, save_figure


def drawing():
    figure = Figure(figsize=(2, 1), dpi=still.DPI)
    FigureCanvasAgg(figure)
    figure.text(0.5, 0.5, "x")
    return figure


def test_letters_that_no_font_has_are_spelt_out(monkeypatch):
    monkeypatch.setattr(still, "_drawn", lambda: frozenset(map(ord, "naïve שלום")))
    assert legible("naïve 🍕") == "naïve :slice of pizza:"
    assert legible("店舗") == "U+5E97 U+8217"
    assert legible("שלום") == "שלום"
    assert legible("❤\ufe0f") == ":heavy black heart:"


def test_letters_stand_out_from_every_shade():
    assert contrast(LIGHT["paper"]) == LIGHT["ink"]
    assert contrast(LIGHT["model"]) == LIGHT["paper"]


def test_a_figure_is_cut_to_what_is_drawn_or_keeps_its_size(tmp_path):
    def size(name, **options):
        return struct.unpack(">II", save_figure(drawing(), tmp_path / name, **options).read_bytes()[16:24])

    assert size("whole.png", tight=False) == (320, 160)
    assert size("cut.png") < (160, 160)


def test_equal_figures_give_equal_bytes_and_other_endings_are_refused(tmp_path):
    first, second = (save_figure(drawing(), tmp_path / f"{name}.svg").read_bytes() for name in "ab")
    assert first == second
    with pytest.raises(ArgumentError, match=r"'a.gif'; expected a name that ends in .png or .svg"):
        save_figure(drawing(), "a.gif")
