"""Inputs: what turns raw steps, codes or numbers, into the features that a recurrence reads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_dtype, check_probability, check_seed
from recurra.layers.lengths import mask_of_lengths
from recurra.layers.noise import draw_mask

__all__ = ["Embedding", "OneHot", "Real", "blank_padding", "check_codes"]


class Embedding(nn.Module):
    """A vector for each code, learned: the row of a table (Bengio et al. 2003).

        v_t = E[x_t]

    num_embeddings: codes that there are, 0 to num_embeddings - 1: words, symbols, categories.
    embedding_size: features of a vector.
    padding: a code whose vector is 0 and is not learned; None: none.
    dropout: probability with which a code is dropped, at all its places in a call; in training only. A sentence that
        says a word twice loses it twice or not at all (Gal & Ghahramani 2016, section 4.2).
    seed: initial vectors, N(0, 1) as torch.nn.Embedding's, come from this seed alone; None: from torch's global
        generator.

    Raises ArgumentError for any invalid argument.

    >>> words = Embedding(10, 4, padding=0, seed=0)
    >>> vectors = words(torch.tensor([[3, 7], [3, 0]]))  # time batch
    >>> vectors.shape, bool((vectors[0, 0] == vectors[1, 0]).all()), vectors[1, 1].tolist()
    (torch.Size([2, 2, 4]), True, [0.0, 0.0, 0.0, 0.0])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_size: int,
        *,
        padding: int | None = None,
        dropout: float = 0.0,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = check_count("num_embeddings", num_embeddings)
        self.embedding_size = check_count("embedding_size", embedding_size)
        check_probability("dropout", dropout)
        check_seed(seed)
        check_dtype(dtype)
        if padding is not None and (
            not isinstance(padding, int) or isinstance(padding, bool) or not 0 <= padding < num_embeddings
        ):
            raise ArgumentError(f"padding is {padding!r}; expected a code from 0 to {num_embeddings - 1}, or None")
        self.padding, self.dropout, self.seed = padding, dropout, seed
        self.weight = nn.Parameter(torch.empty(num_embeddings, embedding_size, device=device, dtype=dtype))
        self.reset_parameters()

    @property
    def output_size(self) -> int:
        """Features of a step."""
        return self.embedding_size

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the vectors anew, as when the layer was built."""
        if not self.weight.is_meta:
            generator = None if self.seed is None else torch.Generator().manual_seed(self.seed)
            # On the CPU, so that a seed means the same on any device.
            drawn = torch.empty(self.weight.shape, dtype=self.weight.dtype, device="cpu")
            self.weight.copy_(drawn.normal_(generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Vectors (..., embedding_size) of codes (...), as (time, batch), of any integer type.

        Raises ArgumentError for numbers that are no integers, and for a code that there is not, with its place.
        """
        codes = check_codes("x", x, self.num_embeddings)
        vectors = F.embedding(codes, self.weight)
        if self.padding is not None:
            # Not by the table's own row, which a tied head may learn.
            vectors = vectors.masked_fill((codes == self.padding).unsqueeze(-1), 0.0)
        kept = draw_mask(self.dropout, (self.num_embeddings,), self.weight) if self.training else None
        return vectors if kept is None else vectors * kept[codes].unsqueeze(-1)

    def extra_repr(self) -> str:
        """The constructor's arguments, those that differ from the defaults."""
        said = f"{self.num_embeddings}, {self.embedding_size}"
        said += f", padding={self.padding}" if self.padding is not None else ""
        return said + (f", dropout={self.dropout}" if self.dropout else "")


