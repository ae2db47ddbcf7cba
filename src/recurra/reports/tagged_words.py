"""A sentence with the tag of each word below it, wrong ones beside the right ones: for the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from recurra.errors import ArgumentError
from recurra.reports.contributions import visible

__all__ = ["render_tagged", "tagged_style"]

_PAGE = """\
<figure class="tagged">
<p class="words" dir="auto">
{% for token in tokens %}
<span class="token{% if token.truth %} wrong{% endif %}"{% if token.sure %} title="{{ token.sure }}"{% endif %}>{{ token.word }}{% if token.truth %}<small class="said">✗ {{ token.said }}</small><small class="truth">✓ {{ token.truth }}</small>{% else %}<small>{{ token.said }}</small>{% endif %}</span>
{% endfor %}
</p>
<figcaption>{% if wrong %}{{ wrong }} of {{ tokens|length }} tags {{ "is" if wrong == 1 else "are" }} wrong.{% else %}All tags are right.{% endif %}</figcaption>
</figure>
"""  # noqa: E501 - a line of the page
_STYLE = """\
.tagged .words { display: flex; flex-wrap: wrap; gap: .5rem .75rem; max-width: none; margin: 0; padding: .9rem 1rem; background: var(--panel); border-radius: .4rem; line-height: 1.35; }
.tagged .token { display: flex; flex-direction: column; padding-bottom: .1rem; }
.tagged small { color: var(--muted); font-size: .75rem; }
.tagged .wrong { border-bottom: 2px solid var(--poor); font-weight: 600; }
.tagged .wrong .said { margin: 0; color: var(--poor); }
.tagged .wrong .truth { color: var(--good); }
"""  # noqa: E501 - a line of the page


class _Token(NamedTuple):
    word: str
    said: str
    truth: str
    """What is right, where that is not what was said; else nothing."""
    sure: str


def render_tagged(
    words: Sequence[str],
    said: Sequence[str],
    truth: Sequence[str],
    confidences: Sequence[float] | None = None,
) -> Markup:
    """The sentence as a figure of an HTML page, without a script; its looks are `tagged_style`.

    A wrong tag is marked by a cross and the right one below it by a tick, so that it is told without colour too.

    words: of the sentence. said, truth: for each the tag that was said, and the true one.
    confidences: the probability of each tag said; shown where the mouse rests.
    Raises ArgumentError if there are not as many of each.

    >>> print(render_tagged(["Ann", "<b>"], ["B", "O"], ["B", "B"]).splitlines()[3])
    <span class="token wrong">&lt;b&gt;<small class="said">✗ O</small><small class="truth">✓ B</small></span>
    """
    sure: Sequence[float | None] = [None] * len(words) if confidences is None else confidences
    if not len(words) == len(said) == len(truth) == len(sure):
        raise ArgumentError(
            f"there are {len(words)} words, {len(said)} tags said, {len(truth)} true ones and {len(sure)} confidences; "
            "expected as many of each"
        )
    tokens = [
        _Token(
            visible(word),
            visible(tag),
            "" if tag == true else visible(true),
            "" if share is None else f"{100 * share:.1f} % sure",
        )
        for word, tag, true, share in zip(words, said, truth, sure, strict=True)
    ]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(_PAGE).render(tokens=tokens, wrong=sum(bool(token.truth) for token in tokens))
    return Markup(page)  # rendered with autoescape


def tagged_style() -> Markup:
    """The rules that a page needs once for its tagged sentences, beside the report's own."""
    return Markup(_STYLE)
