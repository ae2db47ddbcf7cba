"""torch's kernels behind our arguments, by hand-made cases; the conformance suite compares them with the reference."""

import pytest
import torch

import recurra
from recurra.cells import Cell, State, get_cell
from recurra.cells.lstm import LSTM
from recurra.engines import native
from recurra.nn import Recurrent
from recurra.testing import assert_within_rounding


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


@pytest.mark.parametrize("engine", ["auto", "torch"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_lengths_of_any_integer_type_in_any_order(dtype, engine):
    layer, x = Recurrent("gru", 2, 3, seed=0), torch.randn(5, 4, 2)
    with recurra.engine(engine):
        y, _ = layer(x, lengths=torch.tensor([1, 0, 5, 3], dtype=dtype))
    assert (y[:, :, 0] != 0).sum(0).tolist() == [1, 0, 5, 3]


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_gradients_flow_in_evaluation_mode_too(engine):
    for name in ("lstm", "gru", "elman"):
        layer, x = Recurrent(get_cell(name), 2, 3).eval(), torch.randn(3, 2, 2, requires_grad=True)
        with recurra.engine(engine):
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


@pytest.mark.parametrize("name", ["auto", "torch", "reference"])
@pytest.mark.parametrize("cell", ["elman-relu", "feedback-relu", "lstm", "gru"])
def test_what_grows_does_not_grow_on_in_the_padding(cell, name):
    """A row that ends early must not overflow behind its end, nor poison a gradient there."""
    layer = Recurrent(cell, 2, 3, seed=0)
    with torch.no_grad():
        for gate in layer.weight_hh_l0.split(3):
            gate.copy_(2 * torch.eye(3))
    x = torch.ones(200, 2, 2)
    x[2:, 1] = -1e6 if cell == "elman-relu" else 1e-3
    lengths = [1, 3]
    with recurra.engine(name):
        y, _ = layer(x, lengths=lengths)
        alone = [layer(x[:length, row : row + 1])[0] for row, length in enumerate(lengths)]
    for row, length in enumerate(lengths):
        assert_within_rounding(y[:length, row], alone[row][:, 0])
    y.sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in layer.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_memory_stands_still_however_large_the_weights(dtype):
    layer = Recurrent("lstm", 2, 3, seed=0, dtype=dtype)
    with torch.no_grad():
        layer.weight_hh_l0.mul_(1e6)
    x = torch.randn(9, 2, 2, generator=torch.Generator().manual_seed(0)).to(dtype)
    with recurra.engine("torch"):
        _, last = layer(x, lengths=[2, 9])
        _, alone = layer(x[:2, :1])
    assert_within_rounding(last.c[:, :1], alone.c)
    assert_within_rounding(last.h[:, :1], alone.h)


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_shuts_the_gates_makes_no_gradient_infinite(dtype):
    layer = Recurrent("lstm", 2, 64, seed=0, dtype=dtype)
    x = torch.randn(9, 3, 2, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    with recurra.engine("torch"), torch.autograd.detect_anomaly(check_nan=True):
        y, last = layer(x, lengths=[2, 9, 0])
        (1e6 * y.sum() - 1e6 * last.c.sum()).backward()
    assert torch.isfinite(x.grad).all()
