"""A text whose tokens are coloured by what they contributed: for the report and for a terminal."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jinja2
from markupsafe import Markup
from rich.text import Text

from recurra.errors import ArgumentError
from recurra.reports.palette import DARK, LIGHT

__all__ = ["contribution_style", "contribution_text", "mixed", "render_contributions", "visible"]

_LEVELS = 4  # of colour for each sign
_STRONGEST = 0.55  # of the colour over paper, so that letters stand out from it
_MOST = 2000  # tokens
_SIGNS = {1: ("+", "plus", "model"), -1: ("−", "minus", "baseline")}

_PAGE = """\
<figure class="contributions">
<p class="text" dir="{{ direction }}">
{%- for token in tokens %}{{ token.before }}{% if token.level %}<span class="{{ token.name }}-{{ token.level }}" title="{{ token.number }}">{{ token.text }}<sup>{{ token.sign }}</sup></span>{% else %}{{ token.text }}{% endif %}{% endfor -%}
</p>
<figcaption>
<span class="plus-{{ levels }}">for<sup>+</sup></span> and <span class="minus-{{ levels }}">against<sup>−</sup></span> {{ answer }}; the stronger the colour, the more. The strongest token counts {{ strongest }}.{% if left_out %} {{ left_out }}{% endif %}
</figcaption>
</figure>
"""  # noqa: E501 - a line of the page
_SHAPES = """\
.contributions .text { max-width: 44rem; margin: 0 0 .75rem; line-height: 2; white-space: pre-wrap; }
.contributions [class^="plus-"], .contributions [class^="minus-"] { border-radius: .2rem; padding: .1rem .15rem; }
.contributions [class^="plus-"] { border-bottom: 2px solid var(--model); }
.contributions [class^="minus-"] { border-bottom: 2px dashed var(--baseline); }
.contributions sup { font-size: .7em; line-height: 0; user-select: none; }
"""


class _Token(NamedTuple):
    before: str
    text: str
    value: float
    level: int
    sign: str
    name: str
    role: str

    @property
    def number(self) -> str:
        return _number(self.value)


def render_contributions(
    tokens: Sequence[str],
    contributions: Sequence[float],
    *,
    answer: str,
    between: str = " ",
    scale: float | None = None,
) -> Markup:
    """The text as a figure of an HTML page, without a script; its looks are `contribution_style`.

    Blue speaks for the answer and orange against it; + and −, a solid and a dashed line say the same without colour.

    tokens: in their order; of more than 2,000 the first are shown, and the caption says so.
    contributions: one for each token, of either sign; tensors of one number are taken too.
    answer: what they speak for or against, in words: "the class spam".
    between: stands between tokens; "" where they hold their own spaces.
    scale: the contribution that gets the strongest colour; None: the largest here. Pass the same to compare texts.
    Raises ArgumentError if the numbers do not fit the tokens, one is not finite, or the scale is not above 0.

    >>> print(render_contributions(["not", "<b>"], [-2.0, 1.0], answer="good").splitlines()[1])
    <p class="text" dir="ltr"><span class="minus-4" title="−2">not<sup>−</sup></span> <span class="plus-2" title="+1">&lt;b&gt;<sup>+</sup></span></p>
    """  # noqa: E501 - a line of the page
    found, strongest, left_out = _read(tokens, contributions, between, scale)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    page = environment.from_string(_PAGE).render(
        tokens=found,
        direction="rtl" if _runs_left(tokens) else "ltr",
        levels=_LEVELS,
        answer=visible(answer),
        strongest=_number(strongest),
        left_out=left_out,
    )
    return Markup(page)  # rendered with autoescape


def contribution_style() -> Markup:
    """The rules that a page needs once for its coloured texts, beside the report's own; dark by preference."""
    light, dark = (
        "".join(
            f".contributions .{name}-{level} {{ background: {mixed(theme, role, _share(level))}; "
            f"color: {theme['ink']}; }}\n"
            for _, name, role in _SIGNS.values()
            for level in range(1, _LEVELS + 1)
        )
        for theme in (LIGHT, DARK)
    )
    return Markup(f"{_SHAPES}{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n")


