"""Labels without their times, for speech and handwriting: connectionist temporal classification."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.errors import ArgumentError
from recurra.layers.arguments import check_count, check_flag
from recurra.layers.head import Head, check_mask, check_raw
from recurra.layers.inputs import check_codes
from recurra.layers.lengths import lengths_of_mask, read_lengths
from recurra.layers.sampling import check_temperature, draw_classes

__all__ = ["CTC"]


class CTC(Head):
    """Labels without their times: which letters were said, not when (Graves et al. 2006).

        p_t = softmax(V h_t + c)                                over the blank, 0, and the labels, 1 to num_classes
        loss: -log of the probability of all paths that read as the target, once repeats and then blanks are taken
            away, per label of the target

    num_classes: labels that there are, without the blank: 1 to num_classes. In a target, 0 pads the rows' ends.
    batch_first: raw outputs are (batch, time, raw) and not (time, batch, raw).

    Numbers of half precision are computed with in float32.

    >>> head = CTC(4, 3, seed=0)
    >>> path = torch.tensor([0, 2, 2, 0, 2, 3])
    >>> head.predict(F.one_hot(path, 4).float())
    tensor([2, 2, 3])
    """

    stepwise = False

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        *,
        batch_first: bool = False,
        seed: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_flag("batch_first", batch_first)
        super().__init__(input_size, check_count("num_classes", num_classes) + 1, seed=seed, device=device, dtype=dtype)
        self.num_classes, self.batch_first = num_classes, batch_first

    def loss(self, raw: Tensor, target: Tensor, mask: Tensor | None = None, *, target_lengths: Any = None) -> Tensor:
        """The mean over the rows of a batch: raw outputs (time, batch, raw_size).

        target: labels (batch, longest target), 1 to num_classes; a row may have none.
        mask: (time, batch), True where a row has a step, at its front; None: everywhere.
        target_lengths: labels of each row, behind which target may hold anything; None: those in front of the row's
            first 0, behind which only 0 may stand.
        Raises ArgumentError if shape or label does not fit, or a row has fewer steps than its target needs: one a
        label, and one between two that are the same.
        """
        steps = self._steps(raw)
        time, batch = steps.shape[:2]
        if mask is not None:
            check_mask(mask, raw.shape[:-1])
        shape = (time, batch)
        lengths = None if mask is None else lengths_of_mask(mask, shape=shape, batch_first=self.batch_first)
        lengths = torch.full((batch,), time) if lengths is None else lengths.cpu()
        target, counts = self._read_target(target, batch, target_lengths)
        _check_room(target, counts, lengths)
        if not steps.numel():
            return raw.sum()
        log_p = steps.to(torch.promote_types(steps.dtype, torch.float32)).log_softmax(-1)
        each = F.ctc_loss(log_p, target, lengths, counts, reduction="none")
        return (each / counts.clamp(min=1).to(each)).mean()

    def predict(self, raw: Tensor, *, lengths: Any = None) -> Any:
        """The labels that the likeliest path reads as: a tensor for each row, or one where raw is (time, raw_size).

        lengths: steps of each row; None: all.
        Raises ArgumentError if shape or length does not fit.
        """
        check_raw(raw, self.raw_size)
        return self._collapse(draw_classes(raw, temperature=0), lengths)

    def sample(
        self,
        raw: Tensor,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        lengths: Any = None,
    ) -> Any:
        """The labels that a random path reads as, each step drawn with probability softmax(raw / temperature);
        temperature 0: the likeliest path, as `predict` has it.

        lengths: steps of each row; None: all.
        Raises ArgumentError for a temperature below 0, or a shape or length that does not fit.
        """
        check_raw(raw, self.raw_size)
        check_temperature(temperature)
        return self._collapse(draw_classes(raw, temperature=temperature, generator=generator), lengths)

    def _steps(self, raw: Tensor) -> Tensor:
        """(time, batch, raw)"""
        check_raw(raw, self.raw_size)
        if raw.dim() != 3:
            axes = "(batch, time, raw_size)" if self.batch_first else "(time, batch, raw_size)"
            raise ArgumentError(f"raw has shape {tuple(raw.shape)}; expected {axes}")
        return raw.transpose(0, 1) if self.batch_first else raw

    def _read_target(self, target: Tensor, batch: int, target_lengths: Any) -> tuple[Tensor, Tensor]:
        """Labels (batch, longest), and how many each row has."""
        if not isinstance(target, Tensor) or target.dim() != 2 or len(target) != batch:
            came = f"has shape {tuple(target.shape)}" if isinstance(target, Tensor) else f"is {type(target).__name__}"
            raise ArgumentError(f"target {came}; expected labels ({batch}, longest target), 0 behind a row's last one")
        target = target if target.shape[1] else target.new_zeros(batch, 1)  # no label at all
        longest = target.shape[1]
        if target_lengths is None:
            counts = _count_labels(target)
        else:
            read = read_lengths(target_lengths, batch=batch, time=longest, name="target_lengths", of="target")
            counts = torch.full((batch,), longest) if read is None else read
        mask = torch.arange(longest) < counts.unsqueeze(1)
        advice = "0 is the blank, labels begin at 1, and target_lengths tells what is padding"
        mask = mask.to(target.device)
        return check_codes("target", target, self.num_classes, first=1, mask=mask, advice=advice), counts

    def _collapse(self, path: Tensor, lengths: Any) -> Any:
        batched = path.dim() == 2
        rows = path.unsqueeze(0) if not batched else path if self.batch_first else path.T  # batch time
        read = read_lengths(lengths, batch=len(rows), time=rows.shape[1], of="raw")
        counts = [rows.shape[1]] * len(rows) if read is None else read.tolist()
        labels = [torch.unique_consecutive(row[:count]) for row, count in zip(rows, counts, strict=True)]
        labels = [row[row != 0] for row in labels]
        return labels if batched else labels[0]


def _count_labels(target: Tensor) -> Tensor:
    """How many labels each row has in front of its first 0; raise ArgumentError if something else stands behind it."""
    labels = target != 0
    counted = labels.cumprod(1).bool()
    if bool((labels & ~counted).any()):
        row, place = (labels & ~counted).nonzero()[0].tolist()
        raise ArgumentError(
            f"target[{row}, {place}] is {int(target[row, place])}, behind a 0; 0 is the blank and pads a row's end, "
            f"labels begin at 1: add 1 to labels that begin at 0, or pass target_lengths"
        )
    return counted.sum(1).cpu()


def _check_room(target: Tensor, counts: Tensor, lengths: Tensor) -> None:
    """Raise ArgumentError unless each row has the steps that its target needs."""
    target = target.cpu()
    inside = torch.arange(1, target.shape[1]) < counts.unsqueeze(1)
    needed = counts + ((target[:, 1:] == target[:, :-1]) & inside).sum(1)
    short = (needed > lengths).nonzero()
    if len(short):
        row = int(short[0])
        raise ArgumentError(
            f"row {row} has {int(lengths[row])} steps, its target of {int(counts[row])} labels needs "
            f"{int(needed[row])}, one a label and one between two that are the same; leave the row out or give it steps"
        )
