"""The spectral radius is the largest eigenvalue's."""

import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.linalg import ArpackError

from recurra.layers.spectrum import spectral_radius


def draw(size, density, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(size, size, generator=generator, dtype=torch.float64) * 2 - 1
    return values * (torch.rand(size, size, generator=generator) < density)


@pytest.mark.parametrize(("size", "density"), [(1, 1.0), (5, 1.0), (99, 0.2), (101, 0.1), (300, 0.03), (300, 1.0)])
def test_it_is_the_largest_of_all_eigenvalues(size, density):
    matrix = draw(size, density)
    expected = torch.linalg.eigvals(matrix).abs().max()
    assert spectral_radius(matrix) == pytest.approx(float(expected), rel=1e-7)
    assert spectral_radius(csr_array(matrix.numpy())) == pytest.approx(float(expected), rel=1e-7)


def test_where_the_iteration_fails_all_eigenvalues_are_computed(monkeypatch):
    def fail(*_, **__):
        raise ArpackError(-9)

    matrix = draw(300, 0.1)
    expected = spectral_radius(matrix)
    monkeypatch.setattr("recurra.layers.spectrum.eigs", fail)
    assert spectral_radius(matrix) == pytest.approx(expected, rel=1e-7)


def test_rotations_and_nothing():
    assert spectral_radius(torch.tensor([[0.0, -3.0], [3.0, 0.0]])) == pytest.approx(3.0)
    assert spectral_radius(torch.zeros(4, 4)) == 0.0
    assert spectral_radius(torch.diag(torch.full((200,), -0.5))) == pytest.approx(0.5)
    assert spectral_radius(torch.zeros(150, 150)) == 0.0
