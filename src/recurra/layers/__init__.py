"""Layers: recurrences with parameters, over whole sequences."""

from recurra.layers.causal import CausalConvolution
from recurra.layers.convolutional import ConvGRU, ConvLSTM, ConvRecurrent
from recurra.layers.dropin import GRU, LSTM, RNN
from recurra.layers.mulaw import mu_law_decode, mu_law_encode
from recurra.layers.noise import Noise
from recurra.layers.pasts import Past, Pasts
from recurra.layers.readout import LeastSquares, RidgeReadout
from recurra.layers.recurrent import Recurrent
from recurra.layers.reservoir import Reservoir
from recurra.layers.series_states import SeriesStates
from recurra.layers.single import GRUCell, LSTMCell, RNNCell
from recurra.layers.tcn import TCN
from recurra.layers.wavenet import WaveNet

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "TCN",
    "CausalConvolution",
    "ConvGRU",
    "ConvLSTM",
    "ConvRecurrent",
    "GRUCell",
    "LSTMCell",
    "LeastSquares",
    "Noise",
    "Past",
    "Pasts",
    "RNNCell",
    "Recurrent",
    "Reservoir",
    "RidgeReadout",
    "SeriesStates",
    "WaveNet",
    "mu_law_decode",
    "mu_law_encode",
]
