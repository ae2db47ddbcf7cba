"""torch's kernels behind our arguments, by hand-made cases; the conformance suite compares them with the reference."""

import pytest
import torch

from recurra.cells import Cell, State, get_cell
from recurra.cells.lstm import LSTM
from recurra.engines import native
from recurra.nn import Recurrent


class Other(LSTM):
    def step(self, x, u, s):
        return State(h=s.h + 1, c=s.c)


def test_a_subclass_with_other_equations_is_not_given_to_the_parents_kernel():
    assert native.refusal(LSTM()) is None
    assert native.refusal(Other()) is not None
    y, _ = Recurrent(Other, 1, 2)(torch.zeros(3, 1, 1))
    assert y[:, 0, 0].tolist() == [1, 2, 3]


def test_a_cell_that_bears_the_name_is_not_given_to_the_kernel():
    impostor = type("LSTM", (Cell,), {"gates": ("n",), "states": ("h",), "step": lambda self, x, u, s: State(h=x.n)})
    assert impostor().name == "lstm"
    assert native.refusal(impostor()) is not None


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_lengths_of_any_integer_type_in_any_order(dtype):
    layer, x = Recurrent("gru", 2, 3, seed=0), torch.randn(5, 4, 2)
    y, _ = layer(x, lengths=torch.tensor([1, 0, 5, 3], dtype=dtype))
    assert (y[:, :, 0] != 0).sum(0).tolist() == [1, 0, 5, 3]


def test_gradients_flow_in_evaluation_mode_too():
    for name in ("lstm", "gru", "elman"):
        layer, x = Recurrent(get_cell(name), 2, 3).eval(), torch.randn(3, 2, 2, requires_grad=True)
        layer(x)[0].sum().backward()
        assert x.grad.abs().sum() > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["lstm", "gru", "elman", "elman-relu"])
def test_cudnn_takes_the_weights_without_a_warning_and_computes_the_same(name):
    layer = Recurrent(name, 2, 3, bidirectional=True, seed=0)
    x = torch.randn(5, 4, 2)
    for lengths in (None, [5, 0, 2, 5]):
        expected, _ = layer.cpu()(x, lengths=lengths)
        with torch.inference_mode():
            layer.cuda()(x.cuda(), lengths=lengths)
        y, _ = layer.eval()(x.cuda(), lengths=lengths)
        y.sum().backward()
        assert (y.cpu() - expected).abs().max() < 1e-3  # TF32
        assert torch.isfinite(layer.weight_hh_l0_reverse.grad).all()
        layer.zero_grad()
