"""Linear readouts that are solved for, not descended to: ridge regression at once or in parts, and step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count

__all__ = ["LeastSquares", "RidgeReadout"]

_STRIP = 128  # columns of the products that are computed at once
_WIDEST = 10.0  # how much less may be known of a direction than at the beginning, before that is mended


class Readout(nn.Module):
    """A readout that keeps in float64 what it knows of the steps so far, whatever type its weights are converted to."""

    known: tuple[str, ...]
    """Names of the buffers that stay float64."""

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        before = {name: getattr(self, name) for name in self.known}
        super()._apply(function, recurse)  # type: ignore[no-untyped-call]
        for name, buffer in before.items():
            now: Tensor = getattr(self, name)
            setattr(self, name, now.double() if buffer.is_meta else buffer.to(now.device))
        return self


class RidgeReadout(Readout):
    """A linear readout by ridge regression (Hoerl & Kennard 1970), in closed form.

        y = W s + b      W = C_ys (C_ss + ridge I)^-1,   b = mean(y) - W mean(s)

    C are sums of products of what is left of states s and targets y without their means, so that the ridge leaves b
    alone. They are kept in float64: states may come in parts, in any order, and the ridge may be changed afterwards.
    It reads nothing before `solve`.

    input_size, output_size: features of s and y.
    ridge: how much large weights cost, in squared units of s summed over steps; at least 0.
    bias: whether there is b; without it no means are taken away.

    Raises ArgumentError for an invalid argument.

    >>> readout = RidgeReadout(2, 1, ridge=0.0, dtype=torch.float64)
    >>> s = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    >>> readout.fit(s, 3 * s[:, :1] - s[:, 1:] + 5)
    >>> [round(float(one), 6) for one in (*readout.weight[0], *readout.bias)]
    [3.0, -1.0, 5.0]
    """

    known = ("products", "owed", "sums", "totals", "steps")
    weight: Tensor
    bias: Tensor
    products: Tensor
    owed: Tensor
    sums: Tensor
    totals: Tensor
    steps: Tensor
    solved: Tensor

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        ridge: float = 1e-8,
        bias: bool = True,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size = check_count("input_size", input_size)
        self.output_size = check_count("output_size", output_size)
        self.ridge, self.biased = check_ridge(ridge), bias
        self.register_buffer("weight", torch.zeros(output_size, input_size, dtype=dtype))
        self.register_buffer("bias", torch.zeros(output_size, dtype=dtype))
        for name, shape in self._shapes().items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("solved", torch.tensor(False))

    def forward(self, states: Tensor) -> Tensor:
        """(..., input_size) to (..., output_size).

        Raises ArgumentError if states do not fit, or no weights were solved for.
        """
        check_states(states, self.weight, self.input_size)
        if not torch.compiler.is_compiling() and not self.solved:
            raise ArgumentError("the readout has no weights yet; call fit, or add and then solve, before it reads")
        return nn.functional.linear(states, self.weight, self.bias)

    @torch.no_grad()
    def add(self, states: Tensor, targets: Tensor) -> None:
        """Take in more steps: (..., input_size) and (..., output_size); the weights stay until `solve`.

        Raises ArgumentError if they do not fit each other, or hold what is no finite number.
        """
        s, y = check_pairs(states, targets, self.input_size, self.output_size)
        sums, totals = s.sum(0), y.sum(0)
        for name, total in (("states", sums), ("targets", totals)):
            check_finite(name, total)  # as the sum is if all are, at a fraction of what a look at each costs
        for begin in range(0, self.input_size, _STRIP):  # the upper triangle is the lower's mirror, and nobody reads it
            strip, read = slice(begin, begin + _STRIP), slice(0, begin + _STRIP)
            self.products[strip, read].addmm_(s[:, strip].T, s[:, read])
        self.owed.addmm_(y.T, s)
        self.sums += sums
        self.totals += totals
        self.steps += len(s)

    @torch.no_grad()
    def solve(self, ridge: float | None = None) -> None:
        """Set weights and bias by what was taken in. ridge: another than the readout's own, which it becomes.

        Raises ArgumentError where nothing was taken in, or no unique weights solve it, which a larger ridge mends.
        """
        if ridge is not None:
            self.ridge = check_ridge(ridge)
        if not self.steps:
            raise ArgumentError("solve was called before any step was taken in; call add(states, targets) first")
        products, owed = self.products, self.owed
        if self.biased:
            mean, level = self.sums / self.steps, self.totals / self.steps
            products = products - torch.outer(self.sums, mean)
            owed = owed - torch.outer(self.totals, mean)
        weight = self._solved(products, owed)
        self.weight.copy_(weight)
        if self.biased:
            self.bias.copy_(level - weight @ mean)
        self.solved.fill_(True)

    def fit(self, states: Tensor, targets: Tensor) -> None:
        """`forget`, `add` and `solve` in one."""
        self.forget()
        self.add(states, targets)
        self.solve()

    def forget(self) -> None:
        """Forget what was taken in; weights stay as they are until the next `solve`."""
        for name in self.known:
            getattr(self, name).zero_()

    def extra_repr(self) -> str:
        """The sizes and the ridge."""
        return f"{self.input_size}, {self.output_size}, ridge={self.ridge}"

    def _solved(self, products: Tensor, owed: Tensor) -> Tensor:
        """The weights, (output_size, input_size); of the products the lower triangle is read."""
        held = products + self.ridge * torch.eye(self.input_size, dtype=torch.float64, device=products.device)
        factor, failed = torch.linalg.cholesky_ex(held)
        if not failed:
            return torch.cholesky_solve(owed.T, factor).T
        if not self.ridge:
            raise ArgumentError(
                f"ridge is 0, and {int(self.steps)} steps of {self.input_size} states leave weights open; "
                f"use a ridge, as {max(1e-12 * float(products.diagonal().max()), 1e-12):.0e}"
            )
        values, modes = torch.linalg.eigh(products)  # rounding made some of them negative, which none is
        weight: Tensor = owed @ modes / (values.clamp(min=0) + self.ridge) @ modes.T
        return weight

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the sums."""
        features, outputs = self.input_size, self.output_size
        return {
            "products": (features, features),
            "owed": (outputs, features),
            "sums": (features,),
            "totals": (outputs,),
            "steps": (),
        }


