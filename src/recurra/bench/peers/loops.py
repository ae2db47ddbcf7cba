"""Recurrences as a careful PyTorch user writes them where torch.nn has no kernel: plain loops, with all that makes
loops fast.

The input is projected for all steps at once, steps are taken with `unbind` (indexing makes the backward pass quadratic
in time), all gates come from one product that starts at the projected input, masks are drawn once a sequence. On a CPU
one `chunk` of the gates was as fast as any other way to cut or to fuse them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.cells import Cell, State, relu, sigmoid, tanh
from recurra.layers import Recurrent
from recurra.layers.noise import draw_kept, draw_mask

__all__ = ["CoupledLSTM", "CoupledLoop", "LSTMLoop", "NormedLoop", "PeepholeLoop", "ThinnedLoop", "ZoneoutLoop"]


class CoupledLSTM(Cell):
    """A cell that a user may think of: coupled gates, a rectified candidate, an output gate that sees the memory.

    f = sigmoid(W_f x_t + U_f h_(t-1))
    c_t = f * c_(t-1) + (1 - f) * relu(W_g x_t + U_g h_(t-1))
    o = sigmoid(W_o x_t + U_o h_(t-1) + c_t)
    h_t = o * tanh(c_t)
    """

    gates = ("f", "g", "o")
    states = ("h", "c")
    forget_gate = "f"

    def step(self, x: Any, u: Any, s: Any) -> State:
        f = sigmoid(x.f + u.f)
        c = f * s.c + (1 - f) * relu(x.g + u.g)
        o = sigmoid(x.o + u.o + c)
        return State(h=o * tanh(c), c=c)


class LSTMLoop(nn.Module):
    """An LSTM; the loops of its kin change what they do otherwise.

    layer: ours, of one layer in one direction, whose weights the loop begins with.
    probability: with which it drops or keeps.
    """

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    def __init__(self, layer: Recurrent, probability: float = 0.0) -> None:
        super().__init__()
        for name, parameter in layer.named_parameters():
            self.register_parameter(name.removesuffix("_l0"), nn.Parameter(parameter.detach().clone()))
        self.hidden_size, self.probability = self.weight_hh.shape[1], probability

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x: (time, batch, feature). Returns the outputs, and the state (h, c) after the last step."""
        h = c = x.new_zeros(x.shape[1], self.hidden_size)
        self.begin(x)
        outputs = []
        for t, x_t in enumerate(self.read(x).unbind(0)):
            h, c = self.step(t, x_t, h, c)
            outputs.append(h)
        return torch.stack(outputs), (h, c)

    def begin(self, x: Tensor) -> None:
        """What is the same at every step of a sequence."""
        self.transposed = self.weight_hh.t()

    def read(self, x: Tensor) -> Tensor:
        """The projected input of all steps."""
        return F.linear(x, self.weight_ih, self.bias_ih + self.bias_hh)

    def step(self, t: int, x_t: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The equations, from x_t, the projected input."""
        return self.gate(torch.addmm(x_t, h, self.transposed), c)

    def gate(self, projected: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The pointwise part."""
        i, f, g, o = projected.chunk(4, 1)
        c = torch.addcmul(torch.sigmoid(f) * c, torch.sigmoid(i), torch.tanh(g))
        return torch.sigmoid(o) * torch.tanh(c), c


class NormedLoop(LSTMLoop):
    """Layer normalisation of each gate's two projections; the input's is done for all steps at once."""

    gain_ih: Tensor
    gain_hh: Tensor

    def read(self, x: Tensor) -> Tensor:
        normal = self.normalised(F.linear(x, self.weight_ih)) * self.gain_ih
        return normal + (self.bias_ih + self.bias_hh)

    def step(self, t: int, x_t: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return self.gate(torch.addcmul(x_t, self.normalised(h @ self.transposed), self.gain_hh), c)

    def normalised(self, product: Tensor) -> Tensor:
        """Each gate's units to mean 0 and variance 1."""
        return F.layer_norm(product.unflatten(-1, (4, -1)), (self.hidden_size,)).flatten(-2)


class PeepholeLoop(LSTMLoop):
    """Gates that see the memory."""

    p_i: Tensor
    p_f: Tensor
    p_o: Tensor

    def gate(self, projected: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = projected.chunk(4, 1)
        i, f = torch.sigmoid(torch.addcmul(i, self.p_i, c)), torch.sigmoid(torch.addcmul(f, self.p_f, c))
        c = torch.addcmul(f * c, i, torch.tanh(g))
        return torch.sigmoid(torch.addcmul(o, self.p_o, c)) * torch.tanh(c), c


class ZoneoutLoop(LSTMLoop):
    """Units that keep their state at random, drawn for all steps at once, by the layer's own fast way."""

    def begin(self, x: Tensor) -> None:
        super().begin(x)
        shape = (len(x), x.shape[1], self.hidden_size)
        kept = [draw_kept(self.probability, shape, x) for _ in range(2)]
        self.kept_h, self.kept_c = (one.unbind(0) for one in kept if one is not None)

    def step(self, t: int, x_t: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        new_h, new_c = super().step(t, x_t, h, c)
        return torch.where(self.kept_h[t], h, new_h), torch.where(self.kept_c[t], c, new_c)


class ThinnedLoop(LSTMLoop):
    """Recurrent dropout: the recurrent product reads the same units at every step."""

    def begin(self, x: Tensor) -> None:
        super().begin(x)
        mask = draw_mask(self.probability, (x.shape[1], self.hidden_size), x)
        assert mask is not None  # the probability is above 0
        self.mask = mask

    def step(self, t: int, x_t: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return self.gate(torch.addmm(x_t, h * self.mask, self.transposed), c)


class CoupledLoop(LSTMLoop):
    """The user's own cell."""

    def gate(self, projected: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        f, g, o = projected.chunk(3, 1)
        g = torch.relu(g)
        c = torch.lerp(g, c, torch.sigmoid(f))
        return torch.sigmoid(o + c) * torch.tanh(c), c
