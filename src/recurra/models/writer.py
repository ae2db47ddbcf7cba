"""What an encoder-decoder does by itself: it writes targets, at once or answer by answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_seed
from recurra.layers.sampling import check_sampling, draw_classes
from recurra.models.attention_decoder import AttentionDecoder
from recurra.models.beam import BEAM_SIZE, Penalties, Searched, check_beam, search_beam
from recurra.models.decoding import (
    METHODS,
    Generated,
    Writing,
    check_drawing,
    check_method,
    check_numbers,
    evaluating,
)
from recurra.models.memory import DecoderState, Memory
from recurra.models.parts import Form, answers_with_classes, codes_of, read_features
from recurra.models.sequences import check_answers

__all__ = ["Writer"]


class Writer(nn.Module):
    """A model with a decoder that writes what follows from a source."""

    decoder: AttentionDecoder

    @torch.no_grad()
    def generate(
        self,
        source: Tensor,
        *,
        source_lengths: Tensor | Sequence[int] | None = None,
        begin: int | Tensor,
        end: int | None,
        max_length: int,
        method: Literal["greedy", "sample", "beam"] = "greedy",
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        beam_size: int = BEAM_SIZE,
        length_penalty: float = 0.6,
        coverage_penalty: float = 0.0,
        seed: int | None = None,
    ) -> Generated:
        """Write a target for each row of the source, in evaluation mode: tokens, with raw outputs as their logits, or
        the numbers that the head answers with.

            s(Y) = log P(Y) / ((5 + |Y|) / 6)^length_penalty + coverage_penalty * sum_i log(clip(sum_j a_ij, 0.001, 1))

        ranks what beam search found (after Wu et al. 2016); |Y| counts the end token, a_ij is the weight of source step
        i at token j.

        source, source_lengths: as for a call.
        begin: the token that the first step reads; of numbers a tensor (size,) for all rows, or (batch, size).
        end: the token that ends a row; None: there is none, and every row has max_length answers, as of numbers.
        max_length: answers at most, the end token included.
        method: "greedy", the likeliest token at each step, or the head's best guess; "sample", drawn; "beam", the best
            of several sequences of tokens.
        temperature, top_k, top_p: of "sample", as the head's own `sample` has them: 0 is greedy; only the k likeliest
            tokens are kept, and of these the fewest that have the probability top_p.
        beam_size, length_penalty, coverage_penalty: of "beam".
        seed: draws come from this seed alone; None: from torch's global generator.
        Returns (answers, state, lengths, scores, alignment), see `Generated`: (time, batch) without begin, then the end
            token from a row's end on; the decoder's state; answers before the end, (batch,); log P(Y) or s(Y),
            (batch,); (time, batch, source_time) or None. In the order of the source.
        Raises ArgumentError for an invalid argument, DivergedError if what the head puts out is NaN.
        """
        check_count("max_length", max_length)
        penalties = Penalties(length_penalty, coverage_penalty)
        check_beam(method, beam_size, penalties)
        if coverage_penalty and self.decoder.attention is None:
            raise ArgumentError(f"coverage_penalty is {coverage_penalty} and attention None; it needs weights: use 0")
        pick = self._read_choice(METHODS, method, max_length, end, temperature, top_k, top_p, seed)
        with evaluating(self):
            memory, form = self._encode(source, source_lengths)
            first = self._read_begin(begin, memory)
            if method == "beam":
                found = self._search(memory, first, end, max_length, beam_size, penalties)
            else:
                step = partial(self._step_on, memory)
                found = Writing(step, memory.start, first=first, end=end, max_length=max_length, pick=pick).collect()
        return found.restore(form)

    def stream(
        self,
        source: Tensor,
        *,
        source_lengths: Tensor | Sequence[int] | None = None,
        begin: int | Tensor,
        end: int | None,
        max_length: int | None = None,
        method: Literal["greedy", "sample"] = "greedy",
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> Writing:
        """`generate` answer by answer, each as soon as it is there: its arguments, and the very same answers.

        max_length: answers at most; None: until every row has ended.
        Returns an iterator of answers (batch,) or (batch, size), or without a batch, whose `alignment` is the last
        one's. The source is read at once, and errors are raised here.

        >>> from recurra.layers import Embedding, Softmax
        >>> from recurra.models import EncoderDecoder
        >>> words, head = Embedding(9, 4, seed=0), Softmax(8, 9, seed=1)
        >>> model = EncoderDecoder(words, words, head, hidden_size=8, seed=0)
        >>> source, options = torch.tensor([3, 1, 2]), {"begin": 0, "end": 1, "max_length": 5}
        >>> torch.stack(list(model.stream(source, **options))).equal(model.generate(source, **options).answers)
        True
        """
        pick = self._read_choice(METHODS[:2], method, max_length, end, temperature, top_k, top_p, seed)
        with torch.no_grad(), evaluating(self):
            memory, form = self._encode(source, source_lengths)
            first = self._read_begin(begin, memory)

        def step(answer: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
            with evaluating(self):
                return self.decoder.step(answer, state, memory)

        return Writing(step, memory.start, first=first, end=end, max_length=max_length, pick=pick, batched=form.batched)

    def _read_choice(
        self,
        methods: Sequence[str],
        method: str,
        max_length: int | None,
        end: int | None,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        seed: int | None,
    ) -> Callable[[Tensor], Tensor]:
        """What chooses answers of raw outputs, of checked arguments."""
        head = self.decoder.head
        check_method(method, max_length, end, classes=self.decoder.head.raw_size, methods=methods)
        check_answers("target", self.decoder.target, head)
        check_sampling(temperature, top_k, top_p, self.decoder.head.raw_size)
        check_drawing(method, temperature, top_k, top_p)
        check_seed(seed)
        device = next(self.decoder.parameters()).device
        generator = None if seed is None else torch.Generator(device).manual_seed(seed)
        temperature = temperature if method == "sample" else 0.0
        if answers_with_classes(head):
            return partial(draw_classes, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
        check_numbers(end, method, top_k, top_p)
        return partial(head.sample, temperature=temperature, generator=generator)

    def _read_begin(self, begin: object, memory: Memory) -> Tensor:
        """What the first step reads, for each row."""
        rows, head = len(memory.start.position), self.decoder.head
        if answers_with_classes(head):
            codes = codes_of(self.decoder.target)
            if not isinstance(begin, int) or isinstance(begin, bool) or not 0 <= begin < (codes or math.inf):
                among = "" if codes is None else f", 0 to {codes - 1}"
                raise ArgumentError(f"begin is {begin!r}; expected the int of a token of the target{among}")
            return torch.full_like(memory.start.position, begin)
        size = head.target_size
        if not isinstance(begin, Tensor) or begin.shape not in ((size,), (rows, size)):
            came = f"has shape {tuple(begin.shape)}" if isinstance(begin, Tensor) else f"is {begin!r}"
            raise ArgumentError(
                f"begin {came}; expected a tensor of numbers, ({size},) for all rows, or ({rows}, {size})"
            )
        read_features("begin", self.decoder.target, begin)
        return begin.expand(rows, -1)

    def _search(
        self, memory: Memory, first: Tensor, end: int | None, max_length: int, beam_size: int, penalties: Penalties
    ) -> Generated:
        present = None if memory.prepared is None else memory.prepared.present
        rows = torch.arange(len(first), device=first.device).repeat_interleave(beam_size)
        memory = memory.select(rows)
        return search_beam(
            self._step_in,
            Searched(memory, memory.start),
            first=first,
            end=end,
            max_length=max_length,
            beam_size=beam_size,
            penalties=penalties,
            present=None if present is None else present.unsqueeze(1),
        )

    def _step_in(self, token: Tensor, searched: Searched) -> tuple[Tensor, Searched, Tensor | None]:
        raw, state, alignment = self.decoder.step(token, searched.state, searched.memory)
        return raw, searched._replace(state=state), alignment

    def _step_on(
        self, memory: Memory, token: Tensor, state: DecoderState
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        return self.decoder.step(token, state, memory)

    def _encode(self, source: Tensor, source_lengths: Tensor | Sequence[int] | None) -> tuple[Memory, Form]:
        """What the decoder needs of a source, and the form that it has."""
        raise NotImplementedError
