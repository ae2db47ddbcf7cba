"""Verdicts against what theory says: horizons, rates and where float32 ends."""

import math
import struct

import pytest
import torch

import recurra
from recurra.errors import ArgumentError, RecurraError
from recurra.layers.gradients import GradientFlow
from recurra.nn import LSTM, Recurrent
from recurra.reports import Diagnosis, diagnose, write_gradients
from recurra.reports.diagnosis import judge
from recurra.reports.gradients import gradient_figure
from recurra.reports.palette import LIGHT


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def scaled_rotation(scale, **options):
    """A linear recurrence whose Jacobian is `scale` times an orthogonal matrix."""
    layer = Recurrent("elman-linear", 2, 8, initializer="orthogonal", seed=0, **options)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("weight_hh"):
                parameter *= scale
    return layer


def flow(*norms, **fields):
    """Of a single recurrence with these norms."""
    return GradientFlow(0, 0, 2, norms, fields or {"h": norms}, None, 3, ())


@pytest.mark.parametrize("scale", [0.3, 0.6, 0.9, 0.95])
def test_the_horizon_of_a_scaled_rotation_is_where_its_powers_fall_under_a_hundredth(scale):
    diagnosis = diagnose(scaled_rotation(scale), draw(120, 4, 2))
    (health,) = diagnosis.health
    assert health.kind == "vanishing"
    assert health.horizon == math.ceil(math.log(0.01) / math.log(scale))
    assert health.rate == pytest.approx(scale, rel=1e-5)
    assert f"layer 0: vanishing. Each step back multiplies the gradient by {scale:.3g} on average" in diagnosis.words
    assert f"is left after {health.horizon} steps. This is the horizon, beyond which nothing is learnt" in str(
        diagnosis
    )
    assert f"The Jacobian's spectral radius is {scale:.3g} (16 steps measured)." in str(diagnosis)
    assert str(diagnosis).startswith("elman-linear on 4 sequences of up to 120 steps, by a gradient of norm 1")


def test_a_horizon_beyond_the_batch_is_extrapolated_in_words_only():
    diagnosis = diagnose(scaled_rotation(0.98), draw(50, 4, 2))
    (health,) = diagnosis.health
    assert (health.kind, health.horizon) == ("healthy", None)
    assert "37 % is left after 49 steps, so the horizon lies beyond the 50 steps of the batch." in diagnosis.words
    assert "Extrapolated from the later half, it would be at about 230 steps." in diagnosis.words  # 228


def test_what_does_not_fall_is_not_extrapolated():
    layer = Recurrent("elman-linear", 2, 4, initializer="identity", seed=0)
    assert "In the later half nothing is lost, so none can be extrapolated." in diagnose(layer, draw(20, 4, 2)).words


def test_an_exploding_gradient_is_named_with_its_rate_and_where_float32_ends():
    diagnosis = diagnose(scaled_rotation(1.1), draw(100, 4, 2))
    (health,) = diagnosis.health
    assert (health.kind, health.horizon) == ("exploding", None)
    assert health.rate == pytest.approx(1.1, rel=1e-5)
    assert "exploding. Each step back multiplies the gradient by 1.1 on average: after 99 steps it is 1.25e+04" in str(
        diagnosis
    )
    assert "float32 would overflow after about 930 steps" in diagnosis.words  # log(3.4e38) / log(1.1) = 930.9
    assert "clip_norm=1.0 in TrainingSettings" in diagnosis.words
    steeper = diagnose(scaled_rotation(3.0), draw(100, 4, 2))
    assert "; float32 overflows after 81 steps." in steeper.words  # 3^80 is 1.5e38, 3^81 is 4.4e38
    assert steeper.health[0].kind == "exploding"


def test_what_overflows_float64_too_has_exploded():
    (health,) = diagnose(scaled_rotation(1e3), draw(150, 2, 2)).health
    assert health.kind == "exploding"
    assert health.rate == pytest.approx(1e3, rel=1e-4)
    assert "float32 overflows after 13 steps" in diagnose(scaled_rotation(1e3), draw(150, 2, 2)).words


def test_a_forget_bias_moves_the_horizon_of_an_lstm():
    horizons = []
    for bias in (-3.0, 0.0, 3.0):
        (health,) = diagnose(Recurrent("lstm", 2, 16, forget_bias=bias, seed=0), draw(60, 8, 2)).health
        horizons.append(60 if health.horizon is None else health.horizon)
    assert horizons[0] < 4 < horizons[1] < 15 < horizons[2]


def test_the_verdict_is_on_the_whole_state_and_says_what_each_field_carries():
    """With recurrent weights of 0 the memory alone goes back: dL/dh_t is nothing before the last step."""
    layer = LSTM(2, 16, forget_bias=6.0)
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
    diagnosis = diagnose(layer, draw(40, 8, 2))
    (health,) = diagnosis.health
    assert health.kind == "healthy"
    assert health.flow.by_field["h"][1:] == (0,) * 39
    assert health.flow.by_field["c"][39] > 0.1
    assert "There |dL/dh| 0 and |dL/dc| " in diagnosis.words


def test_nan_is_named():
    layer, batch = scaled_rotation(0.5), draw(10, 3, 2)
    with torch.no_grad():
        layer.weight_hh_l0[0, 0] = math.nan
    (health,) = diagnose(layer, batch).health
    assert health.kind == "not finite"
    words = diagnose(layer, batch).words
    assert "not finite. The gradient is NaN from lag 1 on: look for NaN and extremes" in words
    assert "The Jacobian is not finite either." in words
    tanh = Recurrent("elman", 2, 4, seed=0)
    batch[6] = math.nan
    assert "The gradient is NaN from lag 1 on" in diagnose(tanh, batch).words


