"""Text to codes and back, by a vocabulary that is learnt from texts and kept as Hugging Face's tokenizer.json."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self, get_args

import numpy as np
from numpy.typing import NDArray

from recurra.data.detokenising import BYTES, join_words, show_bytes, to_bytes
from recurra.data.pipelines import (
    SPECIAL,
    TokenKind,
    blocks,
    build_library,
    learn_pieces,
    learn_words,
    lowercased,
    read_library,
)
from recurra.errors import ArgumentError, ArtifactError, nearest
from recurra.layers.arguments import check_count, check_flag

__all__ = ["TokenKind", "Tokenizer"]

_UNKNOWN_WORD, _UNKNOWN_CHARACTER = "<unk>", "\ufffd"


class Tokenizer:
    """What stands between a text and a network: text -> tokens -> codes 0 to len(tokenizer) - 1, and back.

        word        words and punctuation apart: don't | 1,000.50 | : | ) ; scripts without blanks (Han, Kana, Thai
                    ...) and symbols by grapheme cluster, so that an emoji joined from several is one token
        whitespace  what stands between blanks: for text that is tokenised already
        subword     byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019): lossless, nothing unknown
        character   Unicode code points, of which a joined emoji has several: lossless but for unknown ones
        byte        the 256 bytes of UTF-8: lossless, nothing unknown, nothing to learn

    Codes 0 to 3 are padding, unknown, begin and end in every kind, and no text can spell them: their names, "< pad >",
    "< unk >", "< begin >" and "< end >", hold blanks, which no token has. "<unk>" in a text of kind "whitespace", as
    the Penn Treebank has it, is the unknown code, not a word.

    kind: one of the above.
    vocabulary: the tokens of codes 4, 5, ...; of kind "subword" and "byte" bytes are spelled as the letters that
        Radford et al. (2019) write for them. Of kind "whitespace" one that holds blanks is known to `encode_words`.
    merges: of kind "subword", the pairs that are joined, the first learnt first.
    lowercase: whether texts are put in lower case first; then decoding gives lower case.

    Most come from `Tokenizer.train` or `Tokenizer.from_json`. Raises ArgumentError for a kind that there is not or a
    vocabulary that does not fit it; RecurraError if the library tokenizers is not installed.

    >>> tokenizer = Tokenizer.train(["The cat sat.", "The dog sat."], kind="word", min_count=1)
    >>> tokenizer.encode("The bird sat.")
    [5, 1, 6, 4]
    >>> tokenizer.decode([5, 1, 6, 4])
    'The <unk> sat.'
    """

    padding, unknown, begin, end = range(4)

    def __init__(
        self,
        kind: TokenKind,
        vocabulary: Sequence[str],
        merges: Sequence[tuple[str, str]] = (),
        *,
        lowercase: bool = False,
    ) -> None:
        _check_kind(kind)
        check_flag("lowercase", lowercase)
        _check_vocabulary(kind, vocabulary, merges)
        self.kind, self.lowercase = kind, lowercase
        self.vocabulary = (*SPECIAL, *vocabulary)
        self.merges = tuple(merges)
        self._library = build_library(kind, self.vocabulary, self.merges, lowercase=lowercase)
        self._codes = {token: len(SPECIAL) + index for index, token in enumerate(vocabulary)}
        self._points = _point_table(self._codes) if kind == "character" else None

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        kind: TokenKind = "word",
        *,
        vocabulary_size: int | None = None,
        min_count: int | None = None,
        lowercase: bool = False,
    ) -> Self:
        """The tokenizer whose vocabulary is what the texts hold most often; equally frequent tokens by their text.

        The same texts in any order give the same codes, on any number of threads.

        texts: read once, one at a time.
        vocabulary_size: codes at most, the four special ones among them; None: 8,000 for kind "subword", else no limit.
        min_count: tokens (of kind "subword": pairs) that occur less often are left out; None: 2 for kinds "word" and
            "subword", so that a network meets the unknown code in training, else 1.

        Raises ArgumentError if there is no text, or nothing but blanks in it, or vocabulary_size holds no token.
        """
        cls.check(kind, vocabulary_size=vocabulary_size, min_count=min_count, lowercase=lowercase)
        texts = _checked(texts)
        if kind == "byte":
            return cls(kind, BYTES, lowercase=lowercase)
        least = min_count if min_count is not None else 2 if kind in ("word", "subword") else 1
        if kind == "subword":
            pieces, merges = learn_pieces(texts, size=vocabulary_size or 8000, min_count=least, lowercase=lowercase)
            return cls(kind, pieces, merges, lowercase=lowercase)
        words = learn_words(texts, kind, min_count=least, lowercase=lowercase)
        if kind == "whitespace":
            words = [word for word in words if word != _UNKNOWN_WORD]
        if not words:
            raise ArgumentError(
                f"texts hold no {kind} token that occurs {least} times; pass texts, or a smaller min_count"
            )
        return cls(
            kind, words[: None if vocabulary_size is None else vocabulary_size - len(SPECIAL)], lowercase=lowercase
        )

    @staticmethod
    def check(kind: str, *, vocabulary_size: int | None, min_count: int | None, lowercase: bool) -> None:
        """Raise ArgumentError for arguments that `train` refuses whatever the texts are."""
        _check_kind(kind)
        if min_count is not None:
            check_count("min_count", min_count)
        _check_size(kind, vocabulary_size)
        check_flag("lowercase", lowercase)

    def __len__(self) -> int:
        """Codes that there are: the vocabulary with the four special ones."""
        return len(self.vocabulary)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.kind, self.vocabulary, self.merges, self.lowercase))

    def __repr__(self) -> str:
        return f"Tokenizer({self.kind!r}, {len(self):,} codes{', lowercase' * self.lowercase})"

    def __reduce__(self) -> tuple[Callable[[str], Tokenizer], tuple[str]]:
        return type(self).from_json, (self.to_json(),)

    def encode(self, text: str) -> list[int]:
        """The codes of a text: none of an empty one. Neither begin nor end is added."""
        codes: list[int] = self.encode_array(text).tolist()
        return codes

    def encode_all(self, texts: Iterable[str]) -> list[list[int]]:
        """The codes of each text, on all cores."""
        texts = list(texts)
        for index, text in enumerate(texts):
            _check_text(text, f"texts[{index}]")
        if self.kind in ("character", "byte") or any(len(text) > 1_000_000 for text in texts):
            return [self.encode(text) for text in texts]
        encoded = self._library.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encoded]

    def encode_array(self, text: str) -> NDArray[np.int64]:
        """The codes of a text as an array; a text of any length takes little more memory than its codes."""
        _check_text(text, "text")
        if self.kind == "byte":
            raw = lowercased(text) if self.lowercase else text
            return np.frombuffer(raw.encode("utf-8"), np.uint8).astype(np.int64) + len(SPECIAL)
        if self._points is not None:
            raw = lowercased(text) if self.lowercase else text
            points = np.frombuffer(raw.encode("utf-32-le"), np.uint32)
            return self._points[np.minimum(points, len(self._points) - 1)]
        parts: list[NDArray[np.int64]] = [
            np.array(self._library.encode_batch_fast([block], add_special_tokens=False)[0].ids, np.int64)
            for block in blocks(text)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def encode_words(self, words: Sequence[str]) -> list[int]:
        """One code for each word of a sentence that is given as words, whatever they hold.

        Raises ArgumentError unless kind is "word" or "whitespace".
        """
        if self.kind not in ("word", "whitespace"):
            raise ArgumentError(f"kind is {self.kind!r}, in which a word has many codes; use encode_all(words)")
        if self.lowercase:
            words = [lowercased(word) for word in words]
        return [self._codes.get(word, self.unknown) for word in words]

    def decode(self, codes: Iterable[int]) -> str:
        """The text of codes; padding, begin and end are left out.

        Of kind "subword", "character" and "byte" it is the text that was encoded, to the last blank; bytes that make no
        whole character, and unknown characters, are the replacement character U+FFFD. Of kind "whitespace" words are
        joined by blanks. Of kind "word" too, but no blank stands before closing punctuation (. , ; : ! ? and closing
        brackets), behind opening brackets, inside a pair of quotation marks, or about a hyphen or slash; other
        blanks and line breaks of the text are not known any more. An unknown word is "<unk>".
        """
        kept = [code for code in self._checked(codes) if code not in (self.padding, self.begin, self.end)]
        if self.kind in ("subword", "byte"):
            tokens = [_UNKNOWN_CHARACTER.encode() if c == self.unknown else to_bytes(self.vocabulary[c]) for c in kept]
            return b"".join(tokens).decode("utf-8", errors="replace")
        lost = _UNKNOWN_CHARACTER if self.kind == "character" else _UNKNOWN_WORD
        words = [lost if code == self.unknown else self.vocabulary[code] for code in kept]
        if self.kind == "character":
            return "".join(words)
        return join_words(words) if self.kind == "word" else " ".join(words)

    def tokens(self, codes: Iterable[int]) -> list[str]:
        r"""The token of each code, to be looked at; bytes that make no whole character are written `\xc3`."""
        names = [self.vocabulary[code] for code in self._checked(codes)]
        if self.kind not in ("subword", "byte"):
            return names
        return [name if name in SPECIAL else show_bytes(name) for name in names]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token of `encode(text)` stands: text[start:end], in characters.

        Of kind "subword" a blank belongs to the word behind it. Tokens that are parts of one character have its place.
        """
        _check_text(text, "text")
        places, before = [], 0
        for block in blocks(text):
            offsets = self._library.encode(block, add_special_tokens=False).offsets
            places += [(before + start, before + end) for start, end in offsets]
            before += len(block)
        return places

    def to_json(self) -> str:
        """Hugging Face's tokenizer.json: `tokenizers.Tokenizer.from_str` reads it and encodes alike."""
        return self._library.to_str()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The tokenizer that `to_json` wrote; kind and lower case are known by its parts.

        Nothing but the vocabulary is taken from the file, and no pattern from elsewhere is run.

        Raises ArtifactError for a damaged file, one of another make, and one of more than 64 MB.
        """
        kind, vocabulary, merges, lowercase = read_library(text)
        try:
            return cls(kind, vocabulary[len(SPECIAL) :], merges, lowercase=lowercase)
        except ArgumentError as error:
            raise ArtifactError(f"tokenizer.json does not fit together: {error}") from error

    def _checked(self, codes: Iterable[int]) -> list[int]:
        read = [int(code) for code in codes]
        for place, code in enumerate(read):
            if not 0 <= code < len(self):
                raise ArgumentError(f"codes[{place}] is {code}; the tokenizer has codes 0 to {len(self) - 1}")
        return read


def _point_table(codes: dict[str, int]) -> NDArray[np.int64]:
    """The code of each code point; the last entry stands for all behind it."""
    points = {ord(character): code for character, code in codes.items()}
    table = np.full(max(points) + 2, Tokenizer.unknown, np.int64)
    table[list(points)] = list(points.values())
    return table


def _checked(texts: Iterable[str]) -> Iterator[str]:
    if isinstance(texts, str):
        raise ArgumentError("texts is one str; pass an iterable of texts, as [text]")

    def each() -> Iterator[str]:
        for index, text in enumerate(texts):
            _check_text(text, f"texts[{index}]")
            yield text

    return each()


def _check_text(text: object, name: str) -> None:
    if not isinstance(text, str):
        raise ArgumentError(f"{name} is {type(text).__name__}; expected str")
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"{name} holds half of a UTF-16 pair, {text[error.start]!r}, at character {error.start}, which is no "
            "text; read its file again with its true encoding"
        ) from error


def _check_kind(kind: object) -> None:
    if kind not in get_args(TokenKind):
        raise ArgumentError(f"kind is {kind!r}; {nearest(str(kind), get_args(TokenKind))}")


def _check_size(kind: str, size: int | None) -> None:
    if size is None:
        return
    check_count("vocabulary_size", size)
    least = len(SPECIAL) + (len(BYTES) if kind in ("subword", "byte") else 1)
    if size < least:
        raise ArgumentError(f"vocabulary_size is {size}; kind {kind!r} needs {least} codes at least, 4 of them special")


def _check_vocabulary(kind: TokenKind, vocabulary: Sequence[str], merges: Sequence[tuple[str, str]]) -> None:
    known = set(vocabulary)
    if not known or len(known) != len(vocabulary) or not all(isinstance(token, str) and token for token in known):
        raise ArgumentError("vocabulary has no token, one twice, or an empty one; pass each token once")
    if known & set(SPECIAL):
        raise ArgumentError(f"vocabulary holds {sorted(known & set(SPECIAL))}, which are added by themselves")
    if kind == "character" and any(len(token) != 1 for token in known):
        raise ArgumentError("vocabulary holds tokens of several characters; kind 'character' has those of one")
    if kind in ("subword", "byte") and not known.issuperset(BYTES):
        raise ArgumentError(f"vocabulary lacks some of the 256 bytes, which kind {kind!r} needs")
    if (merges and kind != "subword") or (kind == "byte" and len(known) != len(BYTES)):
        raise ArgumentError(f"merges and further tokens do not fit kind {kind!r}; they belong to kind 'subword'")
    for first, second in merges:
        if not {first, second, first + second} <= known:
            raise ArgumentError(f"merges join {first!r} and {second!r}, which or whose sum is not in the vocabulary")
