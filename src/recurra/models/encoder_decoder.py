"""The encoder-decoder: a source sequence in, a target sequence of another length out, with attention between."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from recurra.cells import Cell
from recurra.layers import Recurrent
from recurra.layers.arguments import check_count, check_dtype, check_flag, check_probability, check_seed
from recurra.layers.attention import Attention
from recurra.layers.noise import drop
from recurra.models.attention_decoder import AttentionDecoder
from recurra.models.bridge import Bridge
from recurra.models.memory import Decoded, DecoderState, Memory
from recurra.models.parts import (
    Form,
    check_head,
    check_types,
    read_attention,
    read_features,
    read_raw_steps,
    size_of,
    tie,
)
from recurra.models.writer import Writer

__all__ = ["EncoderDecoder"]


class EncoderDecoder(Writer):
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

    Sequences, of source and target, raw outputs, alignment and what is generated, are (time, batch), or (batch, time)
    with batch_first, or without a batch, (time,); of numbers they have a last axis more. Single steps have no time.
    States always have a batch, of one row where sequences have none.

    source: maps the source's steps, (time, batch) integers or (time, batch, size) numbers, to features, `output_size`
        many: `Embedding`, `OneHot` or `Real`, or a module of your own with that attribute.
    target: the same for the target; may be the source's, if both have one vocabulary.
    head: maps h~, (..., hidden_size), to raw outputs, `raw_size` many: `Softmax` for tokens; `Linear`, `Quantiles` or
        `MixtureDensity` for numbers. Of one that is no head of recurra, raw outputs are taken for logits of tokens.
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
    batch_first: whether the batch comes before time in all sequences that come and go.
    tied: whether the head's product shares the target embedding's weight (Press & Wolf 2017): one embedding in target,
        one nn.Linear in head, both (classes, hidden_size). What it reads is divided by sqrt(hidden_size), as `Softmax`
        says, if that has no `scale`. For vectors of another size build the head with `Softmax(..., tied=target)`. To
        share with the source too, pass one module twice.
    seed: initial weights of all but source, target and head come from this seed alone; None: from torch's generator.
    device, dtype: of all but source, target and head; None: as these have them, who must agree.

    Raises ArgumentError for any invalid argument.

    >>> from recurra.layers import Embedding, Softmax
    >>> words, head = Embedding(12, 8, seed=0), Softmax(16, 12, seed=1)
    >>> model = EncoderDecoder(words, words, head, hidden_size=16, seed=0)
    >>> source, target = torch.zeros(5, 2, dtype=torch.long), torch.zeros(7, 2, dtype=torch.long)
    >>> raw, alignment, state = model(source, target, source_lengths=[5, 3])
    >>> raw.shape, alignment.shape
    (torch.Size([7, 2, 12]), torch.Size([7, 2, 5]))
    >>> model.loss(source, target, source_lengths=[5, 3], target_lengths=[7, 2]).shape
    torch.Size([])
    >>> model.generate(source, begin=0, end=1, max_length=4).answers.shape
    torch.Size([4, 2])
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
        batch_first: bool = False,
        tied: bool = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_count("hidden_size", hidden_size)
        check_count("num_layers", num_layers)
        check_probability("dropout", dropout)
        check_flag("input_feeding", input_feeding)
        check_flag("tied", tied)
        check_seed(seed)
        check_dtype(dtype)
        self.hidden_size, self.tied, self.seed = hidden_size, tied, seed
        features, read = size_of("source", source, "output_size"), size_of("target", target, "output_size")
        self.raw_size = size_of("head", head, "raw_size")
        check_head(head, hidden_size, target)
        place, dtype = check_types({"head": head, "target": target, "source": source}, dtype)
        device = place if device is None else device
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
            device=device,
            dtype=dtype,
        )
        self.source, self.dropout = source, dropout
        self.encoder = layer(input_size=features, bidirectional=bidirectional, seed=seeds[0])
        self.bridge = Bridge(self.encoder, seed=seeds[1])
        self.decoder = AttentionDecoder(
            target,
            layer(input_size=read + hidden_size if input_feeding else read, seed=seeds[2]),
            read_attention(attention, hidden_size, self.encoder.output_size, seed=seeds[3], device=device, dtype=dtype),
            head,
            input_feeding=input_feeding,
            dropout=dropout,
            scheduled_sampling=scheduled_sampling,
            batch_first=batch_first,
            seed=seeds[4],
            device=device,
            dtype=dtype,
        )

    @property
    def batch_first(self) -> bool:
        """Whether the batch comes before time."""
        return self.decoder.batch_first

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

        source: (source_time, batch) integers or (source_time, batch, size) numbers; batch first if the model is, or
            without a batch.
        target_inputs: what each step reads: the begin token, then the target without its last.
        source_lengths, target_lengths: steps of each row, 0 to time; None: all. Padding may hold anything.
        need_alignment: whether the alignment is returned; "multihead" is faster without.
        Returns (raw, alignment, state): (time, batch, raw_size), (time, batch, source_time), both in the order of the
            target, and what the decoder remembers after each row's last step. alignment is None without attention.
        Raises ArgumentError if a shape or length does not fit.
        """
        memory = self.encode(source, source_lengths=source_lengths)
        return self.decode(target_inputs, memory, target_lengths=target_lengths, need_alignment=need_alignment)

    def loss(
        self,
        source: Tensor,
        target: Tensor,
        *,
        source_lengths: Tensor | Sequence[int] | None = None,
        target_lengths: Tensor | Sequence[int] | None = None,
    ) -> Tensor:
        """The head's mean loss over all steps of the target that there are, each foretold from those before it.

        It costs nothing of the head in padding.

        source, source_lengths: as for a call.
        target: the begin token and what is to be written behind it, with the end token: the model shifts it itself.
        target_lengths: steps of each row, with the begin and the end token; None: all.
        Raises ArgumentError if a shape, a length or a token does not fit.
        """
        memory = self.encode(source, source_lengths=source_lengths)
        return self.decoder.loss(target, memory, target_lengths=target_lengths)

    def encode(self, source: Tensor, *, source_lengths: Tensor | Sequence[int] | None = None) -> Memory:
        """What the decoder needs of a source: keys for attention, and its first state. Arguments as for a call."""
        return self._encode(source, source_lengths)[0]

    def decode(
        self,
        target_inputs: Tensor,
        memory: Memory,
        state: DecoderState | None = None,
        *,
        target_lengths: Tensor | Sequence[int] | None = None,
        need_alignment: bool = True,
    ) -> Decoded:
        """A call on what `encode` returned; chunk by chunk, with the state of the chunk before, equals the whole."""
        decoded: Decoded = self.decoder(
            target_inputs, memory, state, target_lengths=target_lengths, need_alignment=need_alignment
        )
        return decoded

    def step(
        self, token: Tensor, state: DecoderState | None, memory: Memory
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """One step of the decoder; step by step equals the whole target.

        token: (batch,) integers or (batch, size) numbers; or without a batch, and then so are raw and alignment.
        state: what the last step returned; None at the beginning.
        memory: what `encode` returned.
        Returns (raw, state, alignment): (batch, raw_size), what to pass to the next step, (batch, source_time).
        Raises ArgumentError if a shape does not fit.
        """
        return self.decoder.step(token, state, memory)

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

    def _encode(self, source: Tensor, source_lengths: Tensor | Sequence[int] | None) -> tuple[Memory, Form]:
        """What the decoder needs of a source, and the form that it has."""
        source, form, steps = read_raw_steps("source", source, source_lengths, batch_first=self.batch_first)
        features = form.time_first(read_features("source", self.source, source))
        y, last = self.encoder(drop(features, self.dropout, self.training), lengths=steps)  # time batch memory
        fed = y.new_zeros(y.shape[1], self.hidden_size) if self.decoder.input_feeding else None
        start = DecoderState(self.bridge(last), fed, torch.zeros(y.shape[1], dtype=torch.long, device=y.device))
        attention = self.decoder.attention
        return Memory(None if attention is None else attention.prepare(y, steps), start), form
