"""Rivals of the recurrent net in the same job: the same windows, loss, training and ensemble, another body."""

from __future__ import annotations

from typing import Literal

from recurra.models.plan import NetworkOptions
from recurra.training.windowed import WindowForecaster

__all__ = ["cnn", "dense"]


def dense(network: WindowForecaster) -> WindowForecaster:
    """`network` with a dense net on the flattened window."""
    return _with_body(network, "dense", "Dense")


def cnn(network: WindowForecaster) -> WindowForecaster:
    """`network` with a causal 1-D convolutional net, dilated over the window's steps."""
    return _with_body(network, "convolution", "CNN")


def _with_body(network: WindowForecaster, body: Literal["dense", "convolution"], name: str) -> WindowForecaster:
    return WindowForecaster(
        NetworkOptions(**{**network.options.model_dump(), "body": body}),
        network.settings,
        name=name,
        loss=network.loss,
        quantiles=network.quantiles,
        members=network.members,
        recorder=network.recorder.within(f"{name.lower()}-"),
    )
