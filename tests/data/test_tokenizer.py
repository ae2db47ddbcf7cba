"""Codes are what the library's own file gives, and texts come back."""

import copy
import json
import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest

from recurra.data.tokenizer import Tokenizer
from recurra.errors import ArgumentError, ArtifactError, RecurraError

tokenizers = pytest.importorskip("tokenizers")

KINDS = ("word", "whitespace", "subword", "character", "byte")
TEXTS = [
    "The cat sat on the mat. It didn't move, did it?",
    "the dog: 3.14 and 1,000 (well-known) -- 'quoted' \"twice\"",
    "שלום עולם، مرحبا بالعالم! Привет, мир. ΣΊΣΥΦΟΣ İstanbul STRASSE",
    "家族で👨‍👩‍👧‍👦 und 🏳️‍🌈 नमस्ते สวัสดี",
    "tabs\tand\r\nlines\n\n  and blanks  ",
    "NUL\0inside, \x1c and \u200b",
    "<pad> <unk> < pad > < end > </s>",
]


def trained(kind, texts=TEXTS, **options):
    return Tokenizer.train(texts, kind, min_count=1, **options)


def message(error, function, *arguments, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_library_reads_the_file_and_encodes_alike(kind, lowercase):
    tokenizer = trained(kind, lowercase=lowercase)
    library = tokenizers.Tokenizer.from_str(tokenizer.to_json())
    library.encode_special_tokens = True
    texts = [*TEXTS, "quite unseen: ÆØÅ 龍 ΩΣ", "", " ", "a"]
    expected = [library.encode(text).ids for text in texts]
    assert [tokenizer.encode(text) for text in texts] == expected
    assert tokenizer.encode_all(texts) == expected
    assert tokenizer.encode_array(texts[0]).tolist() == expected[0]
    assert library.get_vocab_size() == len(tokenizer)


@pytest.mark.parametrize("kind", ["subword", "character", "byte"])
def test_texts_come_back_to_the_last_blank(kind):
    tokenizer = trained(kind)
    assert [tokenizer.decode(codes) for codes in tokenizer.encode_all(TEXTS)] == TEXTS


@pytest.mark.parametrize("kind", ["subword", "byte"])
def test_nothing_is_unknown_to_bytes(kind):
    tokenizer = Tokenizer.train(["abc"], kind)
    text = "龍 🏳️‍🌈 \0 שלום"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.unknown not in tokenizer.encode(text)


def test_words_are_apart_from_punctuation():
    tokenizer = trained("word")
    text = "Don't pay 1,000.50 for T-shirts... e.g. 12:30?!"
    pieces = [text[start:end] for start, end in tokenizer.spans(text)]
    assert pieces == ["Don't", "pay", "1,000.50", "for", "T", "-", "shirts", *"...", "e", ".", "g", ".", "12:30", *"?!"]


def test_scripts_without_blanks_and_joined_emoji_are_split_by_what_a_reader_counts():
    tokenizer = trained("word")
    text = "家族👨‍👩‍👧‍👦🏳️‍🌈नमस्ते สวั שלום"
    pieces = [text[start:end] for start, end in tokenizer.spans(text)]
    assert pieces == ["家", "族", "👨‍👩‍👧‍👦", "🏳️‍🌈", "नमस्ते", "ส", "วั", "שלום"]


def test_characters_are_code_points():
    tokenizer = Tokenizer.train(["👨‍👩‍👧", "ab"], "character")
    assert len(tokenizer.encode("👨‍👩‍👧")) == 5
    assert tokenizer.spans("a👩b") == [(0, 1), (1, 2), (2, 3)]


def test_codes_go_by_frequency_then_by_text():
    texts = ["b a c", "b d a", "e b d"]
    assert trained("whitespace", texts).vocabulary[4:] == ("b", "a", "d", "c", "e")
    assert trained("whitespace", texts[::-1], vocabulary_size=7).vocabulary[4:] == ("b", "a", "d")
    assert Tokenizer.train(texts, "word").vocabulary[4:] == ("b", "a", "d")  # twice at least
    assert Tokenizer.train(["ba", "cb"], "character").vocabulary[4:] == ("b", "a", "c")
    assert Tokenizer.train(["ab"], "byte").encode("\0a") == [4, 4 + ord("a")]


@pytest.mark.parametrize("kind", KINDS)
def test_special_codes_stand_first_and_no_text_spells_them(kind):
    tokenizer = trained(kind, ["<pad> <pad> < pad >< pad >< unk > < begin > < end >"] * 50)
    assert (tokenizer.padding, tokenizer.unknown, tokenizer.begin, tokenizer.end) == (0, 1, 2, 3)
    assert tokenizer.tokens([0, 1, 2, 3]) == ["< pad >", "< unk >", "< begin >", "< end >"]
    codes = tokenizer.encode("<pad> < pad > < unk > < begin > < end >")
    assert min(codes) >= 4


def test_the_unknown_mark_of_a_tokenised_corpus_is_the_unknown_code():
    tokenizer = Tokenizer.train(["the <unk> sat <unk> <unk>"], "whitespace")
    assert tokenizer.vocabulary[4:] == ("sat", "the")
    assert tokenizer.encode("the <unk> sat") == [5, 1, 4]
    assert tokenizer.decode([5, 1, 4]) == "the <unk> sat"


def test_what_is_unknown_is_written_so():
    assert Tokenizer.train(["ab"], "character").decode([4, 1, 5]) == "a\ufffdb"
    assert Tokenizer.train(["ab"], "byte").decode([4 + 0x61, 1, 4 + 0xC3, 4 + 0x62]) == "a\ufffd\ufffdb"
    tokenizer = trained("word", ["a b"])
    assert tokenizer.encode("a x") == [4, 1]
    assert tokenizer.decode([2, 4, 1, 3, 0, 0]) == "a <unk>"


def test_bytes_of_a_part_of_a_character_can_be_looked_at():
    tokenizer = Tokenizer.train(["x"], "byte")
    codes = tokenizer.encode("xé ")
    assert tokenizer.tokens(codes) == ["x", "\\xc3", "\\xa9", " "]
    assert tokenizer.spans("xé ") == [(0, 1), (1, 2), (1, 2), (2, 3)]


def test_spans_are_places_in_the_text_as_it_was():
    text = "İstanbul, STRASSE\n👩 end"
    tokenizer = trained("word", lowercase=True)
    assert [text[start:end] for start, end in tokenizer.spans(text)] == ["İstanbul", ",", "STRASSE", "👩", "end"]
    letters = Tokenizer.train(["i\u0307s"], "character", lowercase=True)
    assert letters.spans("İs") == [(0, 1), (0, 1), (1, 2)]
    assert letters.decode(letters.encode("İs")) == "i\u0307s"


def test_words_given_as_words_keep_one_code_each():
    tokenizer = trained("whitespace", ["the cat"], lowercase=True)
    assert tokenizer.encode_words(["THE", "cat", "10 000", "< pad >", ""]) == [5, 4, 1, 1, 1]
    assert "kind is 'byte'" in message(ArgumentError, Tokenizer.train(["a"], "byte").encode_words, ["a"])


@pytest.mark.parametrize("kind", KINDS)
def test_files_pickles_and_copies_are_the_tokenizer_again(kind):
    tokenizer = trained(kind, lowercase=True)
    for again in (
        Tokenizer.from_json(tokenizer.to_json()),
        pickle.loads(pickle.dumps(tokenizer)),  # noqa: S301
        copy.deepcopy(tokenizer),
    ):
        assert (again.kind, again.lowercase, again.vocabulary) == (kind, True, tokenizer.vocabulary)
        assert again == tokenizer
        assert again.encode_all(TEXTS) == tokenizer.encode_all(TEXTS)
        assert again.to_json() == tokenizer.to_json()


@pytest.mark.slow
def test_what_is_learnt_does_not_depend_on_threads():
    script = (
        "import sys, zlib; from recurra.data.tokenizer import Tokenizer\n"
        "texts = [' '.join(str(i * j % 97) + 'abcde'[i % 5] for j in range(30)) for i in range(300)]\n"
        "for kind in ('word', 'whitespace', 'subword', 'character'):\n"
        "    tokenizer = Tokenizer.train(texts, kind, vocabulary_size=330)\n"
        "    sys.stdout.write(f'{kind} {len(tokenizer)} {zlib.crc32(tokenizer.to_json().encode())}\\n')\n"
    )
    seen = set()
    for threads in ({"TOKENIZERS_PARALLELISM": "false"}, {"RAYON_NUM_THREADS": "3", "PYTHONHASHSEED": "1"}):
        run = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, check=True, env={**os.environ, **threads}, timeout=120
        )
        seen.add(run.stdout)
    assert len(seen) == 1
    assert seen.pop().count(b" 330 ") == 3  # of characters there are but twenty


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_text_has_the_codes_of_its_parts_and_is_quick(kind):
    tokenizer = trained(kind)
    line = "The cat didn't   sat on 3.14 mats, 'мир' 家族!\n"
    text = line * 20_000  # 0.9 million characters
    start = time.perf_counter()
    codes = tokenizer.encode_array(text)
    assert time.perf_counter() - start < 5
    library = tokenizers.Tokenizer.from_str(tokenizer.to_json())
    assert codes.tolist() == library.encode(text).ids
    assert tokenizer.spans(line * 3000)[-1][1] >= len(line) * 3000 - 1