def contribution_text(
    tokens: Sequence[str],
    contributions: Sequence[float],
    *,
    answer: str,
    between: str = " ",
    scale: float | None = None,
    base: float | None = None,
    colour: bool = True,
) -> Text:
    """The text for a terminal, with a line below that says what the marks mean.

    base: the log-odds of a text that says nothing, to which the contributions are added; None: it is not named.
    colour: by the colour behind each token, + and − after it; False: the number after it instead, for pipes, files and
        NO_COLOR: `colour=console.color_system is not None and not console.no_color`.
    Other arguments and errors are `render_contributions`'s.

    >>> print(contribution_text(["not", "a", "good", "film"], [-2, 0, 1.5, 0.1], answer="good", colour=False).plain)
    not[−2] a good[+1.5] film
    [+] for and [−] against good; the strongest token counts −2 in log-odds; those of less than 0.25 have no number
    """
    found, strongest, left_out = _read(tokens, contributions, between, scale)
    text = Text()
    for token in found:
        text.append(token.before)
        if not token.level:
            text.append(token.text)
        elif colour:
            text.append(f"{token.text}{token.sign}", _ink(token.role, token.level))
        else:
            text.append(f"{token.text}[{token.number}]")
    text.append("\n")
    for sign, words in ((1, "for"), (-1, "against")):
        mark, _, role = _SIGNS[sign]
        text.append(" and " if sign < 0 else "")
        text.append(f"{words}{mark}" if colour else f"[{mark}] {words}", _ink(role, _LEVELS) if colour else "")
    text.append(f" {visible(answer)}; the strongest token counts {_number(strongest)} in log-odds")
    if any(not token.level and not token.text.isspace() for token in found):
        least = (scale or abs(strongest) or 1.0) / (2 * _LEVELS)
        text.append(f"; those of less than {least:.2g} have no {'mark' if colour else 'number'}")
    if base is not None:
        text.append(f"; a text that says nothing has {_number(base)}")
    if left_out:
        text.append(f". {left_out}")
    return text


def visible(text: str) -> str:
    """`text` with what cannot be seen, or would act on a terminal, as signs for it; lines and tabs stay inside words.

    >>> visible("\\x1b[31m"), visible(" "), visible("\\n"), visible("a b")
    ('␛[31m', '␣', '↵', 'a b')
    """
    if not text:
        return "∅"
    if text.isspace():
        return "".join("↵" if letter == "\n" else "⇥" if letter == "\t" else "␣" for letter in text)
    return _tame(text)


def mixed(theme: Mapping[str, str], role: str, share: float) -> str:
    """A role's colour over the theme's paper.

    >>> mixed({"paper": "#ffffff", "model": "#000000"}, "model", 0.2)
    '#cccccc'
    """
    pairs = ((int(theme[name][i : i + 2], 16) for name in ("paper", role)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(paper + share * (ink - paper)):02x}" for paper, ink in pairs)


def _read(
    tokens: Sequence[str], contributions: Sequence[float], between: str, scale: float | None
) -> tuple[list[_Token], float, str]:
    """The tokens that are shown, the strongest contribution, and a sentence on what is not shown."""
    values = [float(value) for value in contributions]
    if len(values) != len(tokens) or not values:
        raise ArgumentError(
            f"contributions has {len(values)} numbers, tokens {len(tokens)}; expected one for each token"
        )
    wrong = next((place for place, value in enumerate(values) if not math.isfinite(value)), None)
    if wrong is not None:
        raise ArgumentError(f"contributions[{wrong}] is {values[wrong]}; expected finite numbers")
    if scale is not None and not 0 < scale < math.inf:
        raise ArgumentError(f"scale is {scale}; expected a contribution above 0, or None for the largest here")
    strongest = max(values, key=abs)
    left_out = f"The first {_MOST:,} of {len(tokens):,} tokens are shown." if len(tokens) > _MOST else ""
    pairs = zip(tokens[:_MOST], values, strict=False)
    return list(_levelled(pairs, between, scale or abs(strongest) or 1.0)), strongest, left_out


def _levelled(pairs: Iterator[tuple[str, float]], between: str, scale: float) -> Iterator[_Token]:
    for place, (token, value) in enumerate(pairs):
        level = min(round(_LEVELS * abs(value) / scale), _LEVELS)
        sign, name, role = _SIGNS[-1 if value < 0 else 1]
        space = bool(token) and token.isspace()
        text = (visible(token) if level else _tame(token)) if space else visible(token)
        if space and level and "\n" in token:
            text += "\n"
        yield _Token(between if place else "", text, value, level, sign, name, role)


def _tame(text: str) -> str:
    """Control characters as the pictures of them, and halves of surrogate pairs as a sign that something is amiss."""
    if text.isprintable():
        return text
    return "".join(map(_tamed, text))


def _tamed(letter: str) -> str:
    kind, code = unicodedata.category(letter), ord(letter)
    if kind == "Cs":
        return "\ufffd"
    if kind != "Cc" or letter in "\n\t":
        return letter
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "\ufffd"


def _runs_left(tokens: Sequence[str]) -> bool:
    """Whether the text's first letter is of a script that runs from right to left."""
    kinds = (unicodedata.bidirectional(letter) for token in tokens for letter in token)
    return next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L"


def _share(level: int) -> float:
    return _STRONGEST * level / _LEVELS


def _ink(role: str, level: int) -> str:
    """rich's style: the same letters and backgrounds on a light and on a dark terminal."""
    return f"{LIGHT['ink']} on {mixed(LIGHT, role, _share(level))}"


def _number(value: float) -> str:
    return "0" if not value else f"{value:+.3g}".replace("-", "−")
