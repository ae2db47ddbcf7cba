"""Tokens back to text: words with their blanks, and the letters that stand for bytes."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["BYTES", "join_words", "show_bytes", "to_bytes"]

_CLOSING = frozenset(".,;:!?%)]}»”…、。，！？：；）」』")
_OPENING = frozenset("([{«“¿¡（「『")
_BETWEEN = frozenset("-/‐")
_QUOTES = frozenset("\"'")


def _byte_letters() -> tuple[str, ...]:
    """For each byte a letter that can be seen: itself where Latin-1 shows one, else one from U+0100 on."""
    shown = [byte for byte in range(256) if 0x21 <= byte <= 0x7E or (byte >= 0xA1 and byte != 0xAD)]
    letters = {byte: chr(byte) for byte in shown}
    hidden = (byte for byte in range(256) if byte not in letters)
    letters |= {byte: chr(0x100 + place) for place, byte in enumerate(hidden)}
    return tuple(letters[byte] for byte in range(256))


BYTES = _byte_letters()
"""The letters of bytes 0 to 255, as the byte-level encoding of Radford et al. (2019) has them."""

_BYTE_OF = {letter: byte for byte, letter in enumerate(BYTES)}


def to_bytes(letters: str) -> bytes:
    """The bytes that letters of `BYTES` stand for.

    >>> to_bytes("ĠcafÃ©").decode()
    ' café'
    """
    return bytes(_BYTE_OF[letter] for letter in letters)


def show_bytes(letters: str) -> str:
    r"""What letters of `BYTES` stand for, to be looked at; bytes that make no whole character are written `\xc3`.

    >>> print(show_bytes("ĠcafÃ"))
     caf\xc3
    """
    return to_bytes(letters).decode("utf-8", errors="backslashreplace")


def join_words(words: Iterable[str]) -> str:
    """Words with blanks between them, but none where print has none beside the punctuation.

    >>> join_words(["He", "said", ",", '"', "a", "T", "-", "shirt", "(", "new", ")", '"', "."])
    'He said, "a T-shirt (new)".'
    """
    parts: list[str] = []
    attached, open_quotes = True, set[str]()
    for word in words:
        closes = word in _QUOTES and word in open_quotes
        if not (attached or closes or word in _CLOSING or word in _BETWEEN):
            parts.append(" ")
        parts.append(word)
        attached = word in _OPENING or word in _BETWEEN or (word in _QUOTES and not closes)
        if word in _QUOTES:
            open_quotes ^= {word}
    return "".join(parts)
