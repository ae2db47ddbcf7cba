"""The conformance suite that any cell passes, ours or yours.

from recurra.testing import check_cell

def test_my_cell():
    check_cell(MyCell)
"""

from recurra.testing.comparing import assert_lawful, assert_within_rounding
from recurra.testing.conformance import check_cell, list_checks, list_options

__all__ = ["assert_lawful", "assert_within_rounding", "check_cell", "list_checks", "list_options"]
