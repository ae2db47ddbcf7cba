"""Heads: what turns features into an answer, and measures how far it is from the truth.

A head maps features (..., input_size) to raw outputs (..., raw_size) of any leading axes. `loss` compares raw outputs
with targets, `predict` reads the best guess from them, `sample` draws an answer at random.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.errors import ArgumentError, nearest
from recurra.layers.arguments import check_count
from recurra.layers.head import Head, check_numbers, check_raw, check_shape, check_shares
from recurra.layers.inputs import Embedding, check_codes
from recurra.layers.sampling import check_sampling, check_temperature, draw_classes

__all__ = ["Linear", "Sigmoid", "Softmax"]


class Softmax(Head):
    """One of several classes: the next word, the kind of a sequence, the tag of a step.

        p = softmax(scale * V h + c)                            loss: -log p[target]

    num_classes: codes of the target, 0 to num_classes - 1.
    tied: an Embedding whose table is V too (Press & Wolf 2017); where its vectors have another size than h, h is mapped
        to theirs first, scale * V (P h) + c.
    scale: None: 1; but where V is an Embedding's table, 1 / sqrt(embedding_size) (as Raffel et al. 2020 have it): its
        vectors are N(0, 1), and without it the first loss would lie far above the ln(num_classes) of a guess.
    label_smoothing: share of the target that goes to all classes alike (Szegedy et al. 2016).

    Raises ArgumentError for any invalid argument.

    >>> head = Softmax(4, 3, seed=0)
    >>> raw = head(torch.zeros(5, 2, 4))  # time batch feature
    >>> raw.shape, head.predict(raw).shape
    (torch.Size([5, 2, 3]), torch.Size([5, 2]))
    >>> sure = torch.tensor([0.0, 9.0, 0.0])
    >>> head.predict(sure).item(), round(head.loss(sure, torch.tensor(1)).item(), 4)
    (1, 0.0002)
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        *,
        tied: Embedding | None = None,
        scale: float | None = None,
        label_smoothing: float = 0.0,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_count("num_classes", num_classes)
        smooth = isinstance(label_smoothing, int | float) and not isinstance(label_smoothing, bool)
        if not smooth or not 0 <= label_smoothing < 1:
            raise ArgumentError(f"label_smoothing is {label_smoothing!r}; expected a share from 0 to below 1, as 0.1")
        _check_scale(scale)
        if tied is None:
            super().__init__(input_size, num_classes, seed=seed, device=device, dtype=dtype)
        else:
            _check_tied(tied, num_classes)
            device, dtype = tied.weight.device, tied.weight.dtype
            super().__init__(input_size, tied.embedding_size, bias=False, seed=seed, device=device, dtype=dtype)
            if tied.embedding_size == input_size:
                self.projection = None
            self.bias = nn.Parameter(torch.zeros(num_classes, device=device, dtype=dtype))
            self.raw_size = num_classes
        self.num_classes, self.tied, self.scale, self.label_smoothing = num_classes, tied, scale, label_smoothing

    def predict(self, raw: Tensor) -> Tensor:
        """The likeliest class of each step: (...)."""
        check_raw(raw, self.raw_size)
        return raw.argmax(-1)

    def sample(
        self,
        raw: Tensor,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """A class of each step, (...), with probability softmax(raw / temperature).

        temperature: 0: the likeliest class.
        top_k: draw from so many of the likeliest classes only (Fan et al. 2018); None: from all.
        top_p: of these from the fewest, likeliest first, that together have at least this probability (nucleus
            sampling, Holtzman et al. 2020); None: from all.
        Raises ArgumentError for an invalid argument.
        """
        check_raw(raw, self.raw_size)
        check_sampling(temperature, top_k, top_p, self.num_classes)
        return draw_classes(raw, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)

    def _project(self, features: Tensor) -> Tensor:
        if self.tied is None:
            return super()._project(features if self.scale is None else features * self.scale)
        mapped = features if self.projection is None else self.projection(features)
        scale = 1 / math.sqrt(self.tied.embedding_size) if self.scale is None else self.scale
        return F.linear(mapped * scale, self.tied.weight, self.bias)

    def _check_target(self, raw: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        check_shape(target, raw.shape[:-1], "one code each")
        return check_codes("target", target, self.num_classes, mask=mask)

    def _errors(self, raw: Tensor, target: Tensor) -> Tensor:
        rows = raw.reshape(-1, self.raw_size)
        return F.cross_entropy(rows, target.reshape(-1), reduction="none", label_smoothing=self.label_smoothing)


class Sigmoid(Head):
    """Any of several labels at once: the keys pressed on a piano, the topics of a text.

        p = sigmoid(V h + c)                    loss: -target log p - (1 - target) log(1 - p), a mean over the labels

    num_labels: labels that a step has or has not.

    >>> head = Sigmoid(4, 3, seed=0)
    >>> head.predict(torch.tensor([2.0, -1.0, 0.5]))
    tensor([1., 0., 1.])
    """

    def __init__(
        self,
        input_size: int,
        num_labels: int,
        *,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, check_count("num_labels", num_labels), seed=seed, device=device, dtype=dtype)
        self.num_labels = self.target_size = num_labels

    def predict(self, raw: Tensor) -> Tensor:
        """1 for each label that is likelier than not, else 0: (..., num_labels), in the type of raw."""
        check_raw(raw, self.raw_size)
        return (raw > 0).to(raw.dtype)

    def sample(self, raw: Tensor, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """Each label on its own, 1 with probability sigmoid(raw / temperature), else 0: (..., num_labels).

        Raises ArgumentError for a temperature below 0.
        """
        check_raw(raw, self.raw_size)
        if not check_temperature(temperature):
            return self.predict(raw)
        return torch.bernoulli((raw / temperature).sigmoid(), generator=generator)

    def _check_target(self, raw: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        check_shape(target, raw.shape, "0 or 1 for each label")
        return check_shares("target", target, None if mask is None else mask.unsqueeze(-1)).to(raw.dtype)

    def _errors(self, raw: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(raw, target, reduction="none")


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda y: y,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softplus": F.softplus,
}


class Linear(Head):
    """Numbers: the next value of a series, a position.

        y = g(V h + c)

    output_size: numbers in a step.
    activation: g, "linear", "tanh", "sigmoid", "relu" or "softplus".
    error: "squared", (target - y)^2, whose best guess is the mean; "absolute", |target - y|, whose is the median; or
        "huber", half the squared error up to `delta` and linear beyond (Huber 1964).
    delta: where Huber's error turns linear, in units of the target.

    Its raw outputs are y itself. It knows no spread: what it samples is its guess, whatever the temperature. For one
    with a spread see `Quantiles` and `MixtureDensity`.

    >>> head = Linear(4, 2, activation="tanh", seed=0)
    >>> y = head(torch.zeros(5, 3, 4))  # time batch feature
    >>> head.loss(y, y + 0.5).item()
    0.25
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        activation: str = "linear",
        error: str = "squared",
        delta: float = 1.0,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if activation not in _ACTIVATIONS:
            raise ArgumentError(f"activation is {activation!r}; {nearest(str(activation), _ACTIVATIONS)}")
        errors = ("squared", "absolute", "huber")
        if error not in errors:
            raise ArgumentError(f"error is {error!r}; {nearest(str(error), errors)}")
        if not isinstance(delta, int | float) or isinstance(delta, bool) or not 0 < delta < math.inf:
            raise ArgumentError(f"delta is {delta!r}; expected a number above 0, in units of the target")
        super().__init__(input_size, check_count("output_size", output_size), seed=seed, device=device, dtype=dtype)
        self.output_size = self.target_size = output_size
        self.activation, self.error, self.delta = activation, error, delta

    def predict(self, raw: Tensor) -> Tensor:
        """y, (..., output_size): raw as it is."""
        check_raw(raw, self.raw_size)
        return raw

    def sample(self, raw: Tensor, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """The guess, for there is no spread to draw from.

        Raises ArgumentError for a temperature below 0.
        """
        check_temperature(temperature)
        return self.predict(raw)

    def _project(self, features: Tensor) -> Tensor:
        return _ACTIVATIONS[self.activation](super()._project(features))

    def _check_target(self, raw: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        return check_numbers(target, raw, self.output_size)

    def _errors(self, raw: Tensor, target: Tensor) -> Tensor:
        if self.error == "squared":
            return (target - raw) ** 2
        if self.error == "absolute":
            return (target - raw).abs()
        return F.huber_loss(raw, target, reduction="none", delta=self.delta)


def _check_tied(tied: object, num_classes: int) -> None:
    if not isinstance(tied, Embedding):
        raise ArgumentError(f"tied is {type(tied).__name__}; expected the Embedding whose table the head shares")
    if tied.num_embeddings != num_classes:
        raise ArgumentError(
            f"tied has {tied.num_embeddings} codes, num_classes is {num_classes}; to share a table they must be one"
        )


def _check_scale(scale: object) -> None:
    if scale is None:
        return
    if not isinstance(scale, int | float) or isinstance(scale, bool) or not 0 < scale < math.inf:
        raise ArgumentError(f"scale is {scale!r}; expected a number above 0, or None for the usual one")