def test_the_losss_own_norms_are_told_and_do_not_hide_what_vanishes():
    diagnosis = diagnose(scaled_rotation(0.5), draw(30, 1, 2), loss=lambda y: y[:, 0, 0].sum())
    (health,) = diagnosis.health
    assert health.horizon == 7
    assert health.flow.by_loss[-1] > 0.5
    assert f"By the loss given, |dL/ds_t| is 1 at its last step and {health.flow.by_loss[-1]:.3g}" in diagnosis.words
    assert "By the loss given, the gradient is nan at lag 0." in diagnose(
        scaled_rotation(0.5), draw(5, 2, 2), loss=lambda y: y.sum() * math.nan
    ).words  # fmt: skip


def test_each_recurrence_of_a_bidirectional_stack_has_its_verdict():
    diagnosis = diagnose(scaled_rotation(0.5, num_layers=2, bidirectional=True), draw(30, 4, 2))
    lines = diagnosis.words.splitlines()[1:]
    assert [line.split(":")[0] for line in lines] == [
        "layer 0 forward",
        "layer 0 backward",
        "layer 1 forward",
        "layer 1 backward",
    ]
    assert [health.horizon for health in diagnosis.health[2:]] == [7, 7]


@pytest.mark.parametrize(
    ("norms", "kind", "horizon"),
    [
        ((1.0, 0.5, 0.25), "healthy", None),
        ((1.0, 0.02, 0.009), "vanishing", 2),
        ((1.0, 0.005, 0.02, 0.001), "vanishing", 3),  # it must stay under 1 %
        ((1.0, 0.0, 0.0), "vanishing", 1),
        ((0.0, 0.0, 0.0), "vanishing", 0),
        ((1.0, 99.0, 5.0), "healthy", None),
        ((1.0, 100.0, 5.0), "exploding", None),
        ((1.0, 100.0, 0.001), "exploding", 2),
        ((1e-30, 3e-28), "exploding", None),  # relative to the first
        ((1.0, 200.0, math.inf), "exploding", None),
        ((1.0, 0.5, math.inf), "not finite", None),
        ((1.0, 0.001, math.nan), "not finite", None),
        ((math.nan, math.nan), "not finite", None),
    ],
)
def test_the_thresholds(norms, kind, horizon):
    health = judge(flow(*norms))
    assert (health.kind, health.horizon) == (kind, horizon)
    diagnosis = Diagnosis("elman", 2, len(norms), (health,))
    assert f"layer 0: {kind}. " in diagnosis.words
    assert gradient_figure({"": diagnosis}).axes[0].texts[0].get_text().startswith(kind)


def test_words_of_the_odd_cases():
    def words(*norms):
        return Diagnosis("elman", 1, len(norms), (judge(flow(*norms)),)).words

    assert words(0.0, 0.0).startswith("elman on 1 sequence of 2 steps, by")
    assert "No gradient arrives at its last step: nothing is learnt in it." in words(0.0, 0.0)
    assert "multiplies the gradient by 0 on average: 0 % is left after 1 step." in words(1.0, 0.0)
    assert "; then it falls, to under 1 % from 2 steps on." in words(1.0, 100.0, 0.001)
    assert "a state of 3 numbers, more than 512" in words(1.0, 1.0)


def test_the_picture_shows_norms_horizon_and_radii(tmp_path):
    diagnosis = diagnose(LSTM(2, 8), draw(40, 4, 2), loss=lambda y: y.sum())
    path = diagnosis.draw(tmp_path / "gradients.png")
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", head[16:24]) == (1280, 792)
    (health,) = diagnosis.health
    upper, lower = gradient_figure({"mine": diagnosis}).axes
    assert upper.get_title(loc="left") == "mine"
    assert upper.texts[0].get_text() == f"vanishing: horizon {health.horizon} steps"
    labels = {line.get_label(): line for line in upper.lines}
    assert list(labels)[:4] == ["whole state", "h", "c", "by the loss given"]
    assert list(labels["whole state"].get_ydata()) == pytest.approx(health.flow.norms)
    marks = [line.get_xdata()[0] for line in upper.lines if line.get_color() == LIGHT["muted"]]
    assert health.horizon in marks
    (radii,) = [line for line in lower.lines if line.get_linestyle() == "None"]
    assert list(radii.get_ydata()) == [radius.value for radius in health.flow.radii]


def test_diagnoses_are_drawn_side_by_side_to_a_limit(tmp_path):
    one = diagnose(scaled_rotation(0.5, num_layers=2, bidirectional=True), draw(5, 2, 2))
    figure = gradient_figure({"a$_b$": one, "c": one})
    assert len(figure.axes) == 16
    assert figure.axes[0].get_title(loc="left") == "a$_b$, layer 0 forward"
    assert len(gradient_figure({str(name): one for name in range(5)}).axes) == 24
    with pytest.raises(ArgumentError, match="diagnoses is empty"):
        write_gradients(tmp_path / "none.png", {})
    with pytest.raises(RecurraError, match=r"cannot write .*No such file"):
        one.draw(tmp_path / "nowhere" / "one.png")


def test_what_is_no_recurrent_layer_is_refused():
    assert recurra.diagnose is diagnose
    with pytest.raises(ArgumentError, match=r"layer is Linear; expected a recurrent layer of recurra\.nn"):
        diagnose(torch.nn.Linear(2, 2), draw(4, 2, 2))
    with pytest.raises(ArgumentError, match=r"at most 1 time steps; expected a row with 2 or more"):
        diagnose(LSTM(2, 3), draw(1, 2, 2))
