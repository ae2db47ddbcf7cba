"""Figures and the HTML report of a run, drawn from its records only; and the diagnosis of a layer."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from recurra.reports.diagnosis import Diagnosis, diagnose

if TYPE_CHECKING:
    from recurra.reports.figures import write_figures
    from recurra.reports.gradients import write_gradients
    from recurra.reports.html import write_report
    from recurra.reports.record import RunRecord

__all__ = ["Diagnosis", "RunRecord", "diagnose", "write_figures", "write_gradients", "write_report"]

# What draws is imported when it is asked for: `import recurra` offers diagnose and waits for no plotting library.
_LATE = {"RunRecord": "record", "write_figures": "figures", "write_gradients": "gradients", "write_report": "html"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
