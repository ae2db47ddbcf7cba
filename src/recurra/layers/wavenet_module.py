"""What a WaveNet is before any sequence comes: its settings and its parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_dtype, check_flag, check_seed
from recurra.layers.causal import draw_uniform

__all__ = ["WaveNetModule"]


class _Views(NamedTuple):
    """Weights turned and parted as a step multiplies with them.

    old: (layer, tap*channel, 2*channel), of inputs before the present one. bias: (layer, 1, 2*channel).
    new: of each layer, (channel, 2*channel). residuals: (channel, channel), None for the last.
    skip, hidden, output: (inputs, outputs).
    """

    old: Tensor
    bias: Tensor
    new: tuple[Tensor, ...]
    residuals: tuple[Tensor | None, ...]
    skip: Tensor
    hidden: Tensor
    output: Tensor


class WaveNetModule(nn.Module):
    """The part of `WaveNet`, which documents the arguments, that no sequence passes through."""

    weight_input: Tensor
    bias_input: Tensor
    weight_dilated: Tensor
    bias_dilated: Tensor
    weight_condition: Tensor
    weight_residual: Tensor
    weight_skip: Tensor
    bias_skip: Tensor
    weight_hidden: Tensor
    bias_hidden: Tensor
    weight_output: Tensor
    bias_output: Tensor

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        channels: int = 32,
        skip_channels: int = 64,
        kernel_size: int = 2,
        dilations: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
        condition_size: int = 0,
        embedding: bool = False,
        batch_first: bool = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, output_size
        self.channels, self.skip_channels, self.kernel_size = channels, skip_channels, kernel_size
        self.dilations, self.condition_size, self.embedding = dilations, condition_size, embedding
        self.batch_first, self.seed = batch_first, seed
        self._check_arguments()
        check_dtype(dtype)
        for name, shape in self._shapes().items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self._count = len(self._parameters)
        self.reset_parameters()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_kept", "_frame")}

    @property
    def receptive_field(self) -> int:
        """Steps from the first that an output depends on to its own, both counted."""
        return 1 + sum(self._remembered())

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as when the net was built."""
        generator = None if self.seed is None else torch.Generator().manual_seed(self.seed)
        for name, shape in self._shapes().items():
            parameter = getattr(self, name)
            if self.embedding and name == "weight_input":
                if not parameter.is_meta:
                    parameter.detach().copy_(torch.empty(shape, dtype=parameter.dtype).normal_(generator=generator))
            elif name.startswith("bias"):
                nn.init.zeros_(parameter)
            else:
                draw_uniform(parameter, math.sqrt(3 / shape[-1]), generator)

    def extra_repr(self) -> str:
        """The constructor's arguments, and what an output depends on."""
        said = [str(self.input_size), str(self.output_size), f"channels={self.channels}"]
        said += [f"skip_channels={self.skip_channels}", f"kernel_size={self.kernel_size}"]
        said += [f"dilations={tuple(self.dilations)}"]
        said += [f"condition_size={self.condition_size}"] if self.condition_size else []
        said += [f"{name}=True" for name in ("embedding", "batch_first") if getattr(self, name)]
        return ", ".join([*said, f"receptive_field={self.receptive_field}"])

    @property
    def _rank(self) -> int:
        """Axes of a batch of sequences."""
        return 2 if self.embedding else 3

    def _views(self) -> _Views:
        """The weights as a step takes them. Without derivatives they are made once for as long as parameters stay where
        they are: being views, they hold what the parameters hold, whoever writes it there."""
        parameters = self._parameters.values()
        fixed = not (torch.is_grad_enabled() or torch.compiler.is_compiling())
        # Weights that are computed, by a parametrization or a function transform, are none of the module's parameters.
        if not fixed or len(parameters) != self._count or {*map(type, parameters)} != {nn.Parameter}:
            return self._make_views()
        places = [(parameter.data_ptr(), parameter.stride()) for parameter in parameters if parameter is not None]
        kept: tuple[list[tuple[int, tuple[int, ...]]], _Views] | None = self.__dict__.get("_kept")
        if kept is None or kept[0] != places:
            kept = self.__dict__["_kept"] = (places, self._make_views())
        return kept[1]

    def _make_views(self) -> _Views:
        old, new = self.weight_dilated.transpose(1, 2).split(((self.kernel_size - 1) * self.channels, self.channels), 1)
        return _Views(
            old,
            self.bias_dilated.unsqueeze(1),
            new.unbind(),
            (*self.weight_residual.transpose(1, 2).unbind(), None),
            self.weight_skip.t(),
            self.weight_hidden.t(),
            self.weight_output.t(),
        )

    def _remembered(self) -> list[int]:
        """Inputs that the state of each layer holds."""
        return [(self.kernel_size - 1) * dilation for dilation in self.dilations]

    def _any_weight(self) -> Tensor:
        return self.weight_dilated

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Of each parameter, in the order in which they are drawn; the last axis of a weight are a unit's inputs."""
        layers, channels, skip, outputs = len(self.dilations), self.channels, self.skip_channels, self.output_size
        shapes: dict[str, tuple[int, ...]] = {"weight_input": (self.input_size, channels)}
        if not self.embedding:
            shapes = {"weight_input": (channels, self.input_size), "bias_input": (channels,)}
        shapes |= {
            "weight_dilated": (layers, 2 * channels, self.kernel_size * channels),
            "bias_dilated": (layers, 2 * channels),
        }
        if self.condition_size:
            shapes["weight_condition"] = (layers, 2 * channels, self.condition_size)
        return shapes | {
            "weight_residual": (layers - 1, channels, channels),
            "weight_skip": (skip, layers * channels),
            "bias_skip": (skip,),
            "weight_hidden": (skip, skip),
            "bias_hidden": (skip,),
            "weight_output": (outputs, skip),
            "bias_output": (outputs,),
        }

    def _check_arguments(self) -> None:
        counts = ("input_size", "output_size", "channels", "skip_channels", "kernel_size")
        for name in counts:
            check_count(name, getattr(self, name))
        if self.kernel_size < 2:
            raise ArgumentError("kernel_size is 1; expected 2 at least, for with 1 no step would see another")
        if not isinstance(self.dilations, list | tuple) or not self.dilations:
            raise ArgumentError(f"dilations is {self.dilations!r}; expected one int for each layer, as (1, 2, 4, 8)")
        for layer, dilation in enumerate(self.dilations):
            check_count(f"dilations[{layer}]", dilation)
        if self.condition_size != 0:
            check_count("condition_size", self.condition_size)
        check_flag("embedding", self.embedding)
        check_flag("batch_first", self.batch_first)
        check_seed(self.seed)
