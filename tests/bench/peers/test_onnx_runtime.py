"""What onnxruntime is given computes what our layers do."""

import numpy as np
import pytest
import torch

from recurra.bench.peers import onnx_runtime
from recurra.bench.sizes import Size
from recurra.bench.steps import draw
from recurra.bench.training import build

onnx = pytest.importorskip("onnx")
SIZE = Size(5, 3, 2, 7)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_the_exported_layer_is_valid_and_equal_by_the_reference_of_onnx(kind):
    from onnx.reference import ReferenceEvaluator

    layer, (x, _) = build(kind, Size(5, 1, 2, 7)), draw(Size(5, 1, 2, 7))
    model = onnx_runtime._model(kind, layer.state_dict(), (), ("Y",))
    onnx.checker.check_model(model)
    (y,) = ReferenceEvaluator(model).run(["Y"], {"X": x.numpy()})
    np.testing.assert_allclose(y.reshape(5, 1, 7), layer(x)[0].detach(), atol=1e-6)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_onnxruntime_runs_it_whole_and_step_by_step(kind):
    pytest.importorskip("onnxruntime")
    layer, (x, _) = build(kind, SIZE), draw(SIZE)
    with torch.no_grad():
        y = layer(x)[0]
        state, steps = None, []
        for _ in range(3):
            y_t, state = layer.step(x[0], state)
            steps.append(y_t)
    np.testing.assert_allclose(
        onnx_runtime.forward_pass(kind, layer.state_dict(), x.numpy(), threads=1)(), y, atol=1e-6
    )
    step = onnx_runtime.single_step(kind, layer.state_dict(), x[0].numpy())
    for expected in steps:
        np.testing.assert_allclose(step(), expected, atol=1e-6)
