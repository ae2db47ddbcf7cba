"""A sine wave, a window of 50 samples, LSTM(50), Dense(1): `python examples/sine.py sine.png --epochs 30`.

The network reads 50 samples of a noisy wave and answers with the next one. On the last fifth of the wave, which it has
not seen, it answers twice: sample after sample from the true past, and on its own, reading its own answers.
"""

import argparse
import importlib.util
import time

import torch
from matplotlib.figure import Figure

from recurra.models import Seq2Vec
from recurra.nn import Linear, Real, Recurrent

WINDOW, BATCH = 50, 32
torch.set_num_threads(1)  # so small a network is as fast on one
torch.manual_seed(0)
wave = torch.sin(2 * torch.pi * torch.arange(2000) / 40) + 0.05 * torch.randn(2000)
windows = wave.unfold(0, WINDOW + 1, 1).T.unsqueeze(-1)  # time batch feature: each window, and the sample after it
x, target = windows[:-1], windows[-1]
split = int(0.8 * len(wave)) - WINDOW  # windows whose target is in the first four fifths

model = Seq2Vec(Real(1), Recurrent("lstm", 1, 50, seed=0), Linear(50, 1, seed=0))
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)


def train_epoch() -> float:
    """One pass over the training windows; the seconds that it took."""
    begun = time.perf_counter()
    for rows in torch.randperm(split).split(BATCH):
        optimizer.zero_grad()
        model.loss(x[:, rows], target[rows]).backward()
        optimizer.step()
    return time.perf_counter() - begun


def continue_wave(seen: torch.Tensor, steps: int) -> torch.Tensor:
    """What the model makes of a window (time, 1) when it reads its own answers."""
    for _ in range(steps):
        seen = torch.cat([seen, model.predict(seen[-WINDOW:]).detach().unsqueeze(0)])
    return seen[-steps:]


def time_keras() -> str:
    """How long Keras takes for its second epoch of the same network, where it is installed."""
    if importlib.util.find_spec("keras") is None:
        return "not installed"
    from keras import Sequential, layers

    rival = Sequential([layers.LSTM(50), layers.Dense(1)])
    rival.compile("adam", "mse")
    for _ in range(2):
        begun = time.perf_counter()
        rival.fit(x[:, :split].transpose(0, 1).numpy(), target[:split].numpy(), batch_size=BATCH, verbose=0)
    return f"{time.perf_counter() - begun:.2f} s"


def train(epochs: int) -> float:
    """That many passes, in ever smaller steps; the median of the seconds that one took."""
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    seconds = []
    for _ in range(epochs):
        seconds.append(train_epoch())
        schedule.step()
    return sorted(seconds)[epochs // 2]


def main(path: str, epochs: int) -> None:
    """Train, measure, and draw both answers into a file at the path."""
    seconds = train(epochs)
    truth, next_ones = target[split:], model.predict(x[:, split:]).detach()
    error = (next_ones - truth).square().mean().sqrt()
    print(f"test error {error:.3f} (the noise alone is 0.050), {seconds:.2f} s an epoch; Keras: {time_keras()}")
    axes = Figure(figsize=(10, 4), layout="constrained").subplots()
    axes.plot(truth, color="0.7", linewidth=4, label="truth")
    axes.plot(next_ones, label="next sample, from the true past")
    axes.plot(continue_wave(x[:, split], len(truth)), "--", label="on its own")
    axes.set(xlabel="samples after the training part", ylim=(-1.4, 1.8))
    axes.legend(ncols=3)
    axes.figure.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train an LSTM to continue a noisy sine wave, and draw it.")
    parser.add_argument("path", nargs="?", default="sine.png", help="figure to write")
    parser.add_argument("--epochs", type=int, default=30, help="passes over the training windows")
    arguments = parser.parse_args()
    main(arguments.path, arguments.epochs)
