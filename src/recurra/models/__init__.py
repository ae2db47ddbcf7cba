"""Networks typed by shape: what goes in, what comes out, blind to the task."""

from recurra.models.echo_state import EchoStateNetwork, Forgetting, forgetting, valid_steps
from recurra.models.plan import NetworkOptions, Plan, make_plan
from recurra.models.reservoir_search import Search, Trial, search_reservoir
from recurra.models.window import WindowConfig, WindowNetwork

__all__ = [
    "EchoStateNetwork",
    "Forgetting",
    "NetworkOptions",
    "Plan",
    "Search",
    "Trial",
    "WindowConfig",
    "WindowNetwork",
    "forgetting",
    "make_plan",
    "search_reservoir",
    "valid_steps",
]
