"""Readouts are the least squares that they say."""

import numpy as np
import pytest
import torch

from recurra.errors import ArgumentError
from recurra.layers.readout import LeastSquares, RidgeReadout


def draw(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


S, Y = draw(200, 7) + 3.0, draw(200, 2, seed=1)


def by_augmented_rows(states, targets, ridge):
    """Ridge regression as ordinary least squares with rows for the ridge; the mean is no part of it."""
    s, y = (one.numpy() - one.numpy().mean(0) for one in (states, targets))
    rows = np.vstack([s, np.sqrt(ridge) * np.eye(s.shape[1])])
    weight = np.linalg.lstsq(rows, np.vstack([y, np.zeros((s.shape[1], y.shape[1]))]), rcond=None)[0].T
    return weight, targets.numpy().mean(0) - weight @ states.numpy().mean(0)


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 10.0])
def test_ridge_is_least_squares_with_rows_for_the_ridge(ridge):
    readout = RidgeReadout(7, 2, ridge=ridge, dtype=torch.float64)
    readout.fit(S, Y)
    weight, bias = by_augmented_rows(S, Y, ridge)
    assert np.allclose(readout.weight, weight, atol=1e-10)
    assert np.allclose(readout.bias, bias, atol=1e-10)
    assert np.allclose(readout(S), S.numpy() @ weight.T + bias)


def test_without_bias_nothing_is_centred():
    readout = RidgeReadout(7, 2, ridge=0.0, bias=False, dtype=torch.float64)
    readout.fit(S, Y)
    assert np.allclose(readout.weight, np.linalg.lstsq(S.numpy(), Y.numpy(), rcond=None)[0].T)
    assert (readout.bias == 0).all()


def test_parts_in_any_order_and_any_form_are_the_whole():
    whole, parts = (RidgeReadout(7, 2, dtype=torch.float64) for _ in range(2))
    whole.fit(S, Y)
    parts.add(S[120:], Y[120:])
    parts.add(S[:120].view(12, 10, 7), Y[:120].view(12, 10, 2))
    parts.add(S[:0], Y[:0])
    parts.solve()
    assert torch.allclose(parts.weight, whole.weight, atol=1e-12)
    assert torch.allclose(parts.bias, whole.bias, atol=1e-12)


def test_another_ridge_needs_no_data_again():
    readout, other = RidgeReadout(7, 2, dtype=torch.float64), RidgeReadout(7, 2, ridge=5.0, dtype=torch.float64)
    readout.fit(S, Y)
    readout.solve(5.0)
    other.fit(S, Y)
    assert readout.ridge == 5.0
    assert torch.equal(readout.weight, other.weight)


def test_what_was_taken_in_goes_to_a_file_with_the_weights():
    readout, other = (RidgeReadout(7, 2, dtype=torch.float64) for _ in range(2))
    readout.add(S[:100], Y[:100])
    other.load_state_dict(readout.state_dict())
    for one in (readout, other):
        one.add(S[100:], Y[100:])
        one.solve()
    assert torch.equal(readout.weight, other.weight)


def test_single_precision_is_solved_in_double():
    readout = RidgeReadout(7, 2, ridge=0.0)
    readout.fit(S.float(), Y.float())
    weight, _ = by_augmented_rows(S.float().double(), Y.float().double(), 0.0)
    assert readout.weight.dtype == torch.float32
    assert np.allclose(readout.weight, weight, atol=1e-6)


def test_states_that_are_alike_want_a_ridge():
    readout = RidgeReadout(3, 1, ridge=0.0, dtype=torch.float64)
    with pytest.raises(ArgumentError, match="ridge is 0, and 200 steps of 3 states leave weights open; use a ridge"):
        readout.fit(S[:, :1].repeat(1, 3), Y[:, :1])
    readout.solve(1e-6)
    assert torch.allclose(readout.weight, readout.weight[:, :1].expand(1, 3), rtol=1e-6)


def test_a_ridge_below_rounding_still_gives_least_squares():
    s = draw(300, 5) @ draw(5, 60, seed=2)  # of rank 5, and rounding makes some eigenvalues negative
    readout = RidgeReadout(60, 2, ridge=1e-13, dtype=torch.float64)
    y = s[:, :2] + s[:, 2:4]
    readout.fit(s, y)
    assert torch.allclose(readout(s), y, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: r.solve(), "solve was called before any step"),
        (lambda r: r.add(S, Y[:5]), r"states are \(200, 7\), targets \(5, 2\)"),
        (lambda r: r.add(S[:, :3], Y), r"states are \(200, 3\); expected a tensor \(\.\.\., 7\)"),
        (lambda r: r.add(S, None), "targets are NoneType"),
        (lambda r: r.add(S / 0, Y), "states hold NaN or infinity"),
        (lambda r: r.solve(-1), "ridge is -1"),
        (lambda r: RidgeReadout(7, 2, ridge=float("nan")), "ridge is nan"),
        (lambda r: RidgeReadout(0, 2), "input_size is 0"),
        (lambda r: LeastSquares(7, 2, ridge=0.0), "ridge is 0"),
        (lambda r: LeastSquares(7, 2, forgetting=1.5), "forgetting is 1.5"),
        (lambda r: LeastSquares(7, 2).update(S[0], Y), "states are"),
        (lambda r: LeastSquares(7, 2).update(S / 0, Y), "states hold NaN or infinity"),
        (lambda r: LeastSquares(7, 2)(S), "states have dtype torch.float64, the weights torch.float32; convert one"),
        (lambda r: LeastSquares(7, 2)(S[:, :3]), r"states are \(200, 3\); expected a tensor \(\.\.\., 7\)"),
        (lambda r: r(S), "states have dtype torch.float64, the weights torch.float32; convert one"),
        (lambda r: r(S.float()), "the readout has no weights yet; call fit, or add and then solve"),
    ],
)
def test_wrong_use_is_refused(call, words):
    with pytest.raises(ArgumentError, match=words):
        call(RidgeReadout(7, 2))


