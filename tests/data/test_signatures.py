"""A file that is no text is told by what it is."""

import gzip
import io
import tarfile
import zipfile

import polars as pl
import pytest

from recurra.data.plain_text import read_plain_text
from recurra.errors import DataError


def parquet():
    file = io.BytesIO()
    pl.DataFrame({"text": ["one", "two"]}).write_parquet(file)
    return file.getvalue()


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "one\ntwo\n")
    return file.getvalue()


def tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("a.txt")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"one\n"))
    return file.getvalue()


FILES = {
    "is Parquet; a language model reads plain text: write its column of texts to a text file": parquet(),
    "is a ZIP archive, as spreadsheets and documents are, too; a language model reads plain text: unpack it, or save "
    "it as text": zipped(),
    "is a tar archive; a language model reads plain text: unpack it, and pass its files": tar(),
    "is PDF; a language model reads plain text: write its text to a text file, as pdftotext does": b"%PDF-1.7\xd4",
    "holds bytes that no text has; a language model reads plain text: save it as text": b"a\0\x01\xd4b",
}


@pytest.mark.parametrize("packed", [False, True], ids=["as it is", "gzip"])
@pytest.mark.parametrize("said", FILES, ids=lambda said: said.partition(";")[0])
def test_a_file_that_is_no_text_is_called_what_it_is(tmp_path, said, packed):
    path = tmp_path / "corpus.txt"
    path.write_bytes(gzip.compress(FILES[said]) if packed else FILES[said])
    with pytest.raises(DataError) as caught:
        read_plain_text(path)
    assert str(caught.value) == f"corpus.txt {said}"


@pytest.mark.parametrize("text", ["PK, he said", "a %PDF- in a text", "BZh"])
def test_a_text_is_read_whatever_it_begins_with(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    assert "".join(read_plain_text(tmp_path / "a.txt").pieces()) == text


def test_wide_characters_are_text(tmp_path):
    (tmp_path / "a.txt").write_bytes("āb\n".encode("utf-16"))  # with bytes of 0 and of 1
    assert "".join(read_plain_text(tmp_path / "a.txt", encoding="utf-16").pieces()) == "āb\n"
