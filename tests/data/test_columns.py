import polars as pl
import pytest

from recurra.data import Columns, Table
from recurra.errors import ArgumentError, DataError


def table(*names):
    return Table(pl.DataFrame({name: [1] for name in names}), "sales.csv", text=True)


def test_one_column_has_one_role():
    with pytest.raises(ArgumentError, match="column 'price' is both future and past; give it one role"):
        Columns(future=("price",), past=("price",))
    with pytest.raises(ArgumentError, match="column 'y' is both target and static"):
        Columns(static=["y"])


def test_text_in_place_of_a_list_is_refused():
    with pytest.raises(ArgumentError, match=r"future is the text 'price'; pass a list of columns, \['price'\]"):
        Columns(future="price")


def test_a_missing_column_gets_its_nearest_names():
    with pytest.raises(DataError) as caught:
        Columns(target="slaes").resolve(table("unique_id", "ds", "sales"))
    assert str(caught.value) == (
        "sales.csv has no column 'slaes' for the target; did you mean 'sales'? Choose one with target=..."
    )


def test_without_the_default_id_column_the_table_is_one_series():
    assert Columns().resolve(table("ds", "y")).id is None
    with pytest.raises(
        DataError, match=r"no column 'shop' for the id; there are: 'ds', 'y'\. Choose one with series=\.\.\."
    ):
        Columns(id="shop").resolve(table("ds", "y"))
