import json

import numpy as np
import polars as pl
import pytest

from recurra.data import Columns, CovariateEncoder, Table
from recurra.errors import ArtifactError, DataError, Notice


def table(**columns):
    return Table(pl.DataFrame(columns), "sales.csv", text=True)


def test_numbers_are_standardised_and_words_one_hot():
    data = table(price=["1", "3"], kind=["b", "a"], open=[True, False])
    columns = Columns(future=["price", "kind", "open"])
    encoder = CovariateEncoder.fit(data, columns)
    assert encoder.names(columns.future) == ("price", "kind=a", "kind=b", "open=false", "open=true")
    encoded = encoder.encode(data, columns.future)
    assert encoded.tolist() == [[1, 0, 1, 0, 1], [3, 1, 0, 1, 0]]
    assert encoder.standardize(encoded, columns.future).tolist() == [[-1, 0, 1, 0, 1], [1, 1, 0, 1, 0]]
    assert encoder.categorical(columns.future).tolist() == [False, True, True, True, True]


@pytest.mark.parametrize("value", [0.0, 0.1, -7.0, 1e30, 1e-300])
def test_constants_survive(value):
    data = table(price=[value] * 7)
    encoder = CovariateEncoder.fit(data, Columns(past=["price"]))
    standardized = encoder.standardize(encoder.encode(data, ("price",)), ("price",))
    np.testing.assert_allclose(standardized, 0.0, atol=1e-6 * max(abs(value), 1))


def test_huge_values_stay_finite():
    data = table(price=[1e300, -1e300, 1.0])
    encoder = CovariateEncoder.fit(data, Columns(past=["price"]))
    encoded = encoder.standardize(encoder.encode(data, ("price",)), ("price",))
    assert np.isfinite(encoded).all()
    assert encoded.std() == pytest.approx(1.0)


def test_an_unseen_category_is_all_zeros_with_a_notice():
    encoder = CovariateEncoder.fit(table(kind=["a", "b"]), Columns(past=["kind"]))
    with pytest.warns(Notice) as caught:
        encoded = encoder.encode(table(kind=["a", "c", "c"]), ("kind",))
    assert encoded.tolist() == [[1, 0], [0, 0], [0, 0]]
    assert str(caught[0].message) == (
        "sales.csv line 3: column 'kind' holds 'c', unknown at training; 1 row like it; they are given no category"
    )


def test_missing_cells_are_nan():
    data = table(kind=["a", None, "n/a"], price=["1", "", "2"])
    encoder = CovariateEncoder.fit(data, Columns(past=["kind", "price"]))
    encoded = encoder.encode(data, ("kind", "price"))
    np.testing.assert_array_equal(np.isnan(encoded), [[False, False], [True, True], [True, False]])
    np.testing.assert_allclose(encoder.standardize(encoded, ("kind", "price")), [[1, -1], [0, 0], [0, 1]], atol=1e-6)


def test_text_in_a_mostly_numeric_column_is_a_fault():
    with pytest.raises(DataError, match="line 4: column 'price' holds text where numbers are needed: line 4 'dear'"):
        CovariateEncoder.fit(table(price=["1", "2", "dear"]), Columns(past=["price"]))
    with pytest.raises(DataError, match="line 3: column 'price' is inf"):
        CovariateEncoder.fit(table(price=[1.0, float("inf")]), Columns(past=["price"]))


def test_too_many_categories_are_refused():
    with pytest.raises(DataError, match="column 'kind' has 65 categories, 64 at most can be used; group the rare ones"):
        CovariateEncoder.fit(table(kind=[f"k{i}" for i in range(65)]), Columns(static=["kind"]))


def test_json_round_trip_and_damage():
    encoder = CovariateEncoder.fit(table(kind=["é", "b"], price=[1.0, 4.0]), Columns(past=["kind", "price"]))
    state = json.loads(json.dumps(encoder.to_json()))
    assert CovariateEncoder.from_json(state) == encoder
    for damage in (
        {},
        {"numeric": {"price": [0, 0]}, "vocabulary": {}},
        {"numeric": {"price": 1}, "vocabulary": {}},
        7,
    ):
        with pytest.raises(ArtifactError, match="covariate encoder"):
            CovariateEncoder.from_json(damage)
