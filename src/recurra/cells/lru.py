"""Linear recurrent unit."""

from __future__ import annotations

from typing import Any, ClassVar

from recurra.cells._cell import Cell
from recurra.cells._functions import cos, exp, expm1, log, sin, sqrt
from recurra.cells._state import State

__all__ = ["LRU"]

_SMALLEST, _LARGEST, _PHASE = 0.9, 0.999, 3.14159265 / 10  # |lambda| and largest angle at the start


class LRU(Cell):
    """Linear recurrent unit (Orvieto et al. 2023): a diagonal of complex numbers inside the unit circle.

        lambda = exp(-exp(nu) + i exp(theta))         per unit: how long it rings, and how fast
        s_t = lambda * s_(t-1) + sqrt(1 - |lambda|^2) * B x_t
        h_t = Re(C s_t) + D x_t

    s = re + i im, B = B_re + i B_im (rows re and im of weight_ih, D is the third), C = C_re + i C_im (weight_hh).
    Biases belong to the projections and are not written. exp(nu) keeps |lambda| within 1 whatever training does. At the
    start |lambda|^2 is uniform between 0.9^2 and 0.999^2 (the authors' ring for long sequences), the angle below pi/10.
    Of the authors' block this is the recurrence, with the factor before B tied to lambda, where they train it on,
    and a full matrix D. h is an output and no memory; the recurrence is linear in its state.

    >>> LRU().states
    ('h', 're', 'im')
    """

    gates = ("re", "im", "d")
    states = ("h", "re", "im")
    recurrent = ("c_re", "c_im")
    second = ("c_re", "c_im")
    vectors: ClassVar = {
        "nu": lambda uniform: log(-0.5 * log(uniform * (_LARGEST**2 - _SMALLEST**2) + _SMALLEST**2)),
        "theta": lambda uniform: log(_PHASE * (uniform + 1e-4)),
    }
    refuses: ClassVar = {
        "zoneout": "re and im are one complex number; a unit kept in one and not in the other means nothing: "
        "zoneout={'h': ...}",
        "layer_norm": "re and im are one complex number; normalised apart they lose their angle",
    }

    def step(self, x: Any, u: Any, s: Any, p: Any) -> State:
        size, angle = exp(-exp(p.nu)), exp(p.theta)
        real, imaginary = size * cos(angle), size * sin(angle)
        gain = sqrt(-expm1(-2 * exp(p.nu)))  # sqrt(1 - size^2), where size is next to 1 too
        re = real * s.re - imaginary * s.im + gain * x.re
        im = real * s.im + imaginary * s.re + gain * x.im
        return State(h=u.c_re(re) - u.c_im(im) + x.d, re=re, im=im)
