"""Layers: recurrences with parameters, over whole sequences."""

from recurra.layers.recurrent import Recurrent

__all__ = ["Recurrent"]
