"""The loop learns, stops, diverges loudly and resumes bit for bit."""

import json
import math

import pytest
import torch
from torch import nn

from recurra.errors import ArgumentError, DivergedError, Notice, RunError
from recurra.training.loop import learning_rate, train
from recurra.training.run import RunFolder
from recurra.training.settings import TrainingSettings


def problem(seed=0):
    """A net with dropout, so that the random state matters, and a loss that depends on the step."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1))

    def loss(step):
        x = torch.randn(16, 3, generator=torch.Generator().manual_seed(step))
        return ((module(x) - x.sum(1, keepdim=True)) ** 2).mean()

    def validate():
        x = torch.linspace(-1, 1, 30).reshape(10, 3)
        return ((module(x) - x.sum(1, keepdim=True)) ** 2).mean().item()

    return module, loss, validate


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def run_at(tmp_path, name="run"):
    return RunFolder.create(tmp_path / name, {"task": "test"})


SETTINGS = {
    **{name: {"optimizer": name} for name in ("adam", "adamw", "rmsprop", "sgd")},
    **{f"{name}-averaged": {"optimizer": name, "averaging": 0.9} for name in ("adam", "adamw", "rmsprop", "sgd")},
    "asgd": {"optimizer": "asgd", "trigger": 1, "learning_rate": 0.3, "validate_every": 3},
    "asgd-plateau": {"optimizer": "asgd", "trigger": 2, "learning_rate": 0.5, "schedule": "plateau", "warmup": 0.0},
    "plateau": {"optimizer": "sgd", "schedule": "plateau", "learning_rate": 0.3, "plateau_patience": 2},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_stopped_anywhere_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, name):
    often = 2 if "plateau" in name else 7
    settings = TrainingSettings(
        **{"steps": 40, "validate_every": often, "checkpoint_every": 5, "patience": None, **SETTINGS[name]}
    )
    module, loss, validate = problem()
    stage = run_at(tmp_path, "whole").stage("fit")
    whole = train(module, loss, settings, validate=validate, stage=stage)
    counters = stage.latest().state
    assert counters["averaged"] > 5 or "asgd" not in name  # the average began, well before the last resumption
    assert counters["plateaus"] > 1 or "plateau" not in name

    class KilledError(Exception):
        pass

    run = run_at(tmp_path, "cut")
    for stop_at in (3, 12, 13, 29):
        part, part_loss, part_validate = problem()

        def kill(record, stop_at=stop_at):
            if record.step == stop_at:
                raise KilledError

        with pytest.raises(KilledError):
            train(part, part_loss, settings, validate=part_validate, stage=run.stage("fit"), on_step=kill)
    part, part_loss, part_validate = problem(seed=99)  # other weights: all must come from the checkpoint
    outcome = train(part, part_loss, settings, validate=part_validate, stage=run.stage("fit"))
    assert outcome == whole
    assert torch.equal(weights(part), weights(module))
    assert run.metrics() == RunFolder.open(tmp_path / "whole").metrics()


def test_it_learns_and_keeps_the_best_weights():
    module, loss, validate = problem()
    before = validate()
    outcome = train(module, loss, TrainingSettings(steps=300, learning_rate=0.02, validate_every=10), validate=validate)
    assert outcome.best_score < before / 5
    assert validate() == pytest.approx(outcome.best_score)


def test_patience_ends_training():
    module, loss, _ = problem()
    scores = iter([3.0, 2.0, 2.5, 2.5, 2.5, 1.0])
    settings = TrainingSettings(steps=1000, validate_every=10, patience=3)
    outcome = train(module, loss, settings, validate=lambda: next(scores))
    assert (outcome.steps, outcome.best_step, outcome.best_score) == (50, 20, 2.0)


def test_a_nan_loss_stops_at_its_step_and_keeps_the_last_finite_weights(tmp_path):
    module, loss, _ = problem()
    seen = []

    def spoilt(step):
        seen.append(weights(module).clone())
        return loss(step) * (math.nan if step == 6 else 1.0)

    run = run_at(tmp_path)
    with pytest.raises(DivergedError, match=r"the loss is nan at step 7; .* lower learning rate \(now 0\.003\)"):
        train(module, spoilt, TrainingSettings(steps=20), stage=run.stage("fit"))
    assert torch.equal(weights(module), seen[6])
    kept = run.stage("fit").latest()
    assert kept.state["step"] == 6
    assert torch.equal(kept.tensors["module.0.weight"], module[0].weight)


def test_exploding_gradients_are_named():
    module, loss, _ = problem()
    with pytest.raises(DivergedError, match=r"the gradient norm is inf \(exploding\) at step 1"):
        train(module, lambda step: loss(step) * 1e38, TrainingSettings(steps=3))


def test_clipping_bounds_the_step_and_the_recorded_norm_is_before_it():
    module, loss, _ = problem()
    records = []
    start = weights(module).clone()
    settings = TrainingSettings(steps=1, optimizer="sgd", momentum=0, learning_rate=1.0, warmup=0, clip_norm=0.01)
    train(module, lambda step: 100 * loss(step), settings, on_step=records.append)
    assert records[0].gradient_norm > 1
    assert (weights(module) - start).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_clipping_by_value():
    module, loss, _ = problem()
    start = weights(module).clone()
    settings = TrainingSettings(
        steps=1, optimizer="sgd", momentum=0, learning_rate=1.0, warmup=0, clip_norm=None, clip_value=0.003
    )
    train(module, lambda step: 100 * loss(step), settings)
    assert (weights(module) - start).abs().max().item() == pytest.approx(0.003, rel=1e-3)


@pytest.mark.parametrize("clipping", [{"clip_norm": 0.01}, {"clip_norm": None, "clip_value": 0.003}])
def test_the_recorded_norm_is_that_of_the_gradient_before_any_clipping(tmp_path, clipping):
    module, loss, _ = problem()
    settings = TrainingSettings(steps=1, optimizer="sgd", **clipping)
    run = run_at(tmp_path)
    train(module, lambda step: 100 * loss(step), settings, stage=run.stage("fit"))
    bare, bare_loss, _ = problem()
    torch.manual_seed(settings.seed)  # for the dropout
    (100 * bare_loss(0)).backward()
    expected = torch.cat([p.grad.flatten() for p in bare.parameters()]).norm().item()
    assert expected > 1
    (logged,) = run.metrics()
    assert logged["gradient_norm"] == pytest.approx(expected, rel=1e-5)


def test_schedules():
    for name, middle in (("constant", 1.0), ("linear", 0.5), ("cosine", 0.5)):
        settings = TrainingSettings(steps=100, warmup=0.0, schedule=name, learning_rate=1.0)
        assert learning_rate(settings, 0) == 1.0
        assert learning_rate(settings, 50) == pytest.approx(middle)
    warm = TrainingSettings(steps=100, warmup=0.1, learning_rate=1.0)
    assert [learning_rate(warm, step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])


def scored(settings, scores):
    """A training whose validations are these; its records, and the weights after each step."""
    module, loss, _ = problem()
    left, records, seen = iter(scores), [], []

    def note(record):
        records.append(record)
        seen.append(weights(module).clone())

    outcome = train(module, loss, settings, validate=lambda: next(left), on_step=note)
    return module, outcome, records, seen


def test_asgd_keeps_the_mean_of_the_weights_since_validation_stood_still():
    settings = TrainingSettings(
        steps=20, optimizer="asgd", trigger=2, patience=4, validate_every=4, learning_rate=0.1, schedule="constant"
    )
    module, outcome, _, seen = scored(settings, [3.0, 3.5, 3.1, 2.0, 2.5])
    assert (outcome.best_step, outcome.best_score) == (16, 2.0)
    mean = torch.stack(seen[12:16]).double().mean(0)  # after the trigger at step 12
    torch.testing.assert_close(weights(module).double(), mean, rtol=1e-5, atol=1e-7)
    assert not torch.allclose(weights(module), seen[15], rtol=1e-3)


def test_asgd_goes_on_from_its_own_weights_and_not_from_their_mean():
    given = {"steps": 12, "momentum": 0.0, "validate_every": 2, "learning_rate": 0.1, "patience": None}
    plain = scored(TrainingSettings(optimizer="sgd", schedule="constant", **given), [1.0] * 6)
    averaged = scored(TrainingSettings(optimizer="asgd", trigger=1, **given), [1.0] * 6)
    assert torch.equal(averaged[3][-1], plain[3][-1])


def test_patience_counts_anew_from_where_the_average_begins():
    settings = TrainingSettings(steps=1000, optimizer="asgd", trigger=3, patience=3, validate_every=10)
    _, outcome, _, _ = scored(settings, [1.0, *[2.0] * 6])
    assert outcome.steps == 70


def test_a_plateau_divides_the_learning_rate():
    given = {"steps": 14, "optimizer": "sgd", "schedule": "plateau", "warmup": 0.0, "validate_every": 2}
    settings = TrainingSettings(**given, learning_rate=1.0)
    _, _, records, _ = scored(settings, [3.0, 2.0, 2.5, 2.5, 1.0, 1.5, 1.5])
    rates = [record.learning_rate for record in records[::2]]
    assert rates == [1.0, 1.0, 1.0, 1 / 4, 1 / 16, 1 / 16, 1 / 64]
    patient = TrainingSettings(**given, learning_rate=1.0, plateau_factor=2.0, plateau_patience=2)
    _, _, records, _ = scored(patient, [1.0, 2.0, 2.0, 2.0, 2.0, 0.5, 2.0])
    assert [record.learning_rate for record in records[::2]] == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_what_goes_by_validations_is_refused_without_them():
    module, loss, _ = problem()
    for given in ({"optimizer": "asgd"}, {"schedule": "plateau"}):
        with pytest.raises(ArgumentError, match="goes by validations, and there are none; pass validate, or choose"):
            train(module, loss, TrainingSettings(**given))


def test_products_of_lower_precision_end_with_the_training():
    module, seen = torch.nn.Linear(1, 1), []

    def loss(step):
        seen.append(torch.get_float32_matmul_precision())
        return module(torch.ones(1)).sum()

    before = torch.get_float32_matmul_precision()
    for precision, wanted in (("bfloat16", "medium"), ("float32", before)):
        train(module, loss, TrainingSettings(steps=1, precision=precision))
        assert seen.pop() == wanted
        assert torch.get_float32_matmul_precision() == before


def test_training_leaves_the_callers_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    module, loss, _ = problem()
    torch.set_rng_state(state)
    train(module, loss, TrainingSettings(steps=3))
    assert torch.equal(torch.rand(3), expected)


def test_a_damaged_checkpoint_falls_back_to_the_generation_before(tmp_path):
    module, loss, _ = problem()
    run = run_at(tmp_path)
    train(module, loss, TrainingSettings(steps=20, checkpoint_every=5), stage=run.stage("fit"))
    generations = sorted((run.path / "checkpoints" / "fit").iterdir())
    assert [g.name for g in generations] == ["step-00000015", "step-00000020"]
    file = generations[1] / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.warns(Notice, match="step-00000020 is passed over"):
        assert run.stage("fit").latest().state["step"] == 15


def test_metrics_are_json_lines_and_a_torn_last_line_is_left_out(tmp_path):
    module, loss, _ = problem()
    run = run_at(tmp_path)
    train(module, loss, TrainingSettings(steps=4), stage=run.stage("fit"))
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "fit", "st')
    assert len(run.metrics()) == 4


def test_a_second_writer_is_refused_and_a_dead_ones_lock_is_not(tmp_path):
    run = run_at(tmp_path)
    (run.path / "lock").write_text("99999")  # left by a process that is gone
    with run.locked(), pytest.raises(RunError, match="is being written by process"), RunFolder(run.path).locked():
        pass


def test_what_a_killed_writer_left_is_swept_but_not_an_only_copy(tmp_path):
    run = run_at(tmp_path)
    for name in (".model.abcdefgh", "checkpoints/fit/.step-00000005.abcdefgh", ".model.previous"):
        (run.path / name).mkdir(parents=True)
    (run.path / ".summary.json.abcdefgh").touch()
    with run.locked():
        pass
    assert sorted(p.name for p in run.path.rglob(".*")) == [".model.previous"]


def test_an_existing_run_is_kept_unless_forced(tmp_path):
    run = run_at(tmp_path)
    (run.path / "kept").touch()
    with pytest.raises(RunError, match="exists already; pass --force"):
        run_at(tmp_path)
    assert (run.path / "kept").exists()
    RunFolder.create(run.path, {}, force=True)
    assert not (run.path / "kept").exists()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").touch()
    with pytest.raises(RunError, match="is no run folder"):
        RunFolder.create(tmp_path / "home", {}, force=True)
