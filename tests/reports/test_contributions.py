"""Coloured texts: what is marked, how it reads without colour, and that no token can act on a page or a terminal."""

import io
import re
from html.parser import HTMLParser

import pytest
from matplotlib.colors import to_rgb
from rich.console import Console

from recurra.errors import ArgumentError
from recurra.reports.contributions import contribution_style, contribution_text, render_contributions, visible

TOKENS = ["this", "was", "not", "a", "good", "film"]
VALUES = [0.0, 0.1, -2.0, 0.2, 1.5, 0.3]


class Reader(HTMLParser):
    """The classes and the texts of a fragment, and that every element is closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.classes, self.text, self.names = [], [], "", set()
        self.feed(str(page))
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.names |= {tag, *(name for name, _ in attrs)}
        self.classes += [value for name, value in attrs if name == "class"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def printed(text, **options):
    console = Console(file=io.StringIO(), width=120, **options)
    console.print(text)
    return console.file.getvalue()


def luminance(colour):
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05


def test_tokens_are_classed_by_sign_and_strength_and_marked():
    page = render_contributions(TOKENS, VALUES, answer="the class good")
    reader = Reader(page)
    assert reader.classes == ["contributions", "text", "minus-4", "plus-3", "plus-1", "plus-4", "minus-4"]
    assert "this was not− a good+ film+\n" in reader.text
    assert "for+ and against− the class good" in reader.text
    assert 'title="−2">not<' in page
    assert not reader.names & {"script", "style", "onclick"}


def test_markup_in_tokens_and_in_the_answer_is_shown_as_text():
    hostile = "</span><script>alert(1)</script>"
    page = render_contributions([hostile, "{{ 7 * 7 }}"], [1.0, 0.0], answer='<img src=x onerror="x">')
    reader = Reader(page)
    assert "script" not in reader.names
    assert "img" not in reader.names
    assert hostile in reader.text
    assert "{{ 7 * 7 }}" in reader.text


def test_a_scale_makes_texts_comparable():
    assert 'class="plus-1"' in render_contributions(["a"], [1.0], answer="b", scale=4.0)
    assert 'class="plus-4"' in render_contributions(["a"], [9.0], answer="b", scale=4.0)
    assert "plus-4" in render_contributions(["a"], [1e-30], answer="b")


def test_without_a_contribution_nothing_is_coloured():
    reader = Reader(render_contributions(["a", "b"], [0.0, 0.0], answer="c"))
    assert reader.classes == ["contributions", "text", "plus-4", "minus-4"]  # the last two are the legend's
    assert "The strongest token counts 0." in reader.text


def test_the_direction_is_that_of_the_first_letter():
    assert '<p class="text" dir="rtl">' in render_contributions(["12", "שלום", "abc"], [0, 1, 0], answer="b")
    assert '<p class="text" dir="rtl">' in render_contributions(["مرحبا"], [1], answer="b")
    assert '<p class="text" dir="ltr">' in render_contributions(["🍕", "abc", "שלום"], [0, 1, 0], answer="b")


def test_tokens_with_their_own_spaces_are_joined_as_they_are():
    assert (
        "Hello world\n" in Reader(render_contributions(["Hello", " wor", "ld"], [0, 0, 0], answer="b", between="")).text
    )
    text = contribution_text(["a", "\n", "b", " "], [0, 0, 0, -1], answer="c", between="", colour=False).plain
    assert text.startswith("a\nb␣[−1]\n")


def test_a_long_text_says_what_is_left_out():
    reader = Reader(render_contributions(["x"] * 2500, [0.0] * 2499 + [3.0], answer="b"))
    assert "The strongest token counts +3. The first 2,000 of 2,500 tokens are shown." in reader.text
    assert reader.text.count("x") == 2000
    assert contribution_text(["x"] * 2500, [1.0] * 2500, answer="b").plain.endswith("2,500 tokens are shown.")


def test_letters_stand_out_from_every_colour_in_light_and_dark():
    pairs = re.findall(r"background: (#\w+); color: (#\w+)", contribution_style())
    assert len(pairs) == 2 * 2 * 4
    for background, ink in pairs:
        light, dark = sorted((luminance(background), luminance(ink)), reverse=True)
        assert light / dark >= 4.5, (background, ink)


def test_stronger_is_darker_in_greyscale_for_both_signs():
    rules = contribution_style().split("@media")[0]
    for name in ("plus", "minus"):
        shades = [luminance(re.search(rf"\.{name}-{level} {{ background: (#\w+)", rules)[1]) for level in (1, 2, 3, 4)]
        assert shades == sorted(shades, reverse=True)
        assert shades[0] - shades[3] > 0.3


def test_every_class_of_a_page_has_a_rule():
    page = render_contributions([str(n) for n in range(9)], range(-4, 5), answer="b")
    names = {name for name in Reader(page).classes if name[-1].isdigit()}
    assert len(names) == 8
    assert all(f".{name} {{" in contribution_style() for name in names)


def test_a_terminal_gets_colours_and_signs():
    text = contribution_text(TOKENS, VALUES, answer="good")
    assert text.plain == (
        "this was not− a good+ film+\nfor+ and against− good; the strongest token counts −2 in log-odds; those of less "
        "than 0.25 have no mark"
    )
    shown = printed(text, force_terminal=True, color_system="truecolor", no_color=False)
    assert "\x1b[38;2;22;32;43;48;2;221;158;115mnot−\x1b[0m" in shown


def test_without_colour_the_numbers_are_told():
    text = contribution_text(TOKENS, VALUES, answer="[bold]good", colour=False)
    assert printed(text) == (
        "this was not[−2] a good[+1.5] film[+0.3]\n[+] for and [−] against [bold]good; the strongest token counts −2 "
        "in log-odds; those of less than 0.25 have no number\n"
    )


def test_the_base_is_told_and_nothing_of_numbers_left_out_where_none_is():
    text = contribution_text(["a", " ", "b"], [4.0, 0.0, 1.0], answer="c", base=-0.5, colour=False)
    assert text.plain.splitlines()[-1] == (
        "[+] for and [−] against c; the strongest token counts +4 in log-odds; a text that says nothing has −0.5"
    )


def test_no_token_acts_on_the_terminal():
    hostile = "\x1b]0;title\x07\x1b[2J\x9b1m\x00\r\x7f"
    shown = printed(contribution_text([hostile, "\udcff", ""], [1, 0, 0], answer="\x1b[31m", colour=False))
    assert not set("\x1b\x07\x9b\x00\r\x7f") & set(shown)
    shown.encode()
    assert visible(hostile) == "␛]0;title␇␛[2J\ufffd1m␀␍␡"
    assert "∅" in shown


@pytest.mark.parametrize(
    ("tokens", "values", "options", "message"),
    [
        (["a"], [1.0, 2.0], {}, "contributions has 2 numbers, tokens 1"),
        ([], [], {}, "contributions has 0 numbers, tokens 0"),
        (["a", "b"], [1.0, float("nan")], {}, r"contributions\[1\] is nan; expected finite"),
        (["a"], [1.0], {"scale": 0.0}, "scale is 0.0; expected a contribution above 0"),
    ],
)
def test_what_does_not_fit_is_refused(tokens, values, options, message):
    for show in (render_contributions, contribution_text):
        with pytest.raises(ArgumentError, match=message):
            show(tokens, values, answer="b", **options)
