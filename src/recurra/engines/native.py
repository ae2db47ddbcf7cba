"""torch's own kernels (oneDNN, cuDNN), for the cells whose equations they compute exactly.

Both directions run forward in time: for the reverse one, each row is reversed within its own length, before and
after. The kernels know a reverse direction only as the second half of a bidirectional run, which would compute the
first half for nothing; and a reversed padded batch must begin at each row's end, not at the batch's.
"""

from __future__ import annotations

from collections.abc import Callable
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
from recurra.engines.restarting import run_parts
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


def refusal(cell: Cell, needs: frozenset[str] = frozenset()) -> str | None:
    """Why this engine cannot run the cell; None if it can."""
    if cell not in _KERNELS:
        return f"torch has kernels for {', '.join(known.name for known in _KERNELS)} only"
    if "projection" in needs and not isinstance(cell, LSTM):
        return "torch's kernels project the output of lstm only"
    beyond = sorted(needs - {"projection"})
    if beyond:
        return f"torch's kernels know no {' and no '.join(beyond)}"
    if _is_transformed():
        return "torch's kernels know no vmap and no jvp"
    return None


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
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
    if len(x) == 1 and lengths is None and conditions.resets is None and _has_step_kernel(weights, x):
        state = advance(cell, weights, x[0], state)
        return state[0].unsqueeze(0), state
    resets = conditions.resets
    if reverse:
        x = turned(x, lengths)
        resets = None if resets is None else turned(resets, lengths)
    if resets is not None and conditions.restart is not None:

        def run_ragged(parts: Tensor, starts: State, counts: Tensor) -> tuple[Tensor, State]:
            return _run_ragged(cell, weights, parts, starts, counts.cpu())

        y, state = run_parts(run_ragged, x, state, lengths, resets, conditions.restart)
    elif lengths is None:
        y, state = _call(cell, weights, (x,), state)
    else:
        y, state = _run_ragged(cell, weights, x, state, lengths.cpu())
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


def _run_ragged(cell: Cell, weights: Weights, x: Tensor, state: State, lengths: Tensor) -> tuple[Tensor, State]:
    """Rows of different lengths, packed. The kernels want the longest first and refuse empty rows: those are left
    out, which leaves their state as it was and their outputs 0."""
    order = lengths.argsort(descending=True, stable=True)
    rows = order[: int((lengths > 0).sum())]
    time, batch, hidden = len(x), x.shape[1], state[0].shape[-1]
    if not len(rows):
        return x.new_zeros(time, batch, hidden), state
    lengths = lengths[rows]
    rows = rows.to(x.device)
    packed = pack_padded_sequence(x.index_select(1, rows), lengths)
    shown, last = _call(
        cell, weights, (packed.data, packed.batch_sizes), state._make(part.index_select(0, rows) for part in state)
    )
    padded, _ = pad_packed_sequence(PackedSequence(shown, packed.batch_sizes), total_length=time)
    y = padded.new_zeros(time, batch, hidden).index_copy(1, rows, padded)
    return y, state._make(old.to(new.dtype).index_copy(0, rows, new) for old, new in zip(state, last, strict=True))


def _call(cell: Cell, weights: Weights, sequence: tuple[Tensor, ...], state: State) -> tuple[Tensor, State]:
    """sequence: (x,) dense, or (data, batch_sizes) packed."""
    ordered = (weights.input, weights.recurrent, weights.input_bias, weights.recurrent_bias, weights.projection)
    parameters = [weight for weight in ordered if weight is not None]
    if sequence[0].is_cuda and weights.projection is None:
        _settle(weights, parameters)
    start = [part.unsqueeze(0).contiguous() for part in state]  # the kernels' own layer axis
    # cuDNN drops what the backward pass needs unless told that it trains, which has nothing to do with dropout here.
    trains = torch.is_grad_enabled()
    layout = () if len(sequence) == 2 else (False,)  # batch_first, asked of dense sequences only
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