class LeastSquares(Readout):
    """A linear readout that learns at every step by recursive least squares, for streams.

        k = P s / (forgetting + s^T P s)      W <- W + (y - W s) k^T      P <- (P - k s^T P) / forgetting

    After many steps it is what ridge regression of them gives, later steps counting more with forgetting below 1
    (Haykin, Adaptive filter theory, chapter 10; for reservoirs: Jaeger 2002). What inputs say nothing of is not
    forgotten for ever, which would let P grow without bound: when P has grown to ten times what it began with, its
    eigenvalues are cut at 1 / ridge.

    input_size, output_size: features of s and y; a constant feature of 1 is added for the bias.
    ridge: P begins as I / ridge: how little the first steps are believed; above 0.
    forgetting: weight of a step for each one after it, above 0, at most 1; 0.999 looks back a thousand.

    Raises ArgumentError for an invalid argument.

    >>> readout = LeastSquares(1, 1, ridge=1e-6, dtype=torch.float64)
    >>> s = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    >>> errors = readout.update(s, 2 * s + 1)
    >>> round(float(readout(torch.tensor([5.0], dtype=torch.float64))), 3)
    11.0
    """

    known = ("inverse",)
    weight: Tensor
    inverse: Tensor

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        ridge: float = 1e-3,
        forgetting: float = 1.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size = check_count("input_size", input_size)
        self.output_size = check_count("output_size", output_size)
        self.ridge, self.forgetting = check_ridge(ridge), forgetting
        if not self.ridge:
            raise ArgumentError("ridge is 0; expected a number above 0, from which the first steps begin")
        if not isinstance(forgetting, int | float) or isinstance(forgetting, bool) or not 0 < forgetting <= 1:
            raise ArgumentError(f"forgetting is {forgetting!r}; expected a number above 0 and at most 1, as 0.999")
        self.register_buffer("weight", torch.zeros(output_size, input_size + 1, dtype=dtype))
        self.register_buffer("inverse", torch.eye(input_size + 1, dtype=torch.float64) / ridge)

    def forward(self, states: Tensor) -> Tensor:
        """(..., input_size) to (..., output_size); zeros before the first update. Raises ArgumentError if states do not
        fit."""
        check_states(states, self.weight, self.input_size)
        return nn.functional.linear(states, self.weight[:, :-1], self.weight[:, -1])

    @torch.no_grad()
    def update(self, states: Tensor, target: Tensor) -> Tensor:
        """Learn from one step, (input_size,) and (output_size,), or from rows one after the other.

        Returns what was off before, target - y. Raises ArgumentError if they do not fit, or are no finite numbers.
        """
        s, y = check_pairs(states, target, self.input_size, self.output_size)
        check_finite("states", s)
        check_finite("targets", y)
        errors = []
        for row, wanted in zip(s, y, strict=True):
            row = torch.cat([row, row.new_ones(1)])
            error = wanted - self.weight.double() @ row
            moved = self.inverse @ row
            spread = self.forgetting + row @ moved
            self.weight += torch.outer(error, moved / spread).to(self.weight.dtype)
            taken = moved / spread.sqrt()  # so that its square is symmetric to the last bit: else P would diverge
            self.inverse.addr_(taken, taken, alpha=-1)
            if self.forgetting < 1:
                self.inverse /= self.forgetting
                self._bound()
            errors.append(error)
        return torch.stack(errors).view(target.shape).to(target.dtype) if errors else torch.zeros_like(target)

    def extra_repr(self) -> str:
        """The sizes, and how it learns."""
        return f"{self.input_size}, {self.output_size}, ridge={self.ridge}, forgetting={self.forgetting}"

    def _bound(self) -> None:
        """Cut the eigenvalues of P where it has grown too much."""
        if self.inverse.diagonal().max() > _WIDEST / self.ridge:
            values, modes = torch.linalg.eigh(self.inverse)
            cut = (modes * values.clamp(0, 1 / self.ridge)) @ modes.T
            self.inverse.copy_((cut + cut.T) / 2)