def test_a_text_without_any_blank_is_encoded_too():
    text = "ab" * 200_000
    assert len(trained("word").encode(text)) == 1
    subwords = Tokenizer.train([text], "subword")
    assert 16 <= max(map(len, subwords.vocabulary)) <= 64
    assert subwords.decode(subwords.encode(text)) == text


def test_wrong_arguments_say_what_to_do():
    assert (
        message(ArgumentError, Tokenizer.train, ["a"], "words") == "kind is 'words'; did you mean 'word' or 'subword'?"
    )
    assert "texts is one str" in message(ArgumentError, Tokenizer.train, "abc", "byte")
    assert "texts[1] is NoneType" in message(ArgumentError, Tokenizer.train, ["a", None], "subword")
    assert "min_count is 0" in message(ArgumentError, Tokenizer.train, ["a"], min_count=0)
    assert "no word token that occurs 2 times" in message(ArgumentError, Tokenizer.train, ["a b", " "])
    assert "needs 260 codes" in message(ArgumentError, Tokenizer.train, ["a"], "subword", vocabulary_size=100)
    assert "needs 5 codes" in message(ArgumentError, Tokenizer.train, ["a"], "word", vocabulary_size=4)
    tokenizer = trained("word", ["a"])
    assert "texts[1] is NoneType; expected str" in message(ArgumentError, tokenizer.encode_all, ["a", None])
    assert "text is bytes" in message(ArgumentError, tokenizer.encode, b"a")
    assert "codes[1] is 5; the tokenizer has codes 0 to 4" in message(ArgumentError, tokenizer.decode, [4, 5])
    assert "codes[0] is -1" in message(ArgumentError, tokenizer.tokens, np.array([-1]))
    assert "half of a UTF-16 pair, '\\ud800', at character 1" in message(ArgumentError, tokenizer.encode, "a\ud800")
    assert "one twice" in message(ArgumentError, Tokenizer, "word", ["a", "a"])
    assert "added by themselves" in message(ArgumentError, Tokenizer, "word", ["a", "< pad >"])
    assert "lacks some of the 256 bytes" in message(ArgumentError, Tokenizer, "subword", ["a"])
    assert "of several characters" in message(ArgumentError, Tokenizer, "character", ["ab"])


