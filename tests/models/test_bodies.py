"""The body of a forecaster takes every cell."""

import pytest
import torch

from recurra.cells import list_cells
from recurra.models.bodies import RecurrentBody


@pytest.mark.parametrize("cell", list_cells())
def test_every_cell_reads_windows_and_learns(cell):
    torch.manual_seed(0)
    body = RecurrentBody(cell, 3, 8, num_layers=2, dropout=0.1)
    summary = body(torch.randn(4, 6, 3))
    assert summary.shape == (4, 8)
    summary.square().sum().backward()
    gradients = [parameter.grad for parameter in body.parameters()]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert gradients[0].abs().sum() > 0


@pytest.mark.parametrize(("cell", "bias"), [("lstm", 1), ("gru", 0), ("mgu", 0), ("cifg", 1)])
def test_a_gate_called_f_that_keeps_the_memory_begins_open(cell, bias):
    layer = RecurrentBody(cell, 3, 8, num_layers=1, dropout=0.0).layer
    for gate, block in zip(layer.cell.gates, layer.bias_ih_l0.split(8), strict=True):
        assert (block == (bias if gate == "f" else 0)).all()
