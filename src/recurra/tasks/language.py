"""Foretelling text: the class behind `recurra fit language` and `recurra generate`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Self

from recurra.cells import Cell
from recurra.data.corpus import Corpus
from recurra.data.plain_text import PlainText, read_plain_text
from recurra.data.texts import given_texts
from recurra.data.tokenizer import Tokenizer
from recurra.errors import ArgumentError, Notice
from recurra.layers.arguments import check_count
from recurra.layers.sampling import check_sampling
from recurra.models import Seq2Seq
from recurra.tasks.comparison import Comparison
from recurra.tasks.explanation import Line
from recurra.tasks.incremental import IncrementalDecoder
from recurra.tasks.language_data import encode_learned, encode_text, learn_tokenizer, room
from recurra.tasks.language_parameters import LanguageParameters
from recurra.tasks.language_scores import MEASURES, LanguageScores, count_baselines, rates_of_text, score_text
from recurra.tasks.parameters import read_word_vectors
from recurra.tasks.text_artifact import SavedTask, load_text_task, save_text_task
from recurra.training.adapting import adapted_bits
from recurra.training.language import bits_of_lines, bits_of_text, draw_codes, foretell_counts, train_language
from recurra.training.recorder import Recorder
from recurra.training.rows import seeded

__all__ = ["LanguageModel"]

_ONE_ROW = 200_000  # tokens that are read in one row when a text is measured


class LanguageModel(LanguageParameters):
    """A recurrent language model: the probability of each token of a text, given all before it.

        v_t = E[token_t],   h_t = recurrence(v_1 .. v_t),   p(token_(t+1)) = softmax(scale E h_t + c)

    Its parameters are those of `LanguageParameters`, all by keyword. After `fit`: `tokenizer_`, `network_`.

    A text begins as if a line had ended before it: behind the token that ends lines, or the line break, or, where the
    tokenizer knows neither, the code of begin.

    >>> LanguageModel(cell="gru", tokenizer="character").get_params()["tied"]
    True
    """

    task: ClassVar[str] = "language"

    def read(self, data: Any, *, encoding: str = "utf-8") -> PlainText:
        """The text of a file, or of several one behind the other, checked to its end.

        data: a path, or a list of paths; gzip is recognised by its first bytes.

        Raises:
            DataError: a file is missing, empty, in another encoding (with the byte offset) or holds a NUL character.
        """
        return data if isinstance(data, PlainText) else read_plain_text(data, encoding=encoding)

    def check(self, data: PlainText) -> None:
        """Raise what `fit` would raise for these parameters, without training."""
        self.check_parameters()

    def split(self, data: PlainText, share: float, *, seed: int) -> tuple[PlainText, PlainText]:
        """The text without its last part, and that part: by position, so `seed` does nothing; characters and bytes at
        the very character, other tokens behind a line break."""
        return data.split(share, anywhere=self.tokenizer in ("character", "byte"))

    def fit(self, data: Any, *, valid: Any = None, recorder: Recorder | None = None) -> Self:
        """Train on a text.

        The codes lie in a file while this runs: in the run folder if there is one, else in the system's folder for
        temporary files. Memory does not grow with the text.

        Args:
            data: what `read` takes, or what it returned.
            valid: a text to stop by; None holds the last part of data back.
            recorder: a run folder and a progress callback to report to.

        Raises:
            DataError: a file is faulty, or too short; ArgumentError: a parameter is wrong.
        """
        text = self.read(data)
        self.check(text)
        held = None if valid is None else self.read(valid)
        if held is None:
            text, held = self.split(text, self.valid, seed=0)
        recorder = recorder or Recorder()
        self.tokenizer_ = learn_tokenizer(self, text)
        with room(recorder.run.path if recorder.run else None) as folder:
            learned = encode_learned(self, text, self.tokenizer_, folder / "train.npy")
            self._train(learned, self._encode(held, folder / "valid.npy"), recorder)
        return self

    def _train(self, learned: Corpus, held: Corpus, recorder: Recorder) -> None:
        vectors = read_word_vectors(self.vectors, self.tokenizer_.vocabulary)
        self.vectors_share_ = None if vectors is None else vectors.share
        settings = self.settings(tokens=len(learned) - 1)
        network = seeded(settings.seed, lambda: self.network(len(self.tokenizer_), vectors))
        foretell_counts(network, learned.codes)
        self.training_speed_ = train_language(
            network,
            learned.codes,
            held.codes,
            settings,
            self.regularisation,
            recorder,
            chunk=self.chunk,
            opening=self.opening_,
            name="language",
        )
        self.tokens_learned_ = len(learned)
        self.network_: Seq2Seq = network

    @property
    def opening_(self) -> int:
        """The code that is read before a text's first token."""
        if self.line_by_line:
            return Tokenizer.end
        found = self.tokenizer_.encode("\n")
        return found[-1] if found and found[-1] != Tokenizer.unknown else Tokenizer.begin

    def evaluate(self, data: Any, *, adapt: bool = False) -> LanguageScores:
        """How well a text that training has not seen is foretold, its state carried from beginning to end.

        Up to 200,000 tokens are read in one row; a longer text is read in as few rows of at most so many.

        adapt: whether a copy of the network goes on learning from the text, each part of it when it has been foretold,
            in one row; see `recurra.training.adapting.adapted_bits`. It takes about as long as an epoch of one row.

        Raises:
            DataError: a file is faulty.
        """
        self._check_fitted()
        with room(None) as folder:
            return self._measure(self._encode(self.read(data), folder / "text.npy"), adapt=adapt)

    def compare(
        self,
        data: Any,
        history: PlainText | None = None,
        *,
        measured_on: str = "the text",
        folder: Path | None = None,
        adapt: bool = False,
    ) -> Comparison:
        """`evaluate`, with baselines that learn from `history` beside it: n-grams (modified Kneser-Ney; of 5 tokens, of
        8 characters or bytes), and how often each token occurs.

        adapt: whether the network that goes on learning from the text stands beside it, too.
        folder: where the codes lie while this runs; None: in the system's folder for temporary files.
        """
        self._check_fitted()
        with room(folder) as codes:
            text = self._encode(self.read(data), codes / "text.npy")
            found = self._measure(text)
            bits = {self.name: found.bits}
            if adapt:
                bits[f"{self.name}, adapting"] = self._measure(text, adapt=True).bits
            if history is not None:
                learned = self._encode(history, codes / "history.npy")
                bits |= count_baselines(learned, text, self.tokenizer_, lines=self.line_by_line)
        scores = {name: rates_of_text(total, text) for name, total in bits.items()}
        return Comparison(measured_on, MEASURES, scores, details={**found._asdict(), "lowercase": self.lowercase})

    def predict(self, data: Any) -> list[float | None]:
        """Bits a character of each of some texts, each read as a line of its own; None where there is no character.

        data: a list of texts or a Series of them. A file of lines is what `recurra predict RUN FILE.txt` takes.

        Raises:
            ArgumentError: one of the texts is none, or data is something else.
        """
        texts = given_texts(data)
        if texts is None:
            raise ArgumentError(f"data is {type(data).__name__}; a language model rates lines: pass a list of texts")
        return [line.fields["bits_per_character"] for line in self.predict_lines(texts)]

    def predict_lines(self, lines: list[str]) -> list[Line]:
        """How well each line is foretold, for a pipe: its bits a character and its perplexity a token, with tabs before
        the line itself; its end is foretold, too."""
        self._check_fitted()
        codes = [self._line_codes(line) for line in lines]
        breaks = self.line_by_line or self.opening_ != Tokenizer.begin
        found = []
        for line, row, bits in zip(
            lines, codes, bits_of_lines(self.network_, codes, opening=self.opening_).tolist(), strict=True
        ):
            characters = len(line) + breaks
            rate = bits / characters if characters else None
            perplexity = 2 ** min(1000.0, bits / len(row)) if row else None
            shown = "\t".join("-" if value is None else f"{value:.4f}" for value in (rate, perplexity))
            fields = {
                "text": line,
                "bits_per_character": rate,
                "perplexity": perplexity,
                "bits": bits,
                "tokens": len(row),
                "unknown": row.count(Tokenizer.unknown),
            }
            found.append(Line(f"{shown}\t{line}", fields))
        return found

    def generate(
        self,
        prompt: str = "",
        *,
        tokens: int = 200,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> str:
        """What goes on after a prompt: `stream`'s pieces in one, without the prompt itself."""
        pieces = self.stream(prompt, tokens=tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
        return "".join(pieces)

    def stream(
        self,
        prompt: str = "",
        *,
        tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Text that goes on after a prompt, piece by piece as it comes.

        Args:
            prompt: what to go on with; "": a new line.
            tokens: that are drawn; None: without end. Bytes of a character that is not whole by then are not given.
            temperature: 1: as learned; below: closer to the likeliest; 0: the likeliest, nothing is drawn.
            top_k: draw from so many of the likeliest tokens only.
            top_p: of these from the fewest that together have this probability.
            seed: the same gives the same text; None: from torch's global generator.

        Padding, begin and the unknown token are never drawn. Raises ArgumentError for an argument that is none, at
        once; a Notice tells of tokens of the prompt that are unknown.
        """
        self._check_fitted()
        if tokens is not None:
            check_count("tokens", tokens)
        if not isinstance(prompt, str):
            raise ArgumentError(f"prompt is {type(prompt).__name__}; expected a text")
        prompt = prompt.replace("\r\n", "\n")  # as files are read
        lines = [self.tokenizer_.encode(line) for line in (prompt.split("\n") if self.line_by_line else [prompt])]
        read = [self.opening_, *[code for line in lines[:-1] for code in [*line, Tokenizer.end]], *lines[-1]]
        unknown = read.count(Tokenizer.unknown)
        if unknown:
            warnings.warn(
                f"{unknown} of the prompt's {len(read) - 1} tokens are unknown to the model", Notice, stacklevel=2
            )
        never = [Tokenizer.padding, Tokenizer.unknown, Tokenizer.begin]
        never += [] if self.line_by_line else [Tokenizer.end]
        check_sampling(temperature, top_k, top_p, len(self.tokenizer_) - len(never), noun="tokens")
        drawn = draw_codes(
            self.network_, read, never=never, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed
        )
        decoder = IncrementalDecoder(self.tokenizer_, lines[-1])
        return (piece for piece in map(decoder.take, islice(drawn, tokens)) if piece)

    def examples(self, rows: PlainText) -> dict[str, Any]:
        """What the model goes on with after nothing, and after the beginning of a text, for the report."""
        first = next(iter(next(rows.pieces(), "").splitlines()), "")[:80]
        options: dict[str, Any] = {"tokens": 200, "temperature": 0.8, "seed": 0}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Notice)
            samples = [
                {"prompt": prompt, "text": self.generate(prompt, **options), "temperature": options["temperature"]}
                for prompt in dict.fromkeys(["", first])
            ]
        return {"samples": samples}

    def summary(self) -> dict[str, Any]:
        """What was decided and made, for a run's record."""
        return {
            "tokens": len(self.tokenizer_),
            "tokens_learned": self.tokens_learned_,
            "training_tokens_per_second": self.training_speed_,
            "weights": sum(part.numel() for part in self.network_.parameters()),
            "padding_share": 0.0,
            "vectors_share": self.vectors_share_,
            "explain": self.network_.body.explain(),
        }

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the fitted model as a folder of JSON and safetensors with checksums.

        Raises:
            ArtifactError: `path` exists and `overwrite` is not given.
        """
        self._check_fitted()
        fitted = {
            "tokens_learned": self.tokens_learned_,
            "training_speed": self.training_speed_,
            "vectors_share": self.vectors_share_,
        }
        networks, tokenizers = {"network": self.network_}, {"tokenizer": self.tokenizer_}
        save_text_task(self, fitted, networks, tokenizers, Path(path), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path, *, cell: type[Cell] | Cell | None = None) -> LanguageModel:
        """Read a saved model; nothing in the folder is executed.

        path: of its folder, or of the run that made it. cell: the recurrence, if it was not one of recurra's own.

        Raises:
            ArtifactError: the folder is damaged, foreign or from a newer version.
        """
        with load_text_task(cls, Path(path), cell=cell, tokenizers=("tokenizer",)) as saved:
            self = saved.task
            self.tokens_learned_ = int(saved.fitted["tokens_learned"])
            self.training_speed_ = saved.fitted["training_speed"]
            self.vectors_share_ = saved.fitted.get("vectors_share")  # not in folders of older versions
            self.tokenizer_ = saved.tokenizers["tokenizer"]
            self.network_ = saved.network("network", lambda: self._stored(saved))
        return self

    def _stored(self, saved: SavedTask[LanguageModel]) -> Seq2Seq:
        """A network for what was saved, whose vectors may have come from a file with a size of its own."""
        size = saved.tensors["network.input.weight"].shape[1]
        return LanguageModel(**{**self.get_params(), "embedding_size": size}).network(len(self.tokenizer_))

    def _encode(self, text: PlainText, path: Path) -> Corpus:
        return encode_text(self, text, self.tokenizer_, path)

    def _line_codes(self, line: str) -> list[int]:
        if self.line_by_line:
            return [*self.tokenizer_.encode(line), Tokenizer.end]
        return self.tokenizer_.encode(line if self.opening_ == Tokenizer.begin else line + "\n")

    def _measure(self, text: Corpus, *, adapt: bool = False) -> LanguageScores:
        start, rows = time.perf_counter(), 1 if adapt else -(-len(text) // _ONE_ROW)
        if adapt:
            bits = adapted_bits(self.network_, text.codes, opening=self.opening_)
        else:
            bits = bits_of_text(self.network_, text.codes, opening=self.opening_, rows=rows)
        return score_text(bits, text, rows=rows, seconds=time.perf_counter() - start)

    def _check_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise ArgumentError("this LanguageModel is not fitted; call fit first")
