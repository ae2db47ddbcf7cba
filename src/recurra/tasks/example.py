"""The real series that `recurra demo` forecasts."""

from __future__ import annotations

import polars as pl

from recurra.data.files import Table

__all__ = ["co2_table"]


def co2_table() -> Table:
    """Weekly atmospheric CO2 at Mauna Loa, 1958 to 2001: `week` and `co2`, in parts per million by volume.

    59 weeks are missing. Source: Keeling and Whorf (2004), Scripps Institution of Oceanography, as shipped with
    statsmodels.
    """
    from statsmodels.datasets import co2

    data = co2.load_pandas().data
    return Table(pl.DataFrame({"week": data.index.to_numpy(), "co2": data["co2"].to_numpy()}), name="co2")
