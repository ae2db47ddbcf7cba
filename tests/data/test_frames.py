import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from recurra.data import like, to_table
from recurra.data.frames import add_columns
from recurra.errors import ArgumentError, DataError

POLARS = pl.DataFrame({"ds": [1, 2], "y": [0.5, 0.7], "kind": ["a", "b"]})


@pytest.mark.parametrize("native", [POLARS, POLARS.lazy(), POLARS.to_pandas(), POLARS.to_arrow()], ids=type)
def test_any_frame_becomes_the_same_table(native):
    table = to_table(native)
    assert table.frame.equals(POLARS)
    assert table.at(1) == "frame row 1"


@pytest.mark.parametrize(
    ("native", "kind"),
    [
        (POLARS, pl.DataFrame),
        (POLARS.lazy(), pl.DataFrame),
        ("sales.csv", pl.DataFrame),
        (POLARS.to_pandas(), pd.DataFrame),
        (POLARS.to_arrow(), pa.Table),
    ],
    ids=["polars", "lazy", "path", "pandas", "pyarrow"],
)
def test_results_return_in_the_callers_kind(native, kind):
    back = like(POLARS, native)
    assert isinstance(back, kind)
    assert to_table(back).frame.equals(POLARS)


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.Table])
def test_results_with_lists_return_in_the_callers_kind(kind):
    frame = pl.DataFrame({"tokens": [["New York", "is"], []], "shares": [[0.5, 1.0], None], "id": ["a", "b"]})
    original = pd.DataFrame({"id": ["a", "b"]}) if kind is pd.DataFrame else pa.table({"id": ["a", "b"]})
    back = like(frame, original)
    assert isinstance(back, kind)
    column = back["tokens"] if kind is pd.DataFrame else back.column("tokens").to_pylist()
    assert [list(row) for row in column] == [["New York", "is"], []]
    assert to_table(back).frame.equals(frame)


def test_a_named_pandas_index_becomes_a_column():
    assert to_table(POLARS.to_pandas().set_index("ds")).frame["ds"].to_list() == [1, 2]


@pytest.mark.parametrize(
    "index",
    [[30, 10], ["b", "a"], [7, 7], pd.Index([1.5, 2.5], name="id"), pd.MultiIndex.from_tuples([(1, "x"), (0, "y")])],
    ids=["numbers", "labels", "twice the same", "named", "of levels"],
)
def test_columns_stand_on_the_rows_of_an_index_of_pandas(index):
    frame = pd.DataFrame({"text": ["first", "second"], "n": [0.5, 0.25]}).set_axis(index)
    back = add_columns(to_table(frame), [pl.Series("said", ["1st", "2nd"])], frame)
    assert back.index.equals(frame.index)
    assert back.index.names == frame.index.names
    assert back.columns.tolist() == ["text", "n", "said"]
    frame["said"] = back["said"] if frame.index.is_unique else back["said"].array
    assert frame["said"].tolist() == ["1st", "2nd"]


def test_a_needed_index_of_pandas_stays_an_index():
    frame = pd.DataFrame({"n": [1, 2]}, index=pd.Index(["first", "second"], name="text"))
    table = to_table(frame)
    assert table.frame["text"].to_list() == ["first", "second"]
    back = add_columns(table, [pl.Series("said", ["1st", "2nd"])], frame)
    assert (back.columns.tolist(), back.index.name) == (["n", "said"], "text")


@pytest.mark.parametrize("native", [POLARS, POLARS.lazy(), POLARS.to_arrow(), "sales.csv"], ids=type)
def test_columns_are_added_to_any_frame(native):
    table = to_table(POLARS if isinstance(native, str) else native)
    back = add_columns(table, [pl.Series("said", ["1st", "2nd"]), pl.Series("sure", [0.5, 1.0])], native)
    assert isinstance(back, pa.Table if isinstance(native, pa.Table) else pl.DataFrame)
    assert to_table(back).frame.equals(POLARS.with_columns(said=pl.Series(["1st", "2nd"]), sure=pl.Series([0.5, 1.0])))


def test_other_kinds_are_refused(csv):
    with pytest.raises(ArgumentError, match="data is a dict; pass a path or a polars, pandas or pyarrow frame"):
        to_table({"y": [1]})
    with pytest.raises(DataError, match="frame has no rows"):
        to_table(POLARS.clear())
    with pytest.raises(DataError, match="'y' 2 times; rename one"):
        to_table(pd.DataFrame([[1, 2]], columns=["y", "y"]))
    with pytest.raises(DataError, match="give each column one type"):
        to_table(pd.DataFrame({"y": [1, "a", b"c", {}]}))
    assert to_table(str(csv("ds,y\n1,2\n"))).name == "sales.csv"
