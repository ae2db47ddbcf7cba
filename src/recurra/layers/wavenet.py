"""WaveNet: a stack of gated causal convolutions whose dilations let it see far back, for sound and long series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count
from recurra.layers.causal import convolve, padding_of
from recurra.layers.pasts import Past, Pasts, last_inputs
from recurra.layers.wavenet_inputs import WaveNetInputs
from recurra.layers.wavenet_stepping import check_engine, choose_engine, step_shortly

__all__ = ["WaveNet"]


class WaveNet(WaveNetInputs):
    """A stack of gated, dilated causal convolutions (van den Oord et al. 2016, WaveNet).

        h_0 = W x_t + b                                                 or a row of a table, for classes
        f, g = two halves of b_l + sum_k W_(l,k) h_(l, t - k d_l) + V_l c_t
        z_l = tanh(f) * sigmoid(g)
        h_(l+1) = h_l + R_l z_l
        y_t = W_o relu(W_s relu(b + sum_l S_l z_l) + b_s) + b_o

    input_size: features of x; classes of it, if embedding.
    output_size: features of y, the classes to choose from or the parameters of a distribution; no softmax is taken.
    channels: features of h and z.
    skip_channels: features of the sum of skips, and of the layer after it.
    kernel_size: steps that a convolution reads, 2 at least.
    dilations: d of each layer; repeat a cycle to see further: (1, 2, 4, 8) * 3.
    condition_size: features of c, what the series is conditioned on; 0: there is none.
    embedding: x holds classes, int64 without a feature axis, as `mu_law_encode` gives them.
    batch_first: x and y are (batch, time, feature) and not (time, batch, feature); states are the same either way.
    seed: initial weights come from this seed alone; None: from torch's global generator.

    R has no bias, for the one of the next convolution says the same. Weights of all layers lie in one parameter, layer
    first: a step reads all of the past in one product. Initial weights are uniform with variance 1 / (inputs of a unit)
    (LeCun et al. 1998), a table's standard normal; biases are 0, for z is small at first and must not be drowned.

    Raises ArgumentError for any invalid argument.

    >>> net = WaveNet(1, 256, channels=8, skip_channels=16, dilations=(1, 2, 4, 8), seed=0)
    >>> y, state = net(torch.zeros(20, 2, 1))  # time batch feature
    >>> y.shape, net.receptive_field
    (torch.Size([20, 2, 256]), 16)
    >>> y_t, state = net.step(torch.zeros(2, 1), state)
    >>> y_t.shape
    torch.Size([2, 256])
    """

    def forward(
        self,
        x: Any,
        state: Pasts | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        condition: Tensor | None = None,
    ) -> tuple[Any, Pasts]:
        """Outputs of every time step, and the state after the last.

        x: (time, batch, feature), or (batch, time, feature) if batch_first; or unbatched, (time, feature); or packed,
            or nested. With an embedding the classes, (time, batch), (batch, time) or (time,).
        state: what the call before returned; None: nothing was before, zeros in every convolution.
        lengths: steps of each row, 0 to time; None: all. Outputs past a row's end are 0, its state is the one at its
            end. What x holds past the end does not matter.
        condition: (batch, condition_size) for all steps, or one per step in the form of x; without a batch if x has
            none.
        Returns (y, state): y in the form of x with the features of the output.
        Raises ArgumentError if a shape, dtype, device, length or class does not fit.
        """
        sequences = self._read(x, lengths)
        time, rows = sequences.x.shape[:2]
        padding = padding_of(sequences)
        given = sequences.x
        if padding is not None:
            given = given.masked_fill(padding if given.dim() == 3 else padding.squeeze(2), 0)
        c = self._read_condition(condition, sequences, padding)
        h = self._enter(given)  # time batch channel
        pasts = self._read_state(state, h, sequences.batch)
        if not sequences.batch:
            pasts = [past.map(lambda part: part.unsqueeze(-2)) for past in pasts]
        total, lasts = self._run(h, pasts, c, sequences.lengths)
        y = self._leave(total).unflatten(0, (time, rows))
        y = y if padding is None else y.masked_fill(padding, 0)
        if not sequences.batch:
            lasts = [past.map(lambda part: part.squeeze(-2)) for past in lasts]
        return sequences.restore(y), Pasts(tuple(lasts))

    def step(self, x_t: Tensor, state: Pasts | None = None, *, condition: Tensor | None = None) -> tuple[Tensor, Pasts]:
        """One time step, for streams; step by step equals the whole sequence. It costs the same for any dilations.

        Under torch.no_grad() on the CPU one call of C takes it, in a small part of the time; `explain` says whether.

        x_t: (batch, feature) or (feature,); with an embedding (batch,) or ().
        state: what the last step returned; None at the beginning.
        condition: (batch, condition_size), or (condition_size,) without a batch.
        Returns (y_t, state): (batch, output) or (output,), and the state to pass to the next step.
        Raises ArgumentError if a shape or class does not fit.
        """
        if not torch.compiler.is_compiling():
            found = step_shortly(self, x_t, state, condition)
            if found is not None:
                return found
        self._check_step(x_t)
        h = self._enter(x_t)
        batch = tuple(h.shape[:-1])
        check_engine(self, batch[0] if batch else 1)
        pasts = self._read_state(state, h, batch)
        c = self._check_condition(condition, {len(batch) + 1: (*batch, self.condition_size)}, h)
        y_t, lasts = self._advance(h if batch else h.unsqueeze(0), pasts, c, bool(batch))
        return y_t if batch else y_t.squeeze(0), Pasts(lasts)

    @torch.no_grad()
    def generate(
        self,
        prompt: Tensor,
        steps: int,
        *,
        pick: Callable[[Tensor], Tensor],
        state: Pasts | None = None,
        condition: Tensor | None = None,
    ) -> tuple[Tensor, Pasts]:
        """Go on from a prompt, step by step, each output made the next input.

        prompt: one step at least, in the form of x, padded or unbatched.
        steps: how many to generate.
        pick: a function of the output of one step, (batch, output) or (output,), that returns the next input, as x_t.
        state: what the prompt follows on; None: nothing.
        condition: (batch, condition_size) for all steps, or in the form of the prompt one per step that is read: the
            prompt's, and all that are generated but the last. Without a batch if the prompt has none.
        Returns (x, state): the generated steps in the form of the prompt, and the state before the last of them is
        read: go on with it as the prompt.
        Raises ArgumentError if a shape does not fit.

        >>> net = WaveNet(256, 256, dilations=(1, 2, 4), embedding=True, seed=0)
        >>> codes, _ = net.generate(torch.tensor([128]), 5, pick=lambda y_t: y_t.argmax(-1))
        >>> codes.shape
        torch.Size([5])
        """
        check_count("steps", steps)
        if not isinstance(prompt, Tensor) or prompt.is_nested:
            raise ArgumentError(f"prompt is {type(prompt).__name__}; expected a tensor with as many steps for each row")
        time = 1 if self.batch_first and prompt.dim() == self._rank else 0
        told, read = condition, prompt.shape[time]
        per_step = isinstance(condition, Tensor) and condition.dim() == prompt.dim() + self.embedding
        if isinstance(condition, Tensor) and per_step:
            if condition.shape[time] != read + steps - 1:
                raise ArgumentError(
                    f"condition has {condition.shape[time]} steps; expected {read + steps - 1}: {read} of the prompt, "
                    f"and {steps - 1} for all that is generated but the last, which is not read"
                )
            told = condition.narrow(time, 0, read)
        y, state = self(prompt, state, condition=told)
        generated = [pick(y.select(time, -1))]
        for place in range(read, read + steps - 1):
            told = condition.select(time, place) if isinstance(condition, Tensor) and per_step else condition
            y_t, state = self.step(generated[-1], state, condition=told)
            generated.append(pick(y_t))
        return torch.stack(generated, time), state

    def explain(self) -> str:
        """What runs sequences and what runs steps, here and now, and why; a line each.

        >>> from recurra import engine
        >>> with engine("reference"):
        ...     print(WaveNet(1, 2).explain())
        sequences: by torch (a product for each tap of a layer, over all steps)
        steps: by torch (engine 'reference' is asked for)
        """
        choice = choose_engine(self)
        return (
            f"sequences: by torch (a product for each tap of a layer, over all steps)\n"
            f"steps: by {choice.engine} ({choice.why})"
        )

    def _run(
        self, h: Tensor, pasts: Sequence[Past], c: Tensor | None, lengths: Tensor | None
    ) -> tuple[Tensor, list[Past]]:
        """The sum of skips, (time*batch, skip), and the pasts at the end.

        h: (time, batch, channel). c: (time or 1, batch, condition).
        """
        steps = h.shape[:2]  # time batch
        taps = self.weight_dilated.unflatten(2, (self.kernel_size, -1)).permute(0, 2, 3, 1)  # layer tap channel gate
        skips = self.weight_skip.unflatten(1, (-1, self.channels)).permute(1, 2, 0)  # layer channel skip
        conditions = self.weight_condition if c is not None else [None] * len(pasts)
        residuals = [*self.weight_residual, None]
        total, lasts = self.bias_skip, []
        layers = zip(self.dilations, pasts, taps, self.bias_dilated, conditions, skips, residuals, strict=True)
        for dilation, past, tap, bias, v, skip, residual in layers:
            full = torch.cat([past.joined(), h])  # remembered+time batch channel
            lasts.append(last_inputs(full, len(past.block), lengths))
            gates = convolve(full.flatten(0, 1), tap.unbind(), bias, apart=dilation * steps[1])  # time*batch 2*channel
            if c is not None:
                gates = (gates.unflatten(0, steps) + F.linear(c, v)).flatten(0, 1)
            z = _gated(gates)
            total = torch.addmm(total, z, skip)
            h = h if residual is None else torch.addmm(h.flatten(0, 1), z, residual.t()).unflatten(0, steps)
        return total, lasts

    def _advance(
        self, h: Tensor, pasts: Sequence[Past], c: Tensor | None, batched: bool
    ) -> tuple[Tensor, tuple[Past, ...]]:
        """One step of (batch, channel). What layers read of the past is known before the first has run: one product."""
        views, earlier = self._views(), range(self.kernel_size - 1, 0, -1)
        taps = torch.stack([past.ago(k * d) for past, d in zip(pasts, self.dilations, strict=True) for k in earlier])
        if len(earlier) == 1 and batched:
            read = taps  # layer batch channel
        else:
            read = taps.view(len(pasts), len(earlier), h.shape[0], self.channels).transpose(1, 2).flatten(2)
        bias = views.bias
        if c is not None:
            bias = bias + torch.matmul(c if batched else c.unsqueeze(0), self.weight_condition.transpose(1, 2))
        before = torch.baddbmm(bias, read, views.old)  # layer batch 2*channel
        zs, lasts = [], []
        for past, gates, tap, residual in zip(pasts, before.unbind(), views.new, views.residuals, strict=True):
            lasts.append(past.after(h if batched else h.squeeze(0)))
            z = _gated(torch.addmm(gates, h, tap))
            zs.append(z)
            h = h if residual is None else torch.addmm(h, z, residual)
        hidden = torch.addmm(self.bias_skip, torch.cat(zs, 1), views.skip).relu()
        hidden = torch.addmm(self.bias_hidden, hidden, views.hidden).relu()
        return torch.addmm(self.bias_output, hidden, views.output), tuple(lasts)

    def _enter(self, x: Tensor) -> Tensor:
        if not self.embedding:
            return F.linear(x, self.weight_input, self.bias_input)
        try:
            return F.embedding(x, self.weight_input)
        except IndexError as error:
            raise ArgumentError(
                f"x holds classes {int(x.min())} to {int(x.max())}; expected 0 to {self.input_size - 1}, as input_size "
                f"says"
            ) from error

    def _leave(self, total: Tensor) -> Tensor:
        hidden = F.linear(total.relu(), self.weight_hidden, self.bias_hidden)
        return F.linear(hidden.relu(), self.weight_output, self.bias_output)


def _gated(gates: Tensor) -> Tensor:
    """tanh(f) * sigmoid(g) of (rows, f and g)."""
    f, g = gates.chunk(2, 1)
    return f.tanh() * g.sigmoid()