def test_damaged_and_foreign_files_are_refused():
    text = trained("subword").to_json()
    whole = json.loads(text)

    def changed(**parts):
        return json.dumps({**whole, **parts})

    assert "is damaged" in message(ArtifactError, Tokenizer.from_json, text[: len(text) // 2])
    assert "is damaged" in message(ArtifactError, Tokenizer.from_json, "[" * 200_000)
    assert "has no model" in message(ArtifactError, Tokenizer.from_json, "[1]")
    assert "is NoneType" in message(ArtifactError, Tokenizer.from_json, None)
    assert "its normalizer is 'NFC'" in message(ArtifactError, Tokenizer.from_json, changed(normalizer={"type": "NFC"}))
    evil = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Removed", "invert": True}
    assert "its pre_tokenizer is 'Split'" in message(ArtifactError, Tokenizer.from_json, changed(pre_tokenizer=evil))
    model = whole["model"]
    for vocab in ({"a": 0}, {"< pad >": 0, "x": 10**12}, [1], {**model["vocab"], "< pad >": True}, {}):
        foreign = message(ArtifactError, Tokenizer.from_json, changed(model={**model, "vocab": vocab}))
        assert "not one that recurra wrote" in foreign
    for merges, why in ((["x"], "not a pair"), ({}, "no list"), ([["Ġ", "qqq"]], "does not fit together")):
        assert why in message(ArtifactError, Tokenizer.from_json, changed(model={**model, "merges": merges}))


def test_a_file_of_more_than_64_mb_is_refused_before_it_is_read():
    assert "67,108,865 characters" in message(ArtifactError, Tokenizer.from_json, " " * (64 * 2**20 + 1))


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    text = message(RecurraError, Tokenizer.train, ["a b"], "word", min_count=1)
    assert text == "text needs the library tokenizers; pip install recurra[text]"
