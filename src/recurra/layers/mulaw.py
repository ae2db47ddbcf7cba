"""The mu-law: sound as a few hundred classes, finer where it is quiet."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count

__all__ = ["mu_law_decode", "mu_law_encode"]


def mu_law_encode(x: Tensor, classes: int = 256) -> Tensor:
    """Samples as classes, by the curve that ITU-T G.711 approximates by segments.

        f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu)        mu = classes - 1
        code = round((f(x) + 1) / 2 * mu)

    x: samples from -1 to 1, of any shape.
    classes: how many there are, 2 at least.
    Returns int64 in the shape of x, 0 to classes - 1: -1 becomes 0, 1 the last class.
    Raises ArgumentError if x is no floating-point tensor, or holds NaN or a sample outside [-1, 1]: none is clipped.

    >>> mu_law_encode(torch.tensor([-1.0, -0.1, 0.0, 0.1, 1.0]))
    tensor([  0,  52, 128, 203, 255])
    """
    mu = _read_classes(classes) - 1
    if not isinstance(x, Tensor) or not x.is_floating_point():
        came = f"a tensor of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise ArgumentError(f"x is {came}; expected floating-point samples from -1 to 1, as int16 samples / 32768")
    wrong = ~(x.abs() <= 1)
    if bool(wrong.any()):
        place = tuple(int(index) for index in wrong.nonzero()[0])
        raise ArgumentError(
            f"x{list(place) if place else ''} is {float(x[place])}, one of {int(wrong.sum())} samples not from -1 to 1;"
            f" divide by the largest absolute sample, or clip: x.clamp(-1, 1)"
        )
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    bent = wide.sign() * torch.log1p(mu * wide.abs()) / math.log1p(mu)
    return torch.floor((bent + 1) / 2 * mu + 0.5).to(torch.int64)


def mu_law_decode(codes: Tensor, classes: int = 256) -> Tensor:
    """Classes as samples, the inverse of `mu_law_encode` but for what rounding lost.

        f = 2 code / mu - 1
        x = sign(f) ((1 + mu)^|f| - 1) / mu

    codes: integers from 0 to classes - 1, of any shape.
    classes: as they were encoded.
    Returns samples from -1 to 1 in torch's default dtype; encoding them gives the same codes.
    Raises ArgumentError if codes are no integers or out of range.

    >>> mu_law_decode(torch.tensor([0, 52, 128, 203, 255]))
    tensor([-1.0000e+00, -1.0067e-01,  8.6213e-05,  1.0067e-01,  1.0000e+00])
    """
    mu = _read_classes(classes) - 1
    if not isinstance(codes, Tensor) or codes.dtype == torch.bool or codes.is_floating_point() or codes.is_complex():
        came = f"a tensor of {codes.dtype}" if isinstance(codes, Tensor) else type(codes).__name__
        raise ArgumentError(f"codes is {came}; expected integers from 0 to {mu}, as mu_law_encode gives them")
    if codes.numel() and not (int(codes.min()) >= 0 and int(codes.max()) <= mu):
        raise ArgumentError(
            f"codes holds {int(codes.min())} to {int(codes.max())}; expected 0 to {mu}: pass the number of classes "
            f"with which they were encoded"
        )
    bent = 2 * codes.to(torch.get_default_dtype()) / mu - 1
    x = bent.sign() * torch.expm1(bent.abs() * math.log1p(mu)) / mu
    return x.clamp(-1, 1)  # rounding carries the ends of many classes past 1


def _read_classes(classes: object) -> int:
    count = check_count("classes", classes)
    if count < 2:
        raise ArgumentError("classes is 1; expected 2 at least, as 256")
    return count
