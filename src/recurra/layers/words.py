"""Words as they are known and as they are spelt: an embedding beside what a small network reads of the letters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.cells import Cell, list_cells
from recurra.errors import ArgumentError, nearest
from recurra.layers.arguments import check_count, check_probability, check_seed
from recurra.layers.inputs import Embedding, check_codes
from recurra.layers.linear import draw_linear, empty_linear
from recurra.layers.pooling import LastPooling, MaxPooling
from recurra.layers.recurrent import Recurrent

__all__ = ["WordInput"]

_TOGETHER = 256  # words of like length, in one run of the reader


class WordInput(nn.Module):
    """A vector for each word: that of the word itself, and that of its spelling, which rare and unknown words have too.

        v = [E_word[w], spelling(E_letter[l_1] .. E_letter[l_n])]

    The spelling is what a recurrence says after the last letter, and one from the other end after the first (Ling et
    al. 2015; Lample et al. 2016); or of a convolution over the letters each feature's largest value (dos Santos &
    Zadrozny 2014).

    num_words: codes of words, 0 to num_words - 1; 0 is padding.
    embedding_size: features of E_word.
    num_characters: codes of letters, 0 to num_characters - 1; 0 is padding.
    character_size: features of E_letter.
    character_hidden: units of the recurrence in each direction, or features of the convolution.
    kind: a cell, by name or class, or "convolution".
    width: letters that the convolution reads at a time, an odd number; None: 3.
    word_dropout: probability with which a word is taken for an unknown one at its place, in training only: spellings
        learn to do without.
    unknown: the code of words that are not known.
    seed: initial values come from this seed alone; None: from torch's global generator.

    A step is a row of codes, the word first, then its letters, then 0: (time, batch, 1 + letters) for a batch. Words
    that are spelt alike are read once in a call, wherever they stand.

    Raises ArgumentError for any invalid argument.

    >>> words = WordInput(50, 8, 30, character_size=4, character_hidden=6, seed=0)
    >>> x = torch.tensor([[[7, 3, 1, 20], [9, 5, 0, 0]], [[1, 3, 1, 20], [0, 0, 0, 0]]])  # time batch 1+letters
    >>> v = words(x)
    >>> v.shape, bool((v[0, 0, 8:] == v[1, 0, 8:]).all()), bool(v[1, 1].any())
    (torch.Size([2, 2, 20]), True, False)
    """

    reader: Any

    def __init__(
        self,
        num_words: int,
        embedding_size: int,
        num_characters: int,
        *,
        character_size: int = 25,
        character_hidden: int = 25,
        kind: str | type[Cell] | Cell = "lstm",
        width: int | None = None,
        word_dropout: float = 0.0,
        unknown: int = 1,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, count in (("num_words", num_words), ("num_characters", num_characters)):
            if check_count(name, count) < 2:
                raise ArgumentError(f"{name} is {count}; expected 2 at least, for code 0 is padding")
        for name, count in (
            ("embedding_size", embedding_size),
            ("character_size", character_size),
            ("character_hidden", character_hidden),
        ):
            check_count(name, count)
        check_probability("word_dropout", word_dropout)
        check_seed(seed)
        if not isinstance(unknown, int) or isinstance(unknown, bool) or not 0 < unknown < num_words:
            raise ArgumentError(f"unknown is {unknown!r}; expected a code from 1 to {num_words - 1}")
        if isinstance(kind, str) and kind not in (kinds := ["convolution", *list_cells()]):
            raise ArgumentError(f"kind is {kind!r}; {nearest(kind, kinds)}")
        self.num_words, self.num_characters, self.kind = num_words, num_characters, kind
        self.word_dropout, self.unknown, self.seed = word_dropout, unknown, seed
        self.width = _check_width(width, kind)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.words = Embedding(num_words, embedding_size, padding=0, seed=seed, **place)
        self.letters = Embedding(num_characters, character_size, padding=0, seed=self._seed(1), **place)
        if kind == "convolution":
            self.reader = empty_linear(self.width * character_size, character_hidden, bias=True, **place)
            draw_linear([self.reader], self._seed(2))
        else:
            self.reader = Recurrent(
                kind, character_size, character_hidden, bidirectional=True, seed=self._seed(2), **place
            )

    @property
    def output_size(self) -> int:
        """Features of a step."""
        spelling = self.reader.out_features if self.kind == "convolution" else self.reader.output_size
        return self.words.embedding_size + int(spelling)

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as when the layer was built."""
        self.words.reset_parameters()
        self.letters.reset_parameters()
        if self.kind == "convolution":
            draw_linear([self.reader], self._seed(2))
        else:
            self.reader.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Vectors (..., output_size) of words (..., 1 + letters), as (time, batch, 1 + letters).

        x: codes, of any integer type. Letters behind a word's first 0 are not read; a word without letters has zeros
            for its spelling, as padding has for all.
        Raises ArgumentError for another shape or type, and for a code that there is not, with its place.
        """
        if not isinstance(x, Tensor) or not x.dim() or x.shape[-1] < 2:
            came = f"has shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"is {type(x).__name__}"
            raise ArgumentError(f"x {came}; expected codes (..., 1 + letters), the word first, then its letters")
        codes = check_codes("word", x[..., 0], self.num_words)
        letters = check_codes("letter", x[..., 1:], self.num_characters)
        if self.training and self.word_dropout:
            dropped = torch.rand(codes.shape, device=codes.device) < self.word_dropout
            codes = codes.masked_fill(dropped & (codes != 0), self.unknown)
        spellings, which = _apart(letters.reshape(-1, letters.shape[-1]), self.num_characters)
        spelt = F.embedding(which.view(codes.shape), self._spell(spellings))
        return torch.cat([self.words(codes), spelt], -1)

    def extra_repr(self) -> str:
        """The constructor's arguments, those that parts do not say."""
        said = f"kind={self.kind!r}" if isinstance(self.kind, str) else f"kind={self.reader.cell.name!r}"
        said += f", width={self.width}" if self.kind == "convolution" else ""
        return said + (f", word_dropout={self.word_dropout}" if self.word_dropout else "")

    def _spell(self, letters: Tensor) -> Tensor:
        """A vector for each row of letters (word, letter): (word, spelling)."""
        counts = (letters != 0).cumprod(1).sum(1)
        order = counts.argsort(stable=True)  # words of like length are read together: one long one is dear for all
        parts = [self._read(letters[some], counts[some]) for some in order.split(_TOGETHER) if len(some)]
        spelt = torch.cat(parts) if parts else self.words.weight.new_zeros(0, self.output_size - self.words.output_size)
        return spelt[order.argsort()]

    def _read(self, letters: Tensor, counts: Tensor) -> Tensor:
        """What the reader says of each row of letters (word, letter) of which so many count."""
        longest = max(1, int(counts.max()))
        steps = letters[:, :longest].T  # letter word
        steps = steps.masked_fill(torch.arange(longest, device=steps.device).unsqueeze(1) >= counts, 0)
        vectors = self.letters(steps)  # letter word feature
        if self.kind == "convolution":
            around = F.pad(vectors, (0, 0, 0, 0, self.width // 2, self.width // 2))
            y = self.reader(around.unfold(0, self.width, 1).flatten(2))
            spelt, _ = MaxPooling()(y, lengths=counts)
        else:
            y, _ = self.reader(vectors, lengths=counts)
            spelt, _ = LastPooling(bidirectional=True)(y, lengths=counts)
        read: Tensor = spelt
        return read

    def _seed(self, offset: int) -> int | None:
        return None if self.seed is None else (self.seed + offset) % 2**63


def _apart(rows: Tensor, base: int) -> tuple[Tensor, Tensor]:
    """The rows (n, digit) that differ, each once, and which of them each row is, (n,).

    base: above each digit. As many digits as 63 bits hold are taken for one number, which are sorted far sooner than
    rows are (torch.unique with dim=0 takes 20 times as long).
    """
    digits = 1
    while base ** (digits + 1) < 2**63:
        digits += 1
    which = rows.new_zeros(len(rows))
    for block in rows.split(digits, 1):
        numbers = (block * base ** torch.arange(block.shape[1], device=rows.device)).sum(1)
        _, alike = torch.unique(numbers, return_inverse=True)
        _, which = torch.unique(which * len(rows) + alike, return_inverse=True)
    count = int(which.max()) + 1 if len(which) else 0
    some = which.new_empty(count).scatter_(0, which, torch.arange(len(rows), device=rows.device))
    return rows[some], which


def _check_width(width: object, kind: object) -> int:
    """The width of a convolution; raise ArgumentError unless it is an odd number, or None."""
    if width is None:
        return 3
    if kind != "convolution":
        raise ArgumentError(f"width is {width!r}, kind {kind!r}; it is for kind='convolution': leave it out")
    if not isinstance(width, int) or isinstance(width, bool) or width < 1 or width % 2 == 0:
        raise ArgumentError(
            f"width is {width!r}; expected an odd number of letters, as 3: the letter and its neighbours"
        )
    return width
