"""torch's own kernels (oneDNN, cuDNN), for the cells whose equations they compute exactly.

Both directions run forward in time: for the reverse one, each row is reversed within its own length, before and
after. The kernels know a reverse direction only as the second half of a bidirectional run, which would compute the
first half for nothing; and a reversed padded batch must begin at each row's end, not at the batch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from recurra.cells import Cell, State
from recurra.cells.elman import Elman
from recurra.cells.feedback import Feedback
from recurra.cells.gru import GRU
from recurra.cells.lstm import LSTM
from recurra.engines.conditions import Conditions
from recurra.engines.constant import constant_in_traces
from recurra.engines.restarting import run_between_resets
from recurra.engines.turning import turned
from recurra.engines.weights import Weights

__all__ = ["advance", "refusal", "run"]


class _Kernels(NamedTuple):
    sequence: Callable[..., Any]
    step: Callable[..., Any]


_KERNELS: dict[Cell, _Kernels] = {
    LSTM(): _Kernels(torch.lstm, torch.lstm_cell),
    GRU(): _Kernels(torch.gru, torch.gru_cell),
    Elman("tanh"): _Kernels(torch.rnn_tanh, torch.rnn_tanh_cell),
    Elman("relu"): _Kernels(torch.rnn_relu, torch.rnn_relu_cell),
    Feedback("tanh"): _Kernels(torch.rnn_tanh, torch.rnn_tanh_cell),
    Feedback("relu"): _Kernels(torch.rnn_relu, torch.rnn_relu_cell),
}

_KNOWN = {"projection", "CUDA", "half precision", "autocast", "export"}

# What a gate is pushed to in the padding, in signs: shut, or open.
_PUSHES: dict[tuple[Cell, str], float] = {
    (LSTM(), "i"): -1.0,
    (LSTM(), "f"): 1.0,
    (Elman("relu"), "h"): -1.0,
    (Feedback("relu"), "y"): -1.0,
}


def refusal(cell: Cell, needs: frozenset[str] = frozenset()) -> str | None:
    """Why this engine cannot run the cell; None if it can."""
    if cell not in _KERNELS:
        return f"torch has kernels for {', '.join(known.name for known in _KERNELS)} only"
    if "projection" in needs and not isinstance(cell, LSTM):
        return "torch's kernels project the output of lstm only"
    beyond = sorted(needs - _KNOWN)
    if beyond:
        return f"torch's kernels know no {' and no '.join(beyond)}"
    if _is_transformed():
        return "torch's kernels know no vmap and no jvp"
    return None


@constant_in_traces
def _is_transformed() -> bool:
    """Whether a derivative is taken forward, or a transform of torch.func other than grad is under way at any depth;
    grad by itself takes the kernels apart."""
    transforms = torch._C._functorch.get_interpreter_stack() or ()
    grad = torch._C._functorch.TransformType.Grad
    return forward_ad._current_level >= 0 or any(transform.key() != grad for transform in transforms)


def run(
    cell: Cell,
    weights: Weights,
    x: Tensor,
    state: State,
    conditions: Conditions = Conditions(),  # noqa: B008 - a tuple
    *,
    reverse: bool = False,
) -> tuple[Tensor, State]:
    """One layer in one direction, by torch's kernel: arguments and results are those of `reference.run`.

    cuDNN's kernels have no second derivative; use engine "reference" for it on a GPU.
    """
    lengths = conditions.lengths
    if reverse:
        x = turned(x, lengths)
        turned_resets = None if conditions.resets is None else turned(conditions.resets, lengths)
        conditions = conditions._replace(resets=turned_resets)
    y, state = run_between_resets(partial(_run_forward, cell, weights), x, state, conditions)
    return (turned(y, lengths) if reverse else y), state


def advance(
    cell: Cell,
    weights: Weights,
    x_t: Tensor,
    state: State,
    conditions: Conditions = Conditions(),  # noqa: B008 - a tuple
) -> State:
    """One step by torch's kernel: arguments and result are those of `reference.advance`."""
    if not _has_step_kernel(weights, x_t):
        return run(cell, weights, x_t.unsqueeze(0), state, conditions)[1]
    start = tuple(state) if len(state) > 1 else state[0]
    last = _KERNELS[cell].step(x_t, start, weights.input, weights.recurrent, weights.input_bias, weights.recurrent_bias)
    return state._make(last if len(state) > 1 else (last,))


def _has_step_kernel(weights: Weights, x: Tensor) -> bool:
    """torch's kernels of one step know no projection, and on a GPU want biases."""
    return weights.projection is None and not (x.is_cuda and weights.input_bias is None)


def _run_forward(cell: Cell, weights: Weights, x: Tensor, state: State, conditions: Conditions) -> tuple[Tensor, State]:
    if conditions.lengths is not None:
        if x.is_cuda:
            return _run_packed(cell, weights, x, state, conditions.lengths.cpu())
        return _run_padded(cell, weights, x, state, conditions.lengths.to(x.device))
    if len(x) == 1 and _has_step_kernel(weights, x):
        state = advance(cell, weights, x[0], state)
        return state[0].unsqueeze(0), state
    return _call(cell, weights, (x,), state)


