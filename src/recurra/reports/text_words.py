"""What the reports of text tasks call things."""

from __future__ import annotations

from typing import NamedTuple

from recurra.reports.text_record import Compared, TextMeasure, TextRecord

__all__ = ["BASELINES", "MEASURES", "TaskWords", "heading", "judged", "meanings", "words_of"]


class TaskWords(NamedTuple):
    """Words on one task.

    report: the page's kind. subject: what its data become. validation: what stops its training; None: the loss.
    judged: keys of the measures by which models are told apart, the first that is there. classes: what they are called.
    """

    report: str
    subject: str
    validation: str | None
    judged: tuple[str, ...]
    classes: str = "class"


_TASKS = {
    "classify": TaskWords("text classification", "classes of texts", "share wrong", ("accuracy",)),
    "tag": TaskWords("sequence tagging", "tags of words", "error", ("f1", "accuracy"), "tag"),
    "language": TaskWords("language model", "a language model", "bits a token", ("perplexity", "bits_per_character")),
    "translate": TaskWords("translation", "translation", None, ("bleu", "chrf")),
}
BASELINES = {
    "MajorityClass": ("the most frequent class", "whatever the text"),
    "NaiveBayes": ("naive Bayes", "counts of words and of pairs of words"),
    "MostFrequentTag": ("each word's most frequent tag", "by the endings of new words"),
    "NearestSource": ("the nearest translation known", "the target of the most similar source of the training"),
    "CopySource": ("the source itself", "as it stands"),
    "Unigram": ("how often each token occurs", "whatever stands before it"),
    "KneserNey": ("the n-gram model", "counts of the tokens before, smoothed after Kneser and Ney"),
}
MEASURES = {
    "accuracy": "Share of the answers that are right.",
    "precision": "Of what was taken for a class, the share that is of it; mean over the classes.",
    "recall": "Of what is of a class, the share that was found; mean over the classes.",
    "f1": "Harmonic mean of precision and recall; mean over the classes, each counting alike.",
    "log_loss": "Mean of -ln of the true class's probability: being sure and wrong costs most. 0 is perfect.",
    "calibration_error": "Mean distance of confidence from the share that is right. 0: it can be taken at its word.",
    "accuracy_new": "Share of right tags among words that the training texts do not have.",
    "perplexity": "Among how many equally likely tokens the model is as unsure at each place. 1 is perfect.",
    "bits_per_character": "What a character costs if the model compresses the text.",
    "bits_per_byte": "What a byte of the text in UTF-8 costs.",
    "bleu": "Words and runs of up to four that a reference translation has too (Papineni et al. 2002), 0 to 100.",
    "exact": "Share of the texts that are written exactly as in the reference.",
    "chrf": "The same of characters (Popović 2015), 0 to 100.",
}
_SPANS = {
    "precision": "Of the spans found, the share that is right: its type and both ends.",
    "recall": "Of the true spans, the share that was found.",
    "f1": "Harmonic mean of both.",
}


def words_of(record: TextRecord) -> TaskWords:
    """The words of the record's task."""
    return _TASKS[record.task]


def heading(record: TextRecord) -> str:
    """The page's title: what was learned, of what."""
    words = words_of(record)
    if record.task == "classify":
        classes = record.summary.get("classes")
        count = f"{len(classes):,} " if isinstance(classes, list) else ""
        return f"{record.config['parameters'].get('label') or 'label'}: {count}{words.subject}"
    return f"{record.config.get('data') or 'text'}: {words.subject}"


def judged(record: TextRecord) -> TextMeasure:
    """The measure by which models are told apart."""
    measures = {measure.key: measure for measure in record.compared.measures}
    keys = [key for key in words_of(record).judged if key in measures]
    return measures[keys[0]] if keys else record.compared.measures[0]


def meanings(compared: Compared) -> list[tuple[str, str]]:
    """What each measure of the table means."""
    spans = any("span" in measure.title for measure in compared.measures)
    known = MEASURES | (_SPANS if spans else {})
    return [(measure.title, known[measure.key]) for measure in compared.measures if measure.key in known]
