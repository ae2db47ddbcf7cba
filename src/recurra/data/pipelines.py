"""What each kind of tokenizer is in the library tokenizers: its parts, how it learns, and its file read back."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from recurra.data.detokenising import BYTES
from recurra.errors import ArtifactError, RecurraError

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

__all__ = [
    "SPECIAL",
    "TokenKind",
    "Written",
    "blocks",
    "build_library",
    "learn_pieces",
    "learn_words",
    "lowercased",
    "read_library",
]

TokenKind = Literal["word", "whitespace", "subword", "character", "byte"]

SPECIAL = ("< pad >", "< unk >", "< begin >", "< end >")
"""The names of codes 0 to 3: with blanks, so that no token of a text is called like them."""

_LETTER = r"[\p{L}\p{N}_&&[^\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]"
_RUN = rf"{_LETTER}(?:{_LETTER}|[\p{{M}}\x{{200c}}\x{{200d}}])*"
_WORD = rf"\p{{N}}+(?:[.,:]\p{{N}}+)+|{_RUN}(?:['’]{_RUN})*|(?!\s)\X"
_CHARACTER = r"(?m:.)"  # m: of Ruby's syntax, the point is a line break too

_PARTS: dict[TokenKind, tuple[str, dict[str, Any]]] = {
    "word": ("WordLevel", {"type": "Split", "pattern": {"Regex": _WORD}, "behavior": "Removed", "invert": True}),
    "whitespace": ("WordLevel", {"type": "WhitespaceSplit"}),
    "subword": ("BPE", {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}),
    "character": (
        "WordLevel",
        {"type": "Split", "pattern": {"Regex": _CHARACTER}, "behavior": "Isolated", "invert": False},
    ),
    "byte": ("BPE", {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}),
}
_LARGEST = 64 * 2**20  # characters of a file
_BLOCK = 1 << 16  # characters: what the library is given at once, since it takes some hundred bytes a character
_LONGEST = 64  # bytes of a subword
_CUT = re.compile(r"(?<=\w)[ \n](?=\w)")  # no token of any kind reaches over it to the word before


class Written(NamedTuple):
    """What a tokenizer's file says."""

    kind: TokenKind
    vocabulary: list[str]
    merges: list[tuple[str, str]]
    lowercase: bool


def build_library(
    kind: TokenKind, vocabulary: Sequence[str], merges: Sequence[tuple[str, str]], *, lowercase: bool
) -> Library:
    """The library's tokenizer of a kind, with `vocabulary` as the tokens of codes 0, 1, ..."""
    tokenizers = _library()
    codes = {token: code for code, token in enumerate(vocabulary)}
    if _PARTS[kind][0] == "BPE":
        model = tokenizers.models.BPE(codes, list(merges))
    else:
        model = tokenizers.models.WordLevel(codes, unk_token=SPECIAL[1])
    library: Library = tokenizers.Tokenizer(model)
    _split(library, kind, lowercase=lowercase)
    if kind in ("subword", "byte"):
        library.decoder = tokenizers.decoders.ByteLevel()
    elif kind == "character":
        library.decoder = tokenizers.decoders.Fuse()
    library.add_special_tokens([tokenizers.AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    library.encode_special_tokens = True  # their spelling in a text is text
    return library


def learn_words(texts: Iterable[str], kind: TokenKind, *, min_count: int, lowercase: bool) -> list[str]:
    """The tokens that occur `min_count` times, the most frequent first, equally frequent ones by their text."""
    if kind == "character":
        counts = Counter[str]()
        for text in texts:
            counts.update(lowercased(text) if lowercase else text)
        kept = [character for character, count in counts.items() if count >= min_count]
        return sorted(kept, key=lambda character: (-counts[character], character))
    tokenizers = _library()
    library = tokenizers.Tokenizer(tokenizers.models.WordLevel())
    _split(library, kind, lowercase=lowercase)
    trainer = tokenizers.trainers.WordLevelTrainer(
        vocab_size=2**31 - 1, min_frequency=min_count, show_progress=False, special_tokens=[]
    )
    library.train_from_iterator((block for text in texts for block in blocks(text)), trainer)
    return _by_code(library.get_vocab(with_added_tokens=False))


def learn_pieces(
    texts: Iterable[str], *, size: int, min_count: int, lowercase: bool
) -> tuple[list[str], list[tuple[str, str]]]:
    """The 256 bytes and what is joined from them, until there are `size` codes; and the pairs joined, in order."""
    tokenizers = _library()
    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    _split(library, "subword", lowercase=lowercase)
    pieces = tokenizers.pre_tokenizers.FixedLength(length=_LONGEST)  # of a word of n letters learning takes n^2 steps
    library.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([library.pre_tokenizer, pieces])
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size - len(SPECIAL),
        min_frequency=min_count,
        show_progress=False,
        special_tokens=[],
        initial_alphabet=list(BYTES),
        max_token_length=_LONGEST,
    )
    library.train_from_iterator((block for text in texts for block in blocks(text)), trainer)
    model = json.loads(library.to_str())["model"]
    return _by_code(model["vocab"]), [_pair(merge) for merge in model["merges"]]


def lowercased(text: str) -> str:
    """The text in lower case, as the library has it: character by character."""
    if text.isascii():
        return text.lower()
    lower: str = _library().normalizers.Lowercase().normalize_str(text)
    return lower


def blocks(text: str) -> Iterator[str]:
    """A text in parts whose tokens, of kinds "word", "whitespace" and "subword", are those of the whole."""
    start = 0
    while start < len(text):
        cut = _CUT.search(text, start + _BLOCK)
        stop = len(text) if cut is None else cut.start()
        yield text[start:stop]
        start = stop


def read_library(text: str) -> Written:
    """What a file in the library's form says, with every part of it checked and none of it run.

    Raises ArtifactError for a damaged file, one of another make, and one of more than 64 MB.
    """
    if not isinstance(text, str) or len(text) > _LARGEST:
        came = f"{len(text):,} characters long" if isinstance(text, str) else type(text).__name__
        raise ArtifactError(f"tokenizer.json is {came}; expected text of up to {_LARGEST:,} characters")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"tokenizer.json is damaged ({str(error)[:80]}); fetch or train it again") from error
    model = data.get("model") if isinstance(data, dict) else None
    if not isinstance(model, dict):
        raise ArtifactError("tokenizer.json has no model; it is not a tokenizer, or damaged: fetch or train it again")
    normalizer = data.get("normalizer")
    lowercase = isinstance(normalizer, dict) and normalizer.get("type") == "Lowercase"
    if not (lowercase or normalizer is None):
        raise _foreign(f"its normalizer is {_name(normalizer)}")
    kind = _kind(model, data.get("pre_tokenizer"))
    merges = model.get("merges", [])
    if not isinstance(merges, list):
        raise _foreign("its merges are no list")
    return Written(kind, _read_vocabulary(model.get("vocab")), [_pair(merge) for merge in merges], lowercase)


