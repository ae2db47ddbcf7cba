"""The kernel of a WaveNet's step, called as C has it, and when there is none."""

import struct

import pytest
import torch

from recurra.compiler.toolchain import find_compiler
from recurra.engines.wavenet import PARAMETERS, get_step, refusal
from recurra.testing import assert_within_rounding
from recurra.testing.sampling import draw

with_a_compiler = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")

BATCH, INPUT, OUTPUT, CHANNELS, SKIP, KERNEL, LAYERS, TOLD = 3, 5, 4, 19, 7, 3, 2, 2
SHAPES = (
    *((CHANNELS, INPUT), (CHANNELS,), (LAYERS, 2 * CHANNELS, KERNEL * CHANNELS), (LAYERS, 2 * CHANNELS)),
    *((LAYERS, 2 * CHANNELS, TOLD), (LAYERS - 1, CHANNELS, CHANNELS), (SKIP, LAYERS * CHANNELS), (SKIP,)),
    *((SKIP, SKIP), (SKIP,), (OUTPUT, SKIP), (OUTPUT,)),
)


def call(dtype, x, condition, weights, past, **changed):
    sizes = {"batch": BATCH, "input": INPUT, "output": OUTPUT, "channels": CHANNELS, "skip": SKIP}
    sizes |= {"kernel": KERNEL, "layers": LAYERS, "told": TOLD} | changed
    y = torch.full((BATCH, OUTPUT), torch.nan, dtype=dtype)
    inputs = torch.full((LAYERS, BATCH, CHANNELS), torch.nan, dtype=dtype)
    tensors = (x, condition, *weights, y, inputs, *past)
    addresses = [0 if one is None else one.data_ptr() for one in tensors]
    status = get_step(dtype)(struct.pack(f"{8 + len(addresses)}q", *sizes.values(), *addresses))
    return status, y, inputs


def drawn(dtype):
    weights = {
        name: draw(*shape, seed=at).to(dtype) * 0.3
        for at, (name, shape) in enumerate(zip(PARAMETERS, SHAPES, strict=True))
    }
    past = [draw(BATCH, CHANNELS, seed=20 + at).to(dtype) for at in range(LAYERS * (KERNEL - 1))]
    return draw(BATCH, INPUT).to(dtype), draw(BATCH, TOLD, seed=1).to(dtype), weights, past


@with_a_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_step_follows_its_equations_and_writes_all_of_its_results(dtype):
    x, condition, w, past = drawn(dtype)
    status, y, inputs = call(dtype, x, condition, w.values(), past)
    h, total = x @ w["weight_input"].T + w["bias_input"], w["bias_skip"]
    for layer in range(LAYERS):
        assert_within_rounding(inputs[layer], h)
        read = torch.cat([*past[layer * 2 : layer * 2 + 2], h], 1)
        gates = (
            read @ w["weight_dilated"][layer].T + w["bias_dilated"][layer] + condition @ w["weight_condition"][layer].T
        )
        z = gates[:, :CHANNELS].tanh() * gates[:, CHANNELS:].sigmoid()
        total = total + z @ w["weight_skip"][:, layer * CHANNELS :][:, :CHANNELS].T
        h = h + z @ w["weight_residual"][0].T
    hidden = (total.relu() @ w["weight_hidden"].T + w["bias_hidden"]).relu()
    assert status == 0
    assert_within_rounding(y, hidden @ w["weight_output"].T + w["bias_output"])


@with_a_compiler
def test_what_is_no_number_stays_none_in_its_row():
    x, condition, w, past = drawn(torch.float64)
    _, expected, _ = call(torch.float64, x, condition, w.values(), past)
    x[1, 2] = torch.nan
    _, y, _ = call(torch.float64, x, condition, w.values(), past)
    assert y[1].isnan().all()
    assert torch.equal(y[[0, 2]], expected[[0, 2]])


@with_a_compiler
@pytest.mark.parametrize(("code", "status"), [(0, 0), (10, 0), (11, 1), (-1, 1), (2**62, 1)])
def test_a_class_that_is_none_is_refused_before_it_is_looked_up(code, status):
    _, condition, w, past = drawn(torch.float64)
    table = draw(11, CHANNELS, seed=40)
    weights = (w | {"weight_input": table, "bias_input": None}).values()
    found, _, inputs = call(torch.float64, torch.tensor([1, code, 2]), condition, weights, past, input=11)
    assert found == status
    if not status:
        assert torch.equal(inputs[0], table[[1, code, 2]])


def test_a_traced_step_is_torchs():
    reasons = []

    def step(x):
        reasons.append(refusal(x.dtype, x.device))
        return x + 1

    with torch.no_grad():
        torch.fx.experimental.proxy_tensor.make_fx(step)(torch.zeros(2))
    assert reasons == ["what is traced is to run without this kernel"]
