"""Layers: recurrences with parameters, over whole sequences."""

from recurra.layers.attention import AdditiveAttention, Attention, DotAttention, GeneralAttention
from recurra.layers.causal import CausalConvolution
from recurra.layers.convolutional import ConvGRU, ConvLSTM, ConvRecurrent
from recurra.layers.ctc import CTC
from recurra.layers.dense_window import DenseWindow
from recurra.layers.dropin import GRU, LSTM, RNN
from recurra.layers.head import Head
from recurra.layers.heads import Linear, Sigmoid, Softmax
from recurra.layers.inputs import Embedding, OneHot, Real
from recurra.layers.local_attention import LocalAttention
from recurra.layers.mixture import MixtureDensity
from recurra.layers.mulaw import mu_law_decode, mu_law_encode
from recurra.layers.multihead import MultiHeadAttention
from recurra.layers.noise import Noise
from recurra.layers.pasts import Past, Pasts
from recurra.layers.pooling import AttentionPooling, LastPooling, MaxPooling, MeanPooling, Pooling
from recurra.layers.quantiles import Quantiles
from recurra.layers.readout import LeastSquares, RidgeReadout
from recurra.layers.recurrent import Recurrent
from recurra.layers.reservoir import Reservoir
from recurra.layers.series_states import SeriesStates
from recurra.layers.single import GRUCell, LSTMCell, RNNCell
from recurra.layers.tcn import TCN
from recurra.layers.wavenet import WaveNet

__all__ = [
    "CTC",
    "GRU",
    "LSTM",
    "RNN",
    "TCN",
    "AdditiveAttention",
    "Attention",
    "AttentionPooling",
    "CausalConvolution",
    "ConvGRU",
    "ConvLSTM",
    "ConvRecurrent",
    "DenseWindow",
    "DotAttention",
    "Embedding",
    "GRUCell",
    "GeneralAttention",
    "Head",
    "LSTMCell",
    "LastPooling",
    "LeastSquares",
    "Linear",
    "LocalAttention",
    "MaxPooling",
    "MeanPooling",
    "MixtureDensity",
    "MultiHeadAttention",
    "Noise",
    "OneHot",
    "Past",
    "Pasts",
    "Pooling",
    "Quantiles",
    "RNNCell",
    "Real",
    "Recurrent",
    "Reservoir",
    "RidgeReadout",
    "SeriesStates",
    "Sigmoid",
    "Softmax",
    "WaveNet",
    "mu_law_decode",
    "mu_law_encode",
]
