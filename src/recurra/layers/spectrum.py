"""The spectral radius of a square matrix: how much its largest mode grows at each step."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.linalg import ArpackError, eigs
from torch import Tensor

__all__ = ["spectral_radius"]

_DENSE = 100  # rows up to which all eigenvalues are computed
_MODES, _BASIS = 4, 60  # that the iteration looks for, and vectors that it works with
_TOLERANCE = 1e-9  # of eigenvalues


@torch.no_grad()
def spectral_radius(matrix: Tensor) -> float:
    """The largest absolute value of an eigenvalue of a square matrix, (size, size).

    Large matrices by implicitly restarted Arnoldi iteration (Lehoucq et al. 1998), which goes by their products alone;
    all eigenvalues where that does not converge.

    >>> round(spectral_radius(torch.tensor([[0.0, 2.0], [-2.0, 0.0]])), 6)
    2.0
    """
    values = matrix.detach().cpu().double().numpy()
    if len(values) > _DENSE:
        start = np.cos(np.arange(len(values)))  # the same each time, and in no mode's way
        with suppress(ArpackError):  # it did not converge
            found = eigs(csr_array(values), k=_MODES, ncv=_BASIS, v0=start, tol=_TOLERANCE, return_eigenvectors=False)
            return float(np.abs(found).max())
    return float(np.abs(np.linalg.eigvals(values)).max())
