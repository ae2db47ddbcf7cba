"""The window forecaster: a context in, the whole horizon out, every quantile at once.

    z   = body(x_1 .. x_S)                       the S seasons of the context, oldest first
    a_d = softmax(A_d z + b_d)                   S + 2 shares for each season d of the horizon
    y_k = sum_s a_ds x_s[k] + a_d,S+1 x_last + head_k(z, f_k)     k = 1 .. horizon, d the season that k lies in

A step of the body is a whole season: with `season` = 24 a recurrent net reads one day of hourly values per step, so
that two weeks are 14 steps of its memory instead of 336. `season` = 1 is the ordinary net. A context that is no
multiple of the season is padded before its start. Each step also reads what is known in advance of the samples after
it, so that the net learns on its way how a holiday tomorrow changes what follows.

The first terms are the *skip*: a naive forecast whose choice is learned and depends on the window. It starts at the
season a `long_period` ago and may move to other seasons, to the last value, or to nothing (the last share), which is
the window's level. With `season` = 1 it has the last value and nothing to choose from, and starts at nothing. The head
with known covariates f_k follows the local decoder of Wen et al. (2017), "A multi-horizon quantile recurrent
forecaster".
"""

from __future__ import annotations

from typing import Literal

import pydantic
import torch
from torch import Tensor, nn

from recurra.cells import Cell
from recurra.data.windows import Batch
from recurra.models.bodies import Convolutional, Dense, RecurrentBody

__all__ = ["WindowConfig", "WindowNetwork"]

_FIRST_CHOICE = 3.0  # logit of the season a long period ago, at the start
_CONTEXT = 32  # numbers that a step of the horizon gets from the summary, where covariates are known


