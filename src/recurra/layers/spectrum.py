"""The spectral radius of a square matrix: how much its largest mode grows at each step."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import ArpackError, LinearOperator, eigs
from torch import Tensor

__all__ = ["spectral_radius"]

_DENSE = 100  # rows up to which all eigenvalues are computed
_POWER = 4  # of the matrix that the iteration sees: as many products with it, a quarter of the work on its basis
_MODES, _BASIS = 2, 30  # that the iteration looks for, and vectors that it works with
_TOLERANCE = 1e-8  # of eigenvalues of the power, so four times as fine for the matrix's own


@torch.no_grad()
def spectral_radius(matrix: Tensor | csr_array) -> float:
    """The largest absolute value of an eigenvalue of a square matrix, (size, size), dense or SciPy's sparse.

    Large matrices by implicitly restarted Arnoldi iteration on their fourth power (Lehoucq et al. 1998), which goes by
    products alone; all eigenvalues where that does not converge.

    >>> round(spectral_radius(torch.tensor([[0.0, 2.0], [-2.0, 0.0]])), 6)
    2.0
    """
    values = matrix.detach().cpu().double().numpy() if isinstance(matrix, Tensor) else matrix
    size = values.shape[0]
    if size > _DENSE:
        few = csr_array(values)

        def apply(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            for _ in range(_POWER):
                vector = few @ vector
            return vector

        start = np.cos(np.arange(size))  # the same each time, and in no mode's way
        operator = LinearOperator((size, size), matvec=apply, dtype=np.float64)
        with suppress(ArpackError):  # it did not converge
            found = eigs(operator, k=_MODES, ncv=_BASIS, v0=start, tol=_TOLERANCE, return_eigenvectors=False)
            return float(np.abs(found).max() ** (1 / _POWER))
    dense = values if isinstance(values, np.ndarray) else values.toarray()
    return float(np.abs(np.linalg.eigvals(dense)).max())
