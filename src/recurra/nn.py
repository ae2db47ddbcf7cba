"""Layers under the names that users type."""

from recurra.layers import Recurrent

__all__ = ["Recurrent"]
