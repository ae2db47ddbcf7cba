"""Networks typed by shape: what goes in, what comes out, blind to the task."""

from recurra.models.plan import NetworkOptions, Plan, make_plan
from recurra.models.window import WindowConfig, WindowNetwork

__all__ = ["NetworkOptions", "Plan", "WindowConfig", "WindowNetwork", "make_plan"]