def _run_padded(cell: Cell, weights: Weights, x: Tensor, state: State, lengths: Tensor) -> tuple[Tensor, State]:
    """Rows of different lengths, padded: on a CPU torch's packed sequences take other and slower kernels.

    A row's last output is its final h. The memory of an LSTM, which the kernel shows only after the last step of all,
    is made to stand still: one more feature, 1 in the padding, shuts the input gate and opens the forget gate for
    good. The same feature keeps relu, which may grow, at 0 there.
    """
    alive = (torch.arange(len(x), device=x.device)[:, None] < lengths).unsqueeze(-1)  # time batch 1
    x = torch.where(alive, x, 0)  # 0 * NaN is NaN
    push = _push(x)
    pushes = [_PUSHES.get((cell, gate), 0.0) * push for gate in cell.gates]
    if any(pushes):
        x = torch.cat([x, (~alive).to(x.dtype)], -1)
        column = torch.tensor(pushes, dtype=weights.input.dtype, device=x.device)
        rows = column.repeat_interleave(len(weights.input) // len(pushes))
        weights = weights._replace(input=torch.cat([weights.input, rows.unsqueeze(1)], 1))
    y, last = _call(cell, weights, (x,), state)
    y = torch.where(alive, y, 0)
    place = (lengths - 1).clamp(min=0).view(1, -1, 1).expand(1, -1, y.shape[-1])
    h = torch.where(lengths.unsqueeze(1) > 0, y.gather(0, place)[0], state[0].to(y.dtype))
    return y, last._replace(**{cell.states[0]: h})


def _push(x: Tensor) -> float:
    """A number beyond all that equations meet, whose products with gradients are within range too."""
    device = x.device.type
    types = [x.dtype, torch.get_autocast_dtype(device)] if torch.is_autocast_enabled(device) else [x.dtype]
    return max(1e4, min(math.sqrt(torch.finfo(dtype).max) for dtype in types))


def _run_packed(cell: Cell, weights: Weights, x: Tensor, state: State, lengths: Tensor) -> tuple[Tensor, State]:
    """The same by cuDNN, which knows packed rows. It wants the longest first and refuses empty rows: those are left
    out, which leaves their state as it was and their outputs 0."""
    order = lengths.argsort(descending=True, stable=True)
    rows = order[: int((lengths > 0).sum())]
    time, batch, hidden = len(x), x.shape[1], state[0].shape[-1]
    if not len(rows):
        return x.new_zeros(time, batch, hidden), state
    lengths, rows = lengths[rows], rows.to(x.device)
    packed = pack_padded_sequence(x.index_select(1, rows), lengths)
    start = state._make(part.index_select(0, rows) for part in state)
    shown, last = _call(cell, weights, (packed.data, packed.batch_sizes), start)
    padded, _ = pad_packed_sequence(PackedSequence(shown, packed.batch_sizes), total_length=time)
    y = padded.new_zeros(time, batch, hidden).index_copy(1, rows, padded)
    return y, state._make(old.to(new.dtype).index_copy(0, rows, new) for old, new in zip(state, last, strict=True))


def _call(cell: Cell, weights: Weights, sequence: tuple[Tensor, ...], state: State) -> tuple[Tensor, State]:
    """sequence: (x,) of whole rows, or (data, batch_sizes) packed."""
    ordered = (weights.input, weights.recurrent, weights.input_bias, weights.recurrent_bias, weights.projection)
    parameters = [weight for weight in ordered if weight is not None]
    if sequence[0].is_cuda and weights.projection is None:
        _settle(weights, parameters)
    start = [part.unsqueeze(0).contiguous() for part in state]  # the kernels' own layer axis
    # cuDNN drops what the backward pass needs unless told that it trains, which has nothing to do with dropout here.
    trains = torch.is_grad_enabled()
    layout = () if len(sequence) == 2 else (False,)  # batch_first, asked of whole rows only
    y, *last = _KERNELS[cell].sequence(
        *sequence,
        start if len(start) > 1 else start[0],
        parameters,
        weights.input_bias is not None,
        1,  # layers
        0.0,  # dropout
        trains,
        False,  # bidirectional
        *layout,
    )
    return y, state._make(part.squeeze(0) for part in last)


def _settle(weights: Weights, parameters: list[Tensor]) -> None:
    """Lay a recurrence's parameters side by side in memory, as cuDNN wants them, unless they are so already.

    Done here and not when the layer is built, for `.to()`, `deepcopy` and the like part them again. A parameter that
    is computed (a parametrization, a functional call) is left alone: torch copies it, and warns.
    """
    first = parameters[0]
    side_by_side = len({weight.untyped_storage().data_ptr() for weight in parameters}) == 1
    owned = all(isinstance(weight, torch.nn.Parameter) and weight.dtype == first.dtype for weight in parameters)
    if side_by_side or not owned or not torch.backends.cudnn.is_acceptable(first):
        return
    hidden = parameters[1].shape[1]
    mode = {1: 1, 3: 3, 4: 2}[len(first) // hidden]  # cudnnRNNMode_t by gates; relu is laid out as tanh
    # The new storage must outlive this call and be trainable, even if the call itself is only an inference.
    with torch.inference_mode(False), torch.no_grad():
        torch._cudnn_rnn_flatten_weight(
            parameters, len(parameters), weights.input.shape[1], mode, hidden, 0, 1, False, False
        )
