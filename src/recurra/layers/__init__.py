"""Layers: recurrences with parameters, over whole sequences."""

from recurra.layers.convolutional import ConvGRU, ConvLSTM, ConvRecurrent
from recurra.layers.dropin import GRU, LSTM, RNN
from recurra.layers.noise import Noise
from recurra.layers.readout import LeastSquares, RidgeReadout
from recurra.layers.recurrent import Recurrent
from recurra.layers.reservoir import Reservoir
from recurra.layers.series_states import SeriesStates
from recurra.layers.single import GRUCell, LSTMCell, RNNCell

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