class OneHot(nn.Module):
    """A code as a vector of zeros with a single 1, at the code's place.

    num_classes: codes that there are, 0 to num_classes - 1; features of a step.
    dtype: of the vectors; None: torch's default. `.to(dtype)` changes it, though there is nothing to learn.

    Raises ArgumentError for any invalid argument.

    >>> OneHot(3)(torch.tensor([2, 0]))
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """

    _like: Tensor

    def __init__(self, num_classes: int, *, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.num_classes = check_count("num_classes", num_classes)
        check_dtype(dtype)
        self.register_buffer("_like", torch.empty(0, dtype=dtype), persistent=False)

    @property
    def output_size(self) -> int:
        """Features of a step."""
        return self.num_classes

    def forward(self, x: Tensor) -> Tensor:
        """Vectors (..., num_classes) of codes (...), as (time, batch), of any integer type.

        Raises ArgumentError for numbers that are no integers, and for a code that there is not, with its place.
        """
        return F.one_hot(check_codes("x", x, self.num_classes), self.num_classes).to(self._like.dtype)

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return str(self.num_classes)


class Real(nn.Module):
    """Numbers as they are: a series, coordinates, the bands of a spectrum.

    input_size: numbers in a step.

    Raises ArgumentError for any invalid argument.

    >>> Real(2)(torch.zeros(5, 3, 2)).shape
    torch.Size([5, 3, 2])
    """

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.input_size = check_count("input_size", input_size)

    @property
    def output_size(self) -> int:
        """Features of a step."""
        return self.input_size

    def forward(self, x: Tensor) -> Tensor:
        """x itself, (..., input_size), as (time, batch, input_size).

        Raises ArgumentError if x is no tensor of floating-point numbers, so many a step.
        """
        if not isinstance(x, Tensor):
            raise ArgumentError(f"x is {type(x).__name__}; expected a tensor (..., {self.input_size})")
        if not x.is_floating_point():
            raise ArgumentError(
                f"x has dtype {x.dtype}; expected floating-point numbers: x.to(torch.float32), or Embedding or OneHot "
                f"for codes"
            )
        if x.dim() < 1 or x.shape[-1] != self.input_size:
            column = "; a single series needs a last axis: x.unsqueeze(-1)" if self.input_size == 1 else ""
            raise ArgumentError(
                f"x has shape {tuple(x.shape)}; the last axis must have input_size, {self.input_size} numbers{column}"
            )
        return x

    def extra_repr(self) -> str:
        """The constructor's arguments."""
        return str(self.input_size)


def check_codes(
    name: str,
    codes: object,
    count: int,
    *,
    first: int = 0,
    mask: Tensor | None = None,
    advice: str = "map what is unknown to a code of its own",
) -> Tensor:
    """The codes as int64.

    count: codes that there are, from `first` on.
    mask: where to look, in the shape of the codes; None: everywhere.
    advice: how to mend a code that there is not.
    Raises ArgumentError, which names the first offender's place, unless all are integers in that range.
    """
    if not isinstance(codes, Tensor):
        raise ArgumentError(f"{name} is {type(codes).__name__}; expected a tensor of codes, as torch.tensor([3, 1])")
    if codes.dtype == torch.bool or codes.is_floating_point() or codes.is_complex():
        raise ArgumentError(f"{name} has dtype {codes.dtype}; expected codes, which are integers: {name}.long()")
    codes = codes.long()
    if torch.compiler.is_compiling():  # which cannot look at values
        return codes
    wrong = (codes < first) | (codes >= first + count)
    wrong = wrong if mask is None else wrong & mask
    if bool(wrong.any()):
        place = tuple(wrong.nonzero()[0].tolist())
        among = f", one of {int(wrong.sum())} out of range" if int(wrong.sum()) > 1 else ""
        raise ArgumentError(
            f"{name}[{', '.join(map(str, place))}] is {int(codes[place])}{among}; expected {first} to "
            f"{first + count - 1}; {advice}"
        )
    return codes


def blank_padding(x: Tensor, lengths: Any, *, batch_first: bool) -> Tensor:
    """Raw steps with zeros behind each row's end, so that no input trips over what stands there.

    x: codes (time, batch) or rows of codes or numbers (time, batch, size), batch first if batch_first, or without a
        batch: codes (time,) or numbers (time, size).
    Raises ArgumentError unless lengths are one integer from 0 to time for each row.
    """
    if lengths is None or not isinstance(x, Tensor):
        return x
    vectors = x.is_floating_point() or x.dim() == 3
    shape = x.shape[:-1] if vectors else x.shape
    mask = mask_of_lengths(lengths, shape=shape, batch_first=batch_first, device=x.device)
    return x if mask is None else x.masked_fill(~(mask.unsqueeze(-1) if vectors else mask), 0)
