"""The recurrent layer: any cell, stacked, in one or both directions, over sequences of any lengths."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from recurra.cells import Cell, State, get_cell
from recurra.engines import Weights, choose, get_engine
from recurra.errors import ArgumentError, Notice
from recurra.layers.arguments import check_count, check_flag, check_probability, check_seed
from recurra.layers.packing import pack_like, unpack
from recurra.layers.shapes import check_sequence, check_state, check_step, read_lengths

__all__ = ["Recurrent"]


class Recurrent(nn.Module):
    """A recurrence over time, with torch.nn's parameters: same names, layout, order and initial values.

        h_t = step(W_ih x_t + b_ih, W_hh h_(t-1) + b_hh, state_(t-1))

    cell: a name from `recurra.cells.list_cells()`, a Cell subclass, or a cell.
    input_size, hidden_size: features of x and of the output.
    num_layers: recurrences on top of each other; each reads the outputs of the one below.
    bias: whether the two projections have biases.
    batch_first: x and y are (batch, time, feature) and not (time, batch, feature); states are the same either way.
    dropout: probability with which elements between two layers are zeroed in training.
    bidirectional: a second recurrence per layer reads from the end; outputs are joined, 2 * hidden_size.
    seed: initial weights come from this seed alone; None: from torch's global generator. `seed=0` gives what
        torch.manual_seed(0) gives, on any device.

    Raises ArgumentError for any invalid argument. Dropout with one layer does nothing, which a Notice says.

    >>> layer = Recurrent("lstm", 3, 8, seed=0)
    >>> y, state = layer(torch.zeros(5, 2, 3))  # time batch feature
    >>> y.shape, state.c.shape
    (torch.Size([5, 2, 8]), torch.Size([1, 2, 8]))
    >>> y_t, state = layer.step(torch.zeros(2, 3), state)
    >>> y_t.shape
    torch.Size([2, 8])
    """

    def __init__(
        self,
        cell: str | type[Cell] | Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.cell = get_cell(cell)
        for name, count in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            check_count(name, count)
        for name, flag in (("bias", bias), ("batch_first", batch_first), ("bidirectional", bidirectional)):
            check_flag(name, flag)
        check_probability("dropout", dropout)
        check_seed(seed)
        if dropout and num_layers == 1:
            warnings.warn(f"dropout={dropout} acts between layers, and num_layers is 1: it does nothing", Notice, 2)
        if dtype is not None and not dtype.is_floating_point:
            raise ArgumentError(f"dtype is {dtype}; expected a floating-point type, as torch.float32")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.seed = seed
        self._create(device, dtype)
        self.reset_parameters()

    @property
    def num_directions(self) -> int:
        """2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    def reset_parameters(self) -> None:
        """Draw all parameters anew, uniform within 1/sqrt(hidden_size) of 0, as torch.nn's recurrences do."""
        bound = 1 / math.sqrt(self.hidden_size)
        generator = None if self.seed is None else torch.Generator().manual_seed(self.seed)
        with torch.no_grad():
            for parameter in self.parameters():
                if generator is None or parameter.is_meta:
                    parameter.uniform_(-bound, bound)
                else:
                    drawn = torch.empty(parameter.shape, dtype=parameter.dtype)  # on the CPU: the same on any device
                    parameter.copy_(drawn.uniform_(-bound, bound, generator=generator))

    def forward(
        self,
        x: Tensor | PackedSequence,
        state: State | tuple[Tensor, ...] | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Outputs of every time step, and the state after the last.

        x: (time, batch, feature), or (batch, time, feature) if batch_first; or unbatched, (time, feature); or packed.
        state: where to begin, (layers*directions, batch, hidden) per field; None: zeros.
        lengths: steps of each row, 0 to time; None: all. Outputs past a row's end are 0, its final state is the one
            at its end, and the reverse direction begins there. What x holds past the end does not matter.
        Returns (y, state): y in the form of x with hidden_size * directions features, the state in the form given.
        Raises ArgumentError if a shape, dtype, device or length does not fit.
        """
        if isinstance(x, PackedSequence):
            return self._forward_packed(x, state, lengths)
        weight = self._weights(0, 0).input
        check_sequence(x, input_size=self.input_size, batch_first=self.batch_first, weight=weight)
        if x.dim() == 2:
            initial = self._initial(state, x, None)
            widened = initial._make(part.unsqueeze(1) for part in initial)
            y, last = self._run(x.unsqueeze(1), widened, read_lengths(lengths, batch=1, time=len(x)))
            return y.squeeze(1), last._make(part.squeeze(1) for part in last)
        if self.batch_first:
            x = x.transpose(0, 1)
        time, batch, _ = x.shape
        y, last = self._run(x, self._initial(state, x, batch), read_lengths(lengths, batch=batch, time=time))
        return (y.transpose(0, 1) if self.batch_first else y), last

    def step(self, x_t: Tensor, state: State | tuple[Tensor, ...] | None = None) -> tuple[Tensor, State]:
        """One time step, for streams; step by step equals the whole sequence.

        x_t: (batch, feature) or (feature,).
        state: what the last step returned; None at the beginning.
        Returns (y_t, state): (batch, hidden) or (hidden,), and the state to pass to the next step.
        Raises ArgumentError if a shape does not fit or the layer is bidirectional.
        """
        if self.bidirectional:
            raise ArgumentError(
                "step was called on a bidirectional layer, whose outputs depend on the future; "
                "call the layer on the whole sequence, or build it with bidirectional=False"
            )
        check_step(x_t, input_size=self.input_size, weight=self._weights(0, 0).input)
        batch = len(x_t) if x_t.dim() == 2 else None
        initial = self._initial(state, x_t, batch)
        if batch is not None:
            y, last = self._run(x_t.unsqueeze(0), initial, None)
            return y.squeeze(0), last
        y, last = self._run(x_t[None, None], initial._make(part.unsqueeze(1) for part in initial), None)
        return y[0, 0], last._make(part.squeeze(1) for part in last)

    def initial_state(self, batch: int | None = None) -> State:
        """The zeros that a sequence begins with: (layers*directions, batch, hidden), without batch if None."""
        weight = self._weights(0, 0).input
        return self.cell.by_state(weight.new_zeros(self._state_shape(batch)) for _ in self.cell.states)

    def explain(self) -> str:
        """Which engine runs each layer here and now, and why; one line per layer.

        >>> from recurra import engine
        >>> with engine("reference"):
        ...     print(Recurrent("gru", 1, 2).explain())
        layer 0: gru by reference (asked for by name)
        """
        choice = choose(self.cell)
        both = ", both directions" if self.bidirectional else ""
        return "\n".join(
            f"layer {layer}: {self.cell.name}{both} by {choice.engine} ({choice.why})"
            for layer in range(self.num_layers)
        )

    def extra_repr(self) -> str:
        """The constructor's arguments, those that differ from the defaults."""
        said = [repr(self.cell.name), str(self.input_size), str(self.hidden_size)]
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0, "bidirectional": False}
        said += [f"{name}={getattr(self, name)}" for name, usual in defaults.items() if getattr(self, name) != usual]
        return ", ".join(said)

    def _create(self, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
        """Empty parameters, in torch's order, by which initial values are drawn."""
        rows = len(self.cell.gates) * self.hidden_size
        for layer in range(self.num_layers):
            features = self.input_size if layer == 0 else self.hidden_size * self.num_directions
            for direction in range(self.num_directions):
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (rows, features),
                    "weight_hh": (rows, self.hidden_size),
                }
                if self.bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                for name, shape in shapes.items():
                    empty = torch.empty(shape, device=device, dtype=dtype)
                    self.register_parameter(_parameter_name(name, layer, direction), nn.Parameter(empty))

    def _weights(self, layer: int, direction: int) -> Weights:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if self.bias else ("weight_ih", "weight_hh")
        return Weights(*(getattr(self, _parameter_name(name, layer, direction)) for name in names))

    def _run(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        """All layers and directions. x: (time, batch, feature)."""
        run = get_engine(choose(self.cell).engine).run
        finals: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(self.num_directions):
                start = state._make(part[len(finals)] for part in state)  # batch hidden, per field
                weights = self._weights(layer, direction)
                y, final = run(self.cell, weights, x, start, lengths=lengths, reverse=direction == 1)
                outputs.append(y)
                finals.append(final)
            x = torch.cat(outputs, -1) if self.bidirectional else outputs[0]  # time batch directions*hidden
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, state._make(torch.stack(parts) for parts in zip(*finals, strict=True))

    def _forward_packed(
        self, packed: PackedSequence, state: State | tuple[Tensor, ...] | None, lengths: Tensor | Sequence[int] | None
    ) -> tuple[PackedSequence, State]:
        if lengths is not None:
            raise ArgumentError("lengths was passed with a packed x, which holds its own; pass one of them")
        x, steps = unpack(packed)
        check_sequence(x, input_size=self.input_size, batch_first=False, weight=self._weights(0, 0).input)
        time, batch, _ = x.shape
        y, last = self._run(x, self._initial(state, x, batch), read_lengths(steps, batch=batch, time=time))
        return pack_like(y, steps, packed), last

    def _initial(self, state: State | tuple[Tensor, ...] | None, x: Tensor, batch: int | None) -> State:
        shape = self._state_shape(batch)
        if state is None:
            return self.cell.by_state(x.new_zeros(shape) for _ in self.cell.states)
        return check_state(state, self.cell, expected=shape, x=x)

    def _state_shape(self, batch: int | None) -> tuple[int, ...]:
        stacked = self.num_layers * self.num_directions
        return (stacked, self.hidden_size) if batch is None else (stacked, batch, self.hidden_size)


def _parameter_name(name: str, layer: int, direction: int) -> str:
    """torch's: weight_ih_l0, weight_ih_l0_reverse."""
    return f"{name}_l{layer}{'_reverse' if direction else ''}"
