"""Tagged sentences as figures."""

import pytest

from recurra.errors import ArgumentError
from recurra.reports.tagged_words import render_tagged


def test_wrong_tags_stand_beside_the_right_ones(page_of):
    figure = render_tagged(["Ann", "is", "\u00a0"], ["B", "O", "I"], ["B", "B", "O"], [0.5, 0.123456, 1.0])
    page = page_of(figure)
    spans = [attributes for tag, attributes in page.tags if tag == "span"]
    assert [span["class"] for span in spans] == ["token", "token wrong", "token wrong"]
    assert [span["title"] for span in spans] == ["50.0 % sure", "12.3 % sure", "100.0 % sure"]
    assert "is✗ O✓ B" in page.text
    assert "␣✗ I✓ O" in page.text  # a blank that can be seen
    assert "2 of 3 tags are wrong." in page.text
    assert "title" not in render_tagged(["Ann"], ["B"], ["B"])
    assert "All tags are right." in render_tagged(["Ann"], ["B"], ["B"])


def test_as_many_of_each_are_needed():
    with pytest.raises(ArgumentError, match="there are 2 words, 2 tags said, 1 true ones and 2 confidences"):
        render_tagged(["a", "b"], ["O", "O"], ["O"])