def check_ridge(value: object) -> float:
    """The value; raise ArgumentError unless it is a number of at least 0."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or value < 0:  # type: ignore[operator]
        raise ArgumentError(f"ridge is {value!r}; expected a number of at least 0, as 1e-8")
    return float(value)  # type: ignore[arg-type]


def check_states(states: object, weight: Tensor, input_size: int) -> None:
    """Raise ArgumentError unless a readout with such weights can read the states."""
    if not isinstance(states, Tensor) or not states.dim() or states.shape[-1] != input_size:
        came = tuple(states.shape) if isinstance(states, Tensor) else type(states).__name__
        raise ArgumentError(f"states are {came}; expected a tensor (..., {input_size})")
    if states.dtype != weight.dtype and not torch.is_autocast_enabled(states.device.type):
        raise ArgumentError(
            f"states have dtype {states.dtype}, the weights {weight.dtype}; convert one: states.to({weight.dtype})"
        )


def check_finite(name: str, values: Tensor) -> None:
    """Raise ArgumentError if there is NaN or infinity."""
    if not values.isfinite().all():
        raise ArgumentError(f"{name} hold NaN or infinity; leave those steps out")


def check_pairs(states: Tensor, targets: Tensor, input_size: int, output_size: int) -> tuple[Tensor, Tensor]:
    """Both as rows of float64. Raises ArgumentError if they do not fit each other."""
    for name, tensor, size in (("states", states, input_size), ("targets", targets, output_size)):
        if not isinstance(tensor, Tensor) or not tensor.dim() or tensor.shape[-1] != size:
            came = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ArgumentError(f"{name} are {came}; expected a tensor (..., {size})")
    if states.shape[:-1] != targets.shape[:-1]:
        raise ArgumentError(
            f"states are {tuple(states.shape)}, targets {tuple(targets.shape)}; expected one target for each step"
        )
    return states.reshape(-1, input_size).double(), targets.reshape(-1, output_size).double()
