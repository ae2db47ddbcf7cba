"""The short way of one step of a WaveNet: no derivative, all of its layers in one call of C."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn

from recurra.engines import Choice, is_plain_call
from recurra.engines.choice import asked_for
from recurra.engines.compiled import tell_if_there_is_no_compiler
from recurra.engines.wavenet import PARAMETERS, get_step, refusal
from recurra.errors import ArgumentError, RecurraError
from recurra.layers.pasts import Past, Pasts
from recurra.layers.wavenet_module import WaveNetModule

__all__ = ["check_engine", "choose_engine", "step_shortly"]

_FEW = 32  # rows; for more, torch's products are as fast
_GATHERED = 128  # steps whose inputs stay apart before each layer's past takes them in


class _Frame(NamedTuple):
    """What steps have in common whose x has one shape. It holds no values: weights may be changed, moved or replaced.

    key: shape and dtype of x, dtype of the weights, dilations.
    dtype: of the weights. condition: its shape, None without one. blocks: the shape of what each layer remembers.
    parameters: name and shape of each, None for what there is not.
    reads: of each tap of each layer, the layer, how many steps ago it reads, and the row of the block where that lies
        if nothing came after the block.
    row: bytes from one step of a block to the next, and from one layer of common inputs to the next.
    y, inputs: tensors like those that a step makes.
    sizes: as a call begins with. pack, call: the kernel's.
    """

    key: tuple[Any, ...]
    dtype: torch.dtype
    condition: torch.Size | None
    blocks: tuple[torch.Size, ...]
    parameters: tuple[tuple[str, torch.Size | None], ...]
    reads: tuple[tuple[int, int, int], ...]
    row: int
    y: Tensor
    inputs: Tensor
    sizes: tuple[int, ...]
    pack: Callable[..., bytes]
    call: Callable[[bytes], int]


def choose_engine(net: WaveNetModule) -> Choice:
    """Which engine takes the steps of a net here and now, and why."""
    given, known = net._parameters, net._shapes()
    one = given.get("weight_dilated")
    why = None if one is None else refusal(one.dtype, one.device)
    strange = [name for name, shape in known.items() if one is None or not _is_own(given.get(name), shape, one.dtype)]
    if why is None and strange:
        why = f"{', '.join(strange)} is computed, or of another kind than was built"
    if why is None:
        return Choice("compiled", f"all layers in one call, for {_FEW} rows at most")
    return Choice("torch", why)


def check_engine(net: WaveNetModule, rows: int) -> None:
    """Raise ArgumentError if compiled steps are asked for by name and there are none of this net and so many rows."""
    if asked_for() != "compiled":
        return
    choice = choose_engine(net)
    why = choice.why if choice.engine != "compiled" else f"it takes {_FEW} rows at most, x_t has {rows}"
    if choice.engine != "compiled" or rows > _FEW:
        raise ArgumentError(f"engine 'compiled' cannot take this step of a WaveNet: {why}; ask for 'auto' or 'torch'")


def step_shortly(net: WaveNetModule, x_t: Any, state: Any, condition: Any) -> tuple[Tensor, Pasts] | None:
    """What a net's step returns; None where this is not the way, as `choose_engine` says, or an argument is wrong."""
    if torch.is_grad_enabled() or type(x_t) is not Tensor or not is_plain_call():
        return None
    frame: _Frame | None = net.__dict__.get("_frame")
    dtype = getattr(net._parameters.get("weight_dilated"), "dtype", None)
    key = (x_t.shape, x_t.dtype, dtype, tuple(net.dilations))
    if frame is None or frame.key != key:
        frame = net.__dict__["_frame"] = _build(net, key)
    if frame is None or not x_t.is_cpu or x_t.is_neg() or not _is_told(frame, condition):
        return None
    weights = _find_parameters(frame, net._parameters)
    pasts = _begin(frame) if state is None else state
    taps = _find_taps(frame, pasts)
    if taps is None:
        pasts = _tidied(frame, pasts)
        taps = _find_taps(frame, pasts)
    return None if weights is None or taps is None else _run(frame, x_t, pasts, condition, weights, taps)


def _run(
    frame: _Frame, x_t: Tensor, pasts: Pasts, condition: Tensor | None, weights: Sequence[int], taps: Sequence[int]
) -> tuple[Tensor, Pasts] | None:
    """The call. weights, taps: addresses."""
    x_t, c = x_t.contiguous(), None if condition is None else condition.contiguous()
    y, inputs = torch.empty_like(frame.y), torch.empty_like(frame.inputs)
    told = 0 if c is None else c.data_ptr()
    packed = frame.pack(*frame.sizes, x_t.data_ptr(), told, *weights, y.data_ptr(), inputs.data_ptr(), *taps)
    failed = frame.call(packed)
    if failed < 0:
        raise RecurraError("there is no memory for the kernel's buffers; use a smaller batch")
    if failed:  # a class that is none, which the other way says in words
        return None
    recent = (*pasts.recent, inputs)
    after = Pasts(pasts.layers, recent)
    return y, after if len(recent) < _GATHERED else after.parted()


