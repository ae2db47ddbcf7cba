"""The report of a text run: what it was asked, how good it is, where it errs, and what it says of single texts."""

from __future__ import annotations

import os
from pathlib import Path

from markupsafe import Markup

from recurra.atomic import write_file, writing
from recurra.reports.alignment import alignment_style, render_alignment
from recurra.reports.charts import one_line, training_charts
from recurra.reports.confusion import confusion_style, render_confusion
from recurra.reports.contributions import contribution_style, render_contributions
from recurra.reports.html import render_page
from recurra.reports.reliability import reliability_chart
from recurra.reports.tagged_words import render_tagged, tagged_style
from recurra.reports.text_drawings import bins_of, write_drawings
from recurra.reports.text_record import Examples, Explained, TextRecord
from recurra.reports.text_scoreboard import class_listings, make_text_scoreboard, mistakes_listing
from recurra.reports.text_verdict import make_text_verdict
from recurra.reports.text_words import heading, judged, meanings, words_of

__all__ = ["write_text_report"]


def write_text_report(path: str | os.PathLike[str]) -> Path:
    """Write `report.html` and its still figures into the run folder of a text task, from its records.

    Returns the file's path. Raises RunError or ArtifactError if the folder holds no finished, whole run, and
    RecurraError if a file cannot be written.
    """
    record = TextRecord.read(path)
    write_drawings(record, record.path)
    page = record.path / "report.html"
    with writing(page):
        write_file(page, render_texts(record).encode())
    return page


def render_texts(record: TextRecord) -> str:
    """The report's HTML. Equal records give equal bytes."""
    words, details, bins = words_of(record), record.compared.details, bins_of(record)
    names = [str(row["name"]) for row in details.get("classes", [])]
    return render_page(
        "text_report.html",
        record,
        make_text_verdict(record),
        {
            "reliability": [reliability_chart(bins)] if bins else [],
            "training": training_charts(record, validation=words.validation),
        },
        words=words,
        heading=one_line(heading(record), 120),
        judged=judged(record),
        scoreboard=make_text_scoreboard(record),
        meanings=meanings(record.compared),
        listings=class_listings(record),
        confusion=render_confusion(details["confusion"], names) if details.get("confusion") else None,
        explanations=_explanations(record.examples),
        alignments=[
            (each.texts, render_alignment(each.weights, each.source, each.target))
            for each in record.examples.alignments
            if each.source and each.target
        ],
        translations=record.examples.translations,
        sentences=[render_tagged(*each) for each in record.examples.sentences if each.words],
        samples=record.examples.samples,
        mistakes=mistakes_listing(record),
        style=Markup("{}{}{}{}").format(contribution_style(), alignment_style(), confusion_style(), tagged_style()),
    )


def _explanations(examples: Examples) -> list[tuple[Explained, Markup]]:
    """Each explained text with its figure, their colours to one scale."""
    shown = [each for each in examples.explanations if each.tokens]
    strongest = max((abs(share) for each in shown for share in each.contributions), default=0.0)
    return [
        (
            each,
            render_contributions(
                each.tokens,
                each.contributions,
                answer=each.answer,
                between=_between(each),
                scale=strongest or None,
            ),
        )
        for each in shown
    ]


def _between(each: Explained) -> str:
    """What stands between tokens: nothing where they hold the text's own spaces, or where it has none."""
    spaced = any(letter.isspace() for letter in each.text)
    return " " if spaced and not any(letter.isspace() for token in each.tokens for letter in token) else ""
