"""The encoder-decoder: a source sequence in, a target sequence of another length out, with attention between."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.cells import Cell
from recurra.errors import ArgumentError
from recurra.layers import Recurrent
from recurra.layers.arguments import check_count, check_flag, check_probability, check_seed
from recurra.layers.attention import Attention
from recurra.models.attention_decoder import AttentionDecoder, Decoded, DecoderState, Memory, read_raw_steps
from recurra.models.beam import Penalties, check_beam, search_beam
from recurra.models.bridge import Bridge
from recurra.models.decoding import Generated, check_decoding, decode, evaluating
from recurra.models.parts import check_head, read_attention, size_of, tie
from recurra.models.sampling import check_sampling, draw_tokens

__all__ = ["EncoderDecoder"]


class EncoderDecoder(nn.Module):
    """A recurrence reads the source, another writes the target (Sutskever et al. 2014), looking back at the source
    by attention (Bahdanau et al. 2015; the order of Luong et al. 2015).

        m_1 .. m_S, s_S = encoder(source)
        s_0 = bridge(s_S)                              `Bridge`
        h_t, s_t = decoder(target_(t-1), s_(t-1))      or of [target_(t-1); h~_(t-1)] with input feeding
        c_t = attention(h_t, m)
        h~_t = tanh(W_c [c_t; h_t] + b_c)              h~_t = h_t without attention
        raw_t = head(h~_t)

    The decoder runs over the whole target in one call of its layer, and attends for all steps in one product; only
    input feeding and scheduled sampling need step by step. `explain` says which it is.

    source: maps the source's steps, (time, batch) integers or (time, batch, size) numbers, to features, `output_size`
        many; nn.Embedding lacks that attribute, so set it, or take one of recurra's inputs.
    target: the same for the target; may be the source's, if both have one vocabulary.
    head: maps h~, (..., hidden_size), to raw outputs, `raw_size` many.
    cell: of both recurrences, as `Recurrent` takes it.
    hidden_size: units of the decoder's layers, and of the encoder's in each direction.
    num_layers: of each of the two.
    attention: "additive", "dot", "general", "local" (predictive, a window of 10) or "multihead"; or an Attention of
        query_size hidden_size and memory_size the encoder's outputs; None: the bridge is all that is passed on.
    bidirectional: whether the encoder reads the source from its end, too: then it has 2 * hidden_size outputs.
    input_feeding: whether h~ is an input of the next step (Luong et al. 2015), so that it knows what was looked at.
    dropout: probability with which elements of both inputs' features, between layers and of h~ are zeroed in training.
    recurrent_dropout: as `Recurrent` has it, in both.
    scheduled_sampling: probability with which a step of training reads a token that the model itself drew at the step
        before (Bengio et al. 2015); an attribute that may be raised while training goes on.
    tied: whether the head's product shares the target embedding's weight (Press & Wolf 2017): one nn.Embedding in
        target, one nn.Linear in head, both (classes, hidden_size). To share with the source too, pass one module twice.
    seed: initial weights of all but source, target and head come from this seed alone; None: from torch's generator.

    Raises ArgumentError for any invalid argument.

    >>> words = nn.Embedding(12, 8)
    >>> words.output_size = 8
    >>> head = nn.Linear(16, 12)
    >>> head.raw_size = 12
    >>> model = EncoderDecoder(words, words, head, hidden_size=16, seed=0)
    >>> source, target = torch.zeros(5, 2, dtype=torch.long), torch.zeros(7, 2, dtype=torch.long)
    >>> raw, alignment, state = model(source, target, source_lengths=[5, 3])
    >>> raw.shape, alignment.shape
    (torch.Size([7, 2, 12]), torch.Size([7, 2, 5]))
    >>> model.generate(source, begin=0, end=1, max_length=4).tokens.shape[1]
    2
    """

    def __init__(
        self,
        source: nn.Module,
        target: nn.Module,
        head: nn.Module,
        *,
        hidden_size: int,
        cell: str | type[Cell] | Cell = "gru",
        num_layers: int = 1,
        attention: str | Attention | None = "general",
        bidirectional: bool = True,
        input_feeding: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        scheduled_sampling: float = 0.0,
        tied: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_count("hidden_size", hidden_size)
        check_count("num_layers", num_layers)
        check_probability("dropout", dropout)
        check_flag("input_feeding", input_feeding)
        check_flag("tied", tied)
        check_seed(seed)
        self.hidden_size, self.tied, self.seed = hidden_size, tied, seed
        features, read = size_of("source", source, "output_size"), size_of("target", target, "output_size")
        self.raw_size = size_of("head", head, "raw_size")
        check_head(head, hidden_size)
        if tied:
            tie(target, head, hidden_size)
        seeds: list[int | None] = [None] * 5
        if seed is not None:
            seeds = torch.randint(2**62, (5,), generator=torch.Generator().manual_seed(seed)).tolist()
        layer = partial(
            Recurrent,
            cell,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout if num_layers > 1 else 0.0,
            recurrent_dropout=recurrent_dropout,
        )
        self.source, self.dropout = source, dropout
        self.encoder = layer(input_size=features, bidirectional=bidirectional, seed=seeds[0])
        self.bridge = Bridge(self.encoder, seed=seeds[1])
        self.decoder = AttentionDecoder(
            target,
            layer(input_size=read + hidden_size if input_feeding else read, seed=seeds[2]),
            read_attention(attention, hidden_size, self.encoder.output_size, seeds[3]),
            head,
            input_feeding=input_feeding,
            dropout=dropout,
            scheduled_sampling=scheduled_sampling,
            seed=seeds[4],
        )

    @property
    def scheduled_sampling(self) -> float:
        """The probability with which training reads the model's own tokens; may be set at any time."""
        return self.decoder.scheduled_sampling

    @scheduled_sampling.setter
    def scheduled_sampling(self, value: float) -> None:
        self.decoder.scheduled_sampling = value

    def forward(
        self,
        source: Tensor,
        target_inputs: Tensor,
        *,
        source_lengths: Tensor | Sequence[int] | None = None,
        target_lengths: Tensor | Sequence[int] | None = None,
        need_alignment: bool = True,
    ) -> Decoded:
        """Raw outputs of every step of the target, given what is before it (teacher forcing).

        source: (source_time, batch) integers or (source_time, batch, size) numbers.
        target_inputs: what each step reads: the begin token, then the target without its last.
        source_lengths, target_lengths: steps of each row, 0 to time; None: all. Padding may hold anything.
        need_alignment: whether the alignment is returned; "multihead" is faster without.
        Returns (raw, alignment, state): (time, batch, raw_size), (time, batch, source_time) and what the decoder
            remembers after each row's last step. alignment is None without attention.
        Raises ArgumentError if a shape or length does not fit.
        """
        memory = self.encode(source, source_lengths)
        decoded: Decoded = self.decoder(target_inputs, memory, lengths=target_lengths, need_alignment=need_alignment)
        return decoded

    def encode(self, source: Tensor, lengths: Tensor | Sequence[int] | None = None) -> Memory:
        """What the decoder needs of a source: keys for attention, and its first state. Arguments as for a call."""
        source, steps = read_raw_steps("source", source, lengths)
        features = F.dropout(self.source(source), self.dropout, self.training)
        y, last = self.encoder(features, lengths=steps)  # time batch memory
        fed = y.new_zeros(y.shape[1], self.hidden_size) if self.decoder.input_feeding else None
        start = DecoderState(self.bridge(last), fed, torch.zeros(y.shape[1], dtype=torch.long, device=y.device))
        attention = self.decoder.attention
        return Memory(None if attention is None else attention.prepare(y, steps), start)

    def decode(
        self,
        target_inputs: Tensor,
        memory: Memory,
        state: DecoderState | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        need_alignment: bool = True,
    ) -> Decoded:
        """A call on what `encode` returned; chunk by chunk, with the state of the chunk before, equals the whole."""
        decoded: Decoded = self.decoder(target_inputs, memory, state, lengths=lengths, need_alignment=need_alignment)
        return decoded

    def step(
        self, token: Tensor, state: DecoderState | None, memory: Memory
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """One step of the decoder; step by step equals the whole target.

        token: (batch,) integers or (batch, size) numbers.
        state: what the last step returned; None at the beginning.
        memory: what `encode` returned.
        Returns (raw, state, alignment): (batch, raw_size), what to pass to the next step, (batch, source_time).
        Raises ArgumentError if a shape does not fit.
        """
        return self.decoder.step(token, state, memory)

    @torch.no_grad()
    def generate(
        self,
        source: Tensor,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        begin: int,
        end: int | None,
        max_length: int,
        method: Literal["greedy", "sample", "beam"] = "greedy",
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        beam_size: int = 5,
        length_penalty: float = 0.6,
        coverage_penalty: float = 0.0,
        seed: int | None = None,
    ) -> Generated:
        """Write a target for each row of the source, in evaluation mode, with raw outputs as logits of tokens.

            s(Y) = log P(Y) / ((5 + |Y|) / 6)^length_penalty + coverage_penalty * sum_i log(min(sum_j a_ij, 1))

        ranks what beam search found (Wu et al. 2016); |Y| counts the end token, a_ij is the weight of source step i at
        token j.

        source, lengths: as for a call.
        begin: the token that the first step reads.
        end: the token that ends a row; None: there is none, and every row has max_length tokens.
        max_length: tokens at most, the end token included.
        method: "greedy", the likeliest token at each step; "sample", drawn; "beam", the best of several sequences.
        temperature, top_k, top_p: of "sample": logits are divided by the first, only the k likeliest tokens are kept
            (Fan et al. 2018), and of these the fewest that have the probability top_p (Holtzman et al. 2020).
        beam_size, length_penalty, coverage_penalty: of "beam".
        seed: draws come from this seed alone; None: from torch's global generator.
        Returns (tokens, lengths, scores, alignment): (time, batch) without begin, then the end token from a row's end
            on; tokens before the end, (batch,); log P(Y) or s(Y), (batch,); (time, batch, source_time) or None.
        Raises ArgumentError for an invalid argument, DivergedError if what the head puts out is NaN.
        """
        check_decoding(begin, end, max_length, method, self.raw_size)
        check_sampling(method, temperature, top_k, top_p)
        check_beam(beam_size, length_penalty, coverage_penalty)
        if coverage_penalty and self.decoder.attention is None:
            raise ArgumentError(f"coverage_penalty is {coverage_penalty} and attention None; it needs weights: use 0")
        check_seed(seed)
        with evaluating(self):
            memory = self.encode(source, lengths)
            device = memory.start.position.device
            first = torch.full_like(memory.start.position, begin)
            if method == "beam":
                present = None if memory.prepared is None else memory.prepared.present
                rows = torch.arange(len(first), device=device).repeat_interleave(beam_size)
                memory = memory.select(rows)
                return search_beam(
                    partial(self._step_on, memory),
                    memory.start,
                    first=first,
                    end=end,
                    max_length=max_length,
                    beam_size=beam_size,
                    penalties=Penalties(length_penalty, coverage_penalty),
                    present=None if present is None else present.unsqueeze(1),
                )
            pick = partial(torch.argmax, dim=-1)
            if method == "sample":
                generator = None if seed is None else torch.Generator(device).manual_seed(seed)
                pick = partial(draw_tokens, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
            return decode(
                partial(self._step_on, memory), memory.start, first=first, end=end, max_length=max_length, pick=pick
            )

    def explain(self) -> str:
        """Which engine runs each part here and now, and whether the target is read at once or step by step, and why."""
        why = self.decoder.why_stepwise
        passes = "the whole target in one call" if why is None else f"step by step ({why})"
        attention = self.decoder.attention
        looks = "no attention" if attention is None else f"{type(attention).__name__}, "
        if attention is not None:
            looks += "all steps in one product" if why is None else "a product at each step"
        return "\n".join(
            [f"encoder {line}" for line in self.encoder.explain().splitlines()]
            + [f"decoder {line}" for line in self.decoder.recurrent.explain().splitlines()]
            + [f"decoder: {passes}; {looks}"]
        )

    def _step_on(
        self, memory: Memory, token: Tensor, state: DecoderState
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        return self.decoder.step(token, state, memory)
