"""Steps of a WaveNet by one call of C for all of its layers: whether that can be here, and the function."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch

from recurra.compiler.build import load_library
from recurra.compiler.emit import emit_wavenet
from recurra.compiler.toolchain import find_compiler, why_no_compiler
from recurra.engines import compiled
from recurra.engines.choice import asked_for, is_plain_call

__all__ = ["PARAMETERS", "get_step", "refusal"]

PARAMETERS = (
    *("weight_input", "bias_input", "weight_dilated", "bias_dilated", "weight_condition", "weight_residual"),
    *("weight_skip", "bias_skip", "weight_hidden", "bias_hidden", "weight_output", "bias_output"),
)
"""In the order in which `c/wavenet.h` takes their addresses, 0 for what there is not."""


def refusal(dtype: torch.dtype, device: torch.device) -> str | None:
    """Why torch takes the steps of weights of that kind here and now; None if a kernel takes them."""
    if asked_for() not in ("auto", "compiled"):
        return f"engine {asked_for()!r} is asked for"
    if device.type != "cpu":
        return "kernels are compiled for the CPU"
    if dtype not in (torch.float32, torch.float64):
        return "kernels are compiled for float32 and float64"
    if torch._C._is_any_autocast_enabled():
        return "kernels are compiled for float32 and float64, autocast asks for less"
    if torch.compiler.is_compiling() or compiled.is_traced():
        return "what is traced is to run without this kernel"
    if torch.is_grad_enabled():
        return "this kernel gives no derivatives: take steps under torch.no_grad()"
    if not is_plain_call():
        return "kernels know no transforms of torch.func and no forward mode"
    return why_no_compiler() if find_compiler() is None else None


@cache
def get_step(dtype: torch.dtype) -> Any:
    """`recurra_wavenet_step` of `c/wavenet.h`, which takes the bytes of a call; it is built if it must be.

    Its result is 0, or 1 if x holds a class that is none, or -1 if there is no memory. Raises BuildError.
    """
    bits = dtype.itemsize * 8
    function = load_library(emit_wavenet(bits), f"wavenet{bits}").recurra_wavenet_step
    function.restype = ctypes.c_int
    return function
