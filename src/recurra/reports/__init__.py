"""Figures and the HTML report of a run, drawn from its records only."""

from recurra.reports.figures import write_figures
from recurra.reports.html import write_report
from recurra.reports.record import RunRecord

__all__ = ["RunRecord", "write_figures", "write_report"]