def test_recursive_least_squares_end_where_ridge_regression_does():
    readout = LeastSquares(7, 2, ridge=0.5, dtype=torch.float64)
    for s, y in zip(S, Y, strict=True):
        readout.update(s, y)
    rows = torch.cat([S, torch.ones(200, 1, dtype=torch.float64)], 1)
    expected = torch.linalg.solve(rows.T @ rows + 0.5 * torch.eye(8, dtype=torch.float64), rows.T @ Y).T
    assert torch.allclose(readout.weight, expected, atol=1e-9)


def test_errors_are_those_before_the_step_was_learned():
    readout = LeastSquares(1, 1, ridge=1e-9, dtype=torch.float64)
    s = torch.tensor([[1.0], [1.0], [2.0]], dtype=torch.float64)
    errors = readout.update(s, 3 * s)
    assert float(errors[0]) == pytest.approx(3.0)
    assert float(errors[1]) == pytest.approx(0.0, abs=1e-6)


def test_forgetting_follows_what_changes():
    faithful, forgetful = LeastSquares(2, 1), LeastSquares(2, 1, forgetting=0.9)
    s = draw(400, 2).float()
    before, after = s @ torch.tensor([[1.0], [2.0]]), s @ torch.tensor([[-3.0], [0.5]])
    for readout in (faithful, forgetful):
        readout.update(s[:200], before[:200])
        readout.update(s[200:], after[200:])
    assert torch.allclose(forgetful.weight[:, :2], torch.tensor([[-3.0, 0.5]]), atol=1e-3)
    assert (faithful.weight[0, :2] - torch.tensor([-3.0, 0.5])).norm() > 0.5


def test_many_steps_stay_stable():
    readout = LeastSquares(3, 1, forgetting=0.99, dtype=torch.float64)
    s = draw(3000, 3) * torch.tensor([1.0, 1e-3, 1e3], dtype=torch.float64)
    errors = readout.update(s, s.sum(1, keepdim=True))
    assert float(errors[-500:].abs().max()) < 1e-3
    assert torch.equal(readout.inverse, readout.inverse.T)


@pytest.mark.parametrize("forgetting", [0.9, 0.99])
def test_what_inputs_say_nothing_of_is_not_forgotten_for_ever(forgetting):
    """Else P, and with it the weights, would leave all bounds: 0.99^-80,000 is no number."""
    readout = LeastSquares(3, 1, ridge=1e-2, forgetting=forgetting, dtype=torch.float64)
    s = draw(200, 3)
    readout.update(s, s @ torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64))
    quiet = torch.zeros(3000, 3, dtype=torch.float64)
    quiet[:, 0] = draw(3000, seed=4)  # one feature goes on
    readout.update(quiet, quiet[:, :1])
    assert readout.weight[0].tolist() == pytest.approx([1.0, 2.0, 3.0, 0.0], abs=1e-3)
    assert float(torch.linalg.eigvalsh(readout.inverse).max()) <= 10 / 1e-2 / forgetting * 2
    errors = readout.update(s, s.sum(1, keepdim=True))
    assert float(errors[-100:].abs().max()) < 0.05
    assert torch.equal(readout.inverse, readout.inverse.T)


def test_products_of_many_features_are_those_of_all():
    s = draw(400, 300)
    readout = RidgeReadout(300, 1, ridge=0.1, dtype=torch.float64)
    readout.fit(s, s[:, :1] + s[:, 299:])
    weight, _ = by_augmented_rows(s, s[:, :1] + s[:, 299:], 0.1)
    assert np.allclose(readout.weight, weight, atol=1e-10)


def test_nothing_is_taken_in_of_what_is_not_finite():
    readout = RidgeReadout(7, 2, dtype=torch.float64)
    readout.add(S, Y)
    before = {name: part.clone() for name, part in readout.state_dict().items()}
    for bad in (float("nan"), float("inf")):
        for place in (S, Y):
            spoilt = place.clone()
            spoilt[3, 1], spoilt[4, 1] = bad, -bad
            with pytest.raises(ArgumentError, match=f"{'states' if place is S else 'targets'} hold NaN or infinity"):
                readout.add(*((spoilt, Y) if place is S else (S, spoilt)))
    assert all(torch.equal(part, before[name]) for name, part in readout.state_dict().items())


@pytest.mark.parametrize("kind", [RidgeReadout, LeastSquares])
def test_what_is_known_stays_double_when_weights_are_converted(kind):
    readout, other = (kind(7, 2, ridge=1e-3, dtype=torch.float64) for _ in range(2))

    def learn(one, states, targets):
        if kind is LeastSquares:
            one.update(states, targets)
        else:
            one.add(states, targets)
            one.solve()

    learn(readout, S[:100], Y[:100])
    learn(other, S[:100], Y[:100])
    readout.float()
    for one, dtype in ((readout, torch.float32), (other, torch.float64)):
        learn(one, S[100:].to(dtype).double(), Y[100:])
        assert one(S.to(dtype)).dtype == dtype
    assert torch.allclose(readout.weight.double(), other.weight, atol=1e-5)
    assert all(getattr(readout, name).dtype == torch.float64 for name in kind.known)
