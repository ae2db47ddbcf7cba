"""Layers under the names that users type."""

from recurra.layers import (
    GRU,
    LSTM,
    RNN,
    ConvGRU,
    ConvLSTM,
    ConvRecurrent,
    GRUCell,
    LeastSquares,
    LSTMCell,
    Noise,
    Recurrent,
    Reservoir,
    RidgeReadout,
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
    "LeastSquares",
    "Noise",
    "RNNCell",
    "Recurrent",
    "Reservoir",
    "RidgeReadout",
    "SeriesStates",
]
