"""The window network computes what its docstring says, for any lookback, season and body."""

import numpy as np
import pytest
import torch

from recurra.data.scaling import Scaling
from recurra.data.windows import Batch
from recurra.models.window import WindowConfig, WindowNetwork


def make_config(**changes):
    values = {
        "hidden_size": 6,
        "num_layers": 1,
        "dropout": 0.0,
        "lookback": 14,
        "horizon": 5,
        "season": 4,
        "long_period": 8,
        "masked": False,
        "past_size": 0,
        "future_size": 0,
        "static_size": 0,
        "output_size": 3,
    }
    return WindowConfig(**{**values, **changes})


def make_batch(config, size=2, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    return Batch(
        context=draw(size, config.lookback),
        observed=torch.ones(size, config.lookback),
        past=draw(size, config.lookback, config.past_size),
        future=draw(size, config.lookback + config.horizon, config.future_size),
        static=draw(size, config.static_size),
        roughness=draw(size).abs(),
        target=draw(size, config.horizon),
        scaling=Scaling(np.zeros(size), np.ones(size)),
    )


def silence_head(network):
    for parameter in network.head.parameters():
        torch.nn.init.zeros_(parameter)


def choose(network, season_ahead, choice):
    """Put all of the skip's weight for one season ahead on one choice."""
    with torch.no_grad():
        bias = network.skip.choose.bias.reshape(-1, network.config.steps + 2)
        bias[season_ahead] = -100.0
        bias[season_ahead, choice] = 100.0


def test_the_skip_repeats_the_chosen_seasons():
    config = make_config()
    network = WindowNetwork(config)
    silence_head(network)
    batch = make_batch(config)
    choose(network, 0, 2)  # seasons of the 14 samples: [pad pad 0 1] [2 .. 5] [6 .. 9] [10 .. 13]
    choose(network, 1, 3)
    expected = torch.cat([batch.context[:, 6:10], batch.context[:, 10:11]], 1)
    output = network(batch)
    assert output.shape == (2, 5, 3)
    torch.testing.assert_close(output, expected.unsqueeze(-1).expand(-1, -1, 3))


def test_the_skip_may_choose_the_last_value_or_nothing():
    config = make_config()
    network = WindowNetwork(config)
    silence_head(network)
    batch = make_batch(config)
    choose(network, 0, 4)
    choose(network, 1, 5)
    output = network(batch)[:, :, 0]
    torch.testing.assert_close(output[:, :4], batch.context[:, -1:].expand(-1, 4))
    torch.testing.assert_close(output[:, 4], torch.zeros(2))


@pytest.mark.parametrize(
    ("long_period", "first", "second"),
    [(8, 2, 3), (4, 3, 3), (12, 1, 2)],
    ids=["two seasons", "one season", "three seasons"],
)
def test_the_skip_starts_at_the_season_a_long_period_ago(long_period, first, second):
    network = WindowNetwork(make_config(long_period=long_period))
    bias = network.skip.choose.bias.detach().reshape(2, 6)
    assert bias.argmax(1).tolist() == [first, second]


@pytest.mark.parametrize("body", ["recurrent", "dense", "convolution"])
@pytest.mark.parametrize(("lookback", "season", "horizon"), [(14, 4, 5), (12, 1, 3), (3, 7, 1), (16, 4, 9)])
def test_every_input_reaches_every_output_and_rows_are_independent(body, lookback, season, horizon):
    config = make_config(
        body=body,
        lookback=lookback,
        season=season,
        horizon=horizon,
        long_period=min(season, lookback),
        masked=True,
        past_size=2,
        future_size=3,
        static_size=2,
        hidden_size=16,
    )
    torch.manual_seed(1)
    network = WindowNetwork(config).double()
    batch = make_batch(config)
    batch = Batch(*(part.double() if isinstance(part, torch.Tensor) else part for part in batch))
    for name in ("context", "past", "static", "future", "roughness"):
        part = getattr(batch, name).clone().requires_grad_()
        network(batch._replace(**{name: part}))[0].sum().backward()
        assert (part.grad[0] != 0).double().mean() > 0.5, name
        assert (part.grad[1] == 0).all(), name


def test_sample_by_sample_the_skip_has_the_last_value_and_nothing():
    config = make_config(season=1, lookback=6, horizon=3)
    network = WindowNetwork(config)
    silence_head(network)
    batch = make_batch(config)
    assert network.skip.choose.bias.reshape(3, 2).argmax(1).tolist() == [1, 1, 1]
    with torch.no_grad():
        network.skip.choose.bias.copy_(torch.tensor([100.0, -100, -100, 100, 100, -100]))
    last = batch.context[:, -1]
    expected = torch.stack([last, torch.zeros(2), last], 1)
    torch.testing.assert_close(network(batch)[:, :, 1], expected)


def test_a_padded_season_is_read_as_zeros_before_the_start():
    short, long = make_config(lookback=14), make_config(lookback=16)
    network, wide = WindowNetwork(short), WindowNetwork(long)
    wide.load_state_dict(network.state_dict())
    batch = make_batch(short)
    padded = batch._replace(
        context=torch.nn.functional.pad(batch.context, (2, 0)),
        observed=torch.ones(2, 16),
        past=torch.zeros(2, 16, 0),
        future=torch.zeros(2, 21, 0),
    )
    torch.testing.assert_close(network(batch), wide(padded))


def test_known_covariates_beyond_the_next_season_act_on_their_own_step_alone():
    config = make_config(future_size=2)
    network = WindowNetwork(config)
    batch = make_batch(config)
    changed = batch.future.clone()
    changed[:, config.lookback + 4] += 1.0
    difference = (network(batch._replace(future=changed)) - network(batch)).abs().sum((0, 2))
    assert difference[4] > 0
    assert difference[:4].tolist() == [0, 0, 0, 0]


def test_each_step_reads_what_is_known_of_the_samples_after_it():
    config = make_config(future_size=1, season=1, long_period=1, horizon=2)
    network = WindowNetwork(config)
    steps = network._inputs(make_batch(config))
    known = make_batch(config).future[:, :, 0]
    torch.testing.assert_close(steps[:, :, 1], known[:, 1:15])
