"""What runs a recurrence over time: the reference loop and faster ways that must equal it."""

from recurra.engines.choice import Choice, available, choose, engine, get_engine, is_plain_call, tape
from recurra.engines.conditions import Conditions
from recurra.engines.turning import turned
from recurra.engines.weights import Weights

__all__ = [
    "Choice",
    "Conditions",
    "Weights",
    "available",
    "choose",
    "engine",
    "get_engine",
    "is_plain_call",
    "tape",
    "turned",
]