class WindowConfig(pydantic.BaseModel):
    """The architecture of a `WindowNetwork`; everything needed to build it again."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    body: Literal["recurrent", "dense", "convolution"] = "recurrent"
    cell: str = "gru"
    hidden_size: int = pydantic.Field(ge=1)
    num_layers: int = pydantic.Field(ge=1)
    dropout: float = pydantic.Field(ge=0, lt=1)
    lookback: int = pydantic.Field(ge=1)
    """Past samples the network sees."""
    horizon: int = pydantic.Field(ge=1)
    """Samples it forecasts."""
    season: int = pydantic.Field(ge=1)
    """Samples read by one step of the body."""
    long_period: int = pydantic.Field(ge=1)
    """The longest period, where the skip starts, in samples."""
    masked: bool
    """Whether the network is told which samples were observed."""
    past_size: int = pydantic.Field(ge=0)
    future_size: int = pydantic.Field(ge=0)
    static_size: int = pydantic.Field(ge=0)
    output_size: int = pydantic.Field(ge=1)
    """Quantiles a step, or 1 for a point."""

    @property
    def steps(self) -> int:
        """Steps that the body reads: seasons in the context, the oldest one perhaps in part."""
        return -(-self.lookback // self.season)


class WindowNetwork(nn.Module):
    """The network of a `WindowConfig`.

    Args:
        config: the architecture.
        cell: the recurrence itself where it is not one of recurra's own names.
    """

    def __init__(self, config: WindowConfig, *, cell: Cell | None = None) -> None:
        super().__init__()
        self.config = config
        samples = 1 + config.masked + config.past_size + config.future_size
        features = config.season * samples + 1 + config.static_size
        width, layers, dropout = config.hidden_size, config.num_layers, config.dropout
        self.body: nn.Module
        if config.body == "recurrent":
            self.body = RecurrentBody(cell or config.cell, features, width, num_layers=layers, dropout=dropout)
        elif config.body == "dense":
            self.body = Dense(config.steps * features, width, num_layers=layers, dropout=dropout)
        else:
            self.body = Convolutional(features, width, steps=config.steps, dropout=dropout)
        self.skip = Skip(config)
        self.head = Head(config)

    def forward(self, batch: Batch) -> Tensor:
        """The scaled forecast of each window: (batch, horizon, output)."""
        z: Tensor = self.body(self._inputs(batch))  # batch hidden
        output: Tensor = self.head(z, batch.static, batch.future[:, self.config.lookback :])
        skipped: Tensor = self.skip(z, self._by_season(batch.context.unsqueeze(-1)))
        return output + skipped.unsqueeze(-1)

    def _inputs(self, batch: Batch) -> Tensor:
        """What each step of the body reads: (batch, step, feature)."""
        parts = [batch.context.unsqueeze(-1)]
        if self.config.masked:
            parts.append(batch.observed.unsqueeze(-1))
        ahead = min(self.config.season, self.config.horizon)  # a step reads what is known of the samples after it
        parts += [batch.past, batch.future[:, ahead : self.config.lookback + ahead]]
        steps = self._by_season(torch.cat(parts, -1))
        whole = torch.cat([torch.log(batch.roughness + 1e-4).unsqueeze(-1) / 2, batch.static], -1)
        return torch.cat([steps, whole.unsqueeze(1).expand(-1, steps.shape[1], -1)], -1)

    def _by_season(self, samples: Tensor) -> Tensor:
        """(batch, lookback, feature) as (batch, step, season * feature), padded before its start."""
        missing = -self.config.lookback % self.config.season
        padded = nn.functional.pad(samples, (0, 0, missing, 0))
        return padded.reshape(len(samples), self.config.steps, -1)


class Skip(nn.Module):
    """The learned naive: for each season ahead a blend of the context's seasons, the last value and nothing."""

    def __init__(self, config: WindowConfig) -> None:
        super().__init__()
        self.horizon = config.horizon
        self.steps = config.steps if config.season > 1 else 0
        ahead = -(-config.horizon // config.season)
        self.choose = nn.Linear(config.hidden_size, ahead * (self.steps + 2))
        nn.init.zeros_(self.choose.weight)
        back = max(1, config.long_period // config.season)  # seasons from the long period's start to the cutoff
        bias = torch.zeros(ahead, self.steps + 2)
        for season in range(ahead):
            bias[season, max(0, self.steps - back + season % back) if self.steps else -1] = _FIRST_CHOICE
        self.choose.bias = nn.Parameter(bias.flatten())

    def forward(self, z: Tensor, seasons: Tensor) -> Tensor:
        """The skip (batch, horizon) from z (batch, hidden) and the seasons (batch, step, season), oldest first."""
        logits: Tensor = self.choose(z)
        weights = logits.reshape(len(z), -1, self.steps + 2).softmax(-1)  # batch season-ahead choice
        last = seasons[:, -1:, -1:].expand(-1, 1, seasons.shape[-1])
        choices = [seasons] if self.steps else []
        blend = weights @ torch.cat([*choices, last, torch.zeros_like(last)], 1)
        return blend.flatten(1)[:, : self.horizon]


class Head(nn.Module):
    """From the body's summary to every step's outputs; starts near zero, so that training starts at the skip.

    o = V z                                     without known covariates
    o_k = V relu(A [c_k, f_k]), c = C z         with known covariates f_k of step k
    """

    def __init__(self, config: WindowConfig) -> None:
        super().__init__()
        self.shape = (config.horizon, config.output_size)
        width = config.hidden_size + config.static_size
        if config.future_size:
            self.context = nn.Linear(width, config.horizon * _CONTEXT)
            self.local = nn.Sequential(
                nn.Linear(_CONTEXT + config.future_size, config.hidden_size),
                nn.ReLU(),
                _quiet(nn.Linear(config.hidden_size, config.output_size)),
            )
        else:
            self.direct = _quiet(nn.Linear(width, config.horizon * config.output_size))

    def forward(self, z: Tensor, static: Tensor, future: Tensor) -> Tensor:
        """Outputs (batch, horizon, output) of z (batch, hidden), static (batch, S), future (batch, horizon, F)."""
        z = torch.cat([z, static], -1)
        if not future.shape[-1]:
            return self.direct(z).reshape(len(z), *self.shape)  # type: ignore[no-any-return]
        c = self.context(z).reshape(len(z), self.shape[0], _CONTEXT)
        output: Tensor = self.local(torch.cat([c, future], -1))
        return output


def _quiet(layer: nn.Linear) -> nn.Linear:
    with torch.no_grad():
        layer.weight.mul_(0.3)
        layer.bias.zero_()
    return layer
