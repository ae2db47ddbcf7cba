"""Layers under the names that users type."""

from recurra.layers import (
    GRU,
    LSTM,
    RNN,
    ConvGRU,
    ConvLSTM,
    ConvRecurrent,
    GRUCell,
    LSTMCell,
    Noise,
    Recurrent,
    RNNCell,
    SeriesStates,
)

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "ConvGRU",
    "ConvLSTM",
    "ConvRecurrent",
    "GRUCell",
    "LSTMCell",
    "Noise",
    "RNNCell",
    "Recurrent",
    "SeriesStates",
]
