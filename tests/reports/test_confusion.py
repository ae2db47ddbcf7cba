"""The confusion matrix as a picture: what is written in its cells, at its sides, and to disk."""

import itertools
import struct

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from recurra.errors import ArgumentError, RecurraError
from recurra.reports.confusion import confusion_figure, describe_confusion, write_confusion
from recurra.reports.palette import LIGHT

COUNTS = [[90, 10, 0], [1, 399, 0], [0, 0, 0]]
NAMES = ["ham", "$spam_1$", "שלום"]


def cells(figure):
    """The texts in the cells by (row, column), top to bottom."""
    found = {}
    for text in figure.axes[0].texts:
        if text.get_transform() == figure.axes[0].transData:
            column, row = (round(value) for value in text.get_position())
            found.setdefault((row, column), []).append(text.get_text())
    return found


def size_of(path):
    return struct.unpack(">II", path.read_bytes()[16:24])


def test_cells_hold_counts_and_shares_of_the_true_class():
    found = cells(confusion_figure(COUNTS, NAMES))
    assert found[0, 0] == ["90", "90 %"]
    assert found[0, 1] == ["10", "10 %"]
    assert found[1, 0] == ["1", "<1 %"]
    assert found[1, 1] == ["399", ">99 %"]
    assert found[2, 2] == ["0"]


def test_right_is_blue_and_wrong_is_orange_by_share():
    (image,) = confusion_figure([[5, 5], [0, 8]], ["a", "b"]).axes[0].images
    shades = image.get_array().data
    assert shades[1, 1] == pytest.approx(np.array(to_rgb(LIGHT["model"])))
    assert shades[1, 0] == pytest.approx(np.array(to_rgb(LIGHT["paper"])))
    half = 0.5**0.6
    assert shades[0, 1] == pytest.approx(1 - half * (1 - np.array(to_rgb(LIGHT["baseline"]))))


def test_names_are_drawn_literally_and_in_order():
    panel = confusion_figure(COUNTS, NAMES).axes[0]
    for labels in (panel.get_xticklabels(), panel.get_yticklabels()):
        assert [label.get_text() for label in labels] == NAMES
        assert not any(label.get_parse_math() for label in labels)


@pytest.mark.parametrize("classes", [2, 9, 50])
def test_labels_do_not_overlap_and_nothing_is_cut_off(classes):
    names = [f"a rather long name, number {place}" for place in range(classes)]
    figure = confusion_figure(np.eye(classes, dtype=int) * 12_345, names)
    figure.draw_without_rendering()
    panel, renderer = figure.axes[0], figure.canvas.get_renderer()
    boxes = [label.get_window_extent(renderer) for label in panel.get_yticklabels()]
    assert all(below.y1 <= above.y0 for above, below in itertools.pairwise(boxes))
    width = panel.get_window_extent(renderer).width / classes
    for text in panel.texts:
        if text.get_transform() == panel.transData:
            assert text.get_window_extent(renderer).width < width
    whole = figure.get_tightbbox(renderer)  # in inches, which is what is saved
    assert whole.x0 * figure.dpi <= min(box.x0 for box in boxes)


def test_long_names_that_begin_alike_stay_apart():
    start = "the same thirty letters and more of "
    labels = confusion_figure(COUNTS, [f"{start}one", f"{start}two", ""]).axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == [
        "1. the same thirty letters…",
        "2. the same thirty letters…",
        "(empty)",
    ]


def test_of_more_than_50_classes_the_small_ones_become_one():
    counts = np.diag(np.arange(1, 61)) + 0
    counts[0, 59] = 7
    figure = confusion_figure(counts, [f"c{place}" for place in range(60)])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [*(f"c{place}" for place in range(11, 60)), "11 others"]
    found = cells(figure)
    assert found[49, 49][0] == str(sum(range(1, 12)))
    assert found[49, 48] == ["7", "10 %"]
    assert sum(int(texts[0]) for texts in found.values()) == counts.sum()


def test_it_is_written_as_png_and_svg_the_same_twice(tmp_path):
    for ending in ("png", "svg"):
        first, second = (
            write_confusion(tmp_path / f"{n}.{ending}", COUNTS, ["a", "🍕", "店"]).read_bytes() for n in "ab"
        )
        assert first == second
    assert first.startswith(b"<?xml")
    width, height = size_of(tmp_path / "a.png")
    assert width > 3 * 160
    assert height > 3 * 160
    with pytest.raises(ArgumentError, match=r"a.gif'; expected a name that ends in .png or .svg"):
        write_confusion(tmp_path / "a.gif", COUNTS, NAMES)
    with pytest.raises(RecurraError, match=r"cannot write .*No such file"):
        write_confusion(tmp_path / "nowhere" / "a.png", COUNTS, NAMES)


@pytest.mark.parametrize(
    ("counts", "names", "message"),
    [
        ([[1, 2]], ["a"], r"confusion has shape \(1, 2\); expected \(class, class\)"),
        ([[1, -2], [0, 1]], ["a", "b"], "something else than counts"),
        ([[0.5, 0.5], [0, 1]], ["a", "b"], "something else than counts"),
        ([[1, 2], [0, 1]], ["a"], "names has 1 classes, confusion 2"),
    ],
)
def test_what_does_not_fit_is_refused(counts, names, message):
    with pytest.raises(ArgumentError, match=message):
        confusion_figure(counts, names)


def test_it_is_told_in_words():
    assert describe_confusion(np.diag([2, 3]), ["a", "b"]).endswith("2 classes and 5 rows: 100.0 % are right.")
    assert describe_confusion([[0, 0], [0, 0]], ["a", "b"]) == "Confusion matrix of 2 classes without rows."
    assert "most often 'ham' was taken for '$spam_1$', in 10 rows" in describe_confusion(COUNTS, NAMES)