def _build(net: WaveNetModule, key: tuple[Any, ...]) -> _Frame | None:
    """None for x that a step does not take, or too many rows, or without a compiler."""
    shape, kind, dtype, dilations = key
    batch = shape if net.embedding else shape[:-1]
    features = () if net.embedding else (net.input_size,)
    fits = kind is (torch.int64 if net.embedding else dtype) and shape == (*batch, *features) and len(batch) < 2
    if not fits or not 1 <= batch.numel() <= _FEW or refusal(dtype, torch.device("cpu")):
        tell_if_there_is_no_compiler()
        return None
    rows, layers, earlier = batch.numel(), len(dilations), range(net.kernel_size - 1, 0, -1)
    known = net._shapes()
    sizes = (rows, net.input_size, net.output_size, net.channels, net.skip_channels, net.kernel_size, layers)
    count = len(sizes) + 1 + 2 + len(PARAMETERS) + 2 + layers * len(earlier)
    return _Frame(
        key,
        dtype,
        torch.Size((*batch, net.condition_size)) if net.condition_size else None,
        tuple(torch.Size((remembered, *batch, net.channels)) for remembered in net._remembered()),
        tuple((name, torch.Size(known[name]) if name in known else None) for name in PARAMETERS),
        tuple(
            (layer, tap * dilation, (earlier[0] - tap) * dilation)
            for layer, dilation in enumerate(dilations)
            for tap in earlier
        ),
        rows * net.channels * dtype.itemsize,
        torch.empty((*batch, net.output_size), dtype=dtype, device="cpu"),
        torch.empty((layers, *batch, net.channels), dtype=dtype, device="cpu"),
        (*sizes, net.condition_size),
        struct.Struct(f"{count}q").pack,
        get_step(dtype),
    )


def _is_told(frame: _Frame, condition: Any) -> bool:
    """Whether the condition is the one to be given; it may lie in memory in any way."""
    if frame.condition is None or condition is None:
        return frame.condition is condition
    return _is_like(condition, frame.condition, frame.dtype)


def _is_like(one: Any, shape: torch.Size, dtype: torch.dtype) -> bool:
    return type(one) is Tensor and one.shape == shape and one.dtype is dtype and one.is_cpu and not one.is_neg()


def _is_own(one: Tensor | None, shape: Sequence[int], dtype: torch.dtype) -> TypeGuard[Tensor]:
    """Whether a parameter is as it was built, and not computed: by a parametrization, or in pruning."""
    if type(one) is not nn.Parameter and type(one) is not Tensor:
        return False
    return one.shape == shape and one.dtype is dtype and one.is_cpu and one.is_contiguous() and not one.is_neg()


def _find_parameters(frame: _Frame, parameters: Mapping[str, Tensor | None]) -> list[int] | None:
    """Where the parameters are; None if there are others in their place, or of another kind."""
    found = []
    for name, shape in frame.parameters:
        if shape is None:
            found.append(0)
            continue
        one = parameters.get(name)
        if not _is_own(one, shape, frame.dtype):
            return None
        found.append(one.data_ptr())
    return found


def _find_taps(frame: _Frame, pasts: Any) -> list[int] | None:
    """Where what each tap reads is; None if that is not the state, or does not lie row by row."""
    if type(pasts) is not Pasts or len(pasts.layers) != len(frame.blocks):
        return None
    found, layers, recent, row, dtype = [], pasts.layers, pasts.recent, frame.row, frame.dtype
    known, shape = len(recent), frame.inputs.shape
    for layer, ago, place in frame.reads:
        if ago <= known:
            one = recent[-ago]
            if not _is_like(one, shape, dtype) or not one.is_contiguous():
                return None
            found.append(one.data_ptr() + layer * row)
        else:
            past = layers[layer]
            if type(past) is not Past or past.recent:
                return None
            one = past.block
            if not _is_like(one, frame.blocks[layer], dtype) or not one.is_contiguous():
                return None
            found.append(one.data_ptr() + (place + known) * row)
    return found


def _tidied(frame: _Frame, pasts: Any) -> Pasts | None:
    """The state given, all in blocks that lie row by row; None if it is not one for such steps."""
    if type(pasts) is not Pasts or len(pasts.layers) != len(frame.blocks):
        return None
    if not all(_is_like(inputs, frame.inputs.shape, frame.dtype) for inputs in pasts.recent):
        return None
    for past, shape in zip(pasts.layers, frame.blocks, strict=True):
        if type(past) is not Past or not _is_like(past.block, shape, frame.dtype):
            return None
        if not all(_is_like(inputs, shape[1:], frame.dtype) for inputs in past.recent):
            return None
    return Pasts(tuple([Past(past.joined().contiguous()) for past in pasts.parted().layers]))


def _begin(frame: _Frame) -> Pasts:
    return Pasts(tuple([Past(torch.zeros(shape, dtype=frame.dtype, device="cpu")) for shape in frame.blocks]))