def _kind(model: dict[str, Any], splitting: Any) -> TokenKind:
    for kind, (name, parts) in _PARTS.items():
        same = isinstance(splitting, dict) and all(splitting.get(part) == value for part, value in parts.items())
        if same and model.get("type") == name:
            return kind
    raise _foreign(f"its pre_tokenizer is {_name(splitting)} and its model {str(model.get('type'))[:40]!r}")


def _read_vocabulary(codes: Any) -> list[str]:
    numbers = list(codes.values()) if isinstance(codes, dict) else []
    if not all(type(number) is int for number in numbers) or sorted(numbers) != list(range(len(numbers))):
        raise _foreign("its codes are not the numbers from 0 on, each once")
    vocabulary = _by_code(codes) if numbers else []
    if tuple(vocabulary[: len(SPECIAL)]) != SPECIAL:
        raise _foreign(f"its codes 0 to 3 are not {', '.join(SPECIAL)}")
    return vocabulary


def _foreign(why: str) -> ArtifactError:
    return ArtifactError(f"tokenizer.json is not one that recurra wrote: {why}; train one with Tokenizer.train")


def _name(part: Any) -> str:
    return repr(str(part.get("type") if isinstance(part, dict) else part)[:40])


def _pair(merge: Any) -> tuple[str, str]:
    pair = merge.split(" ") if isinstance(merge, str) else merge
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(piece, str) for piece in pair):
        raise _foreign("one of its merges is not a pair of tokens")
    return pair[0], pair[1]


def _by_code(codes: dict[str, int]) -> list[str]:
    return sorted(codes, key=codes.__getitem__)


def _split(library: Library, kind: TokenKind, *, lowercase: bool) -> None:
    """Give the library's tokenizer the parts that cut a text into what its model looks up."""
    tokenizers = _library()
    ways = tokenizers.pre_tokenizers
    if kind in ("subword", "byte"):
        library.pre_tokenizer = ways.ByteLevel(add_prefix_space=False, use_regex=kind == "subword")
    elif kind == "whitespace":
        library.pre_tokenizer = ways.WhitespaceSplit()
    elif kind == "character":
        library.pre_tokenizer = ways.Split(tokenizers.Regex(_CHARACTER), behavior="isolated")
    else:
        library.pre_tokenizer = ways.Split(tokenizers.Regex(_WORD), behavior="removed", invert=True)
    if lowercase:
        library.normalizer = tokenizers.normalizers.Lowercase()


def _library() -> Any:
    try:
        import tokenizers  # some tenths of a second to import, and an extra
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.normalizers
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ModuleNotFoundError as error:
        raise RecurraError("text needs the library tokenizers; pip install recurra[text]") from error
    return tokenizers
