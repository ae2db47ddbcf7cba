"""Options that several verbs share."""

import pytest

from recurra.cli.options import no_value


@pytest.mark.parametrize(
    ("given", "meant"),
    [(None, None), ("none", []), ("naive", ["naive"]), ("naive, arima,", ["naive", "arima"]), ("", [])],
)
def test_names_with_commas_between(given, meant):
    assert no_value(given) == meant
