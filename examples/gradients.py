"""How far back three layers learn on the same random input: docs/gradients.png, and the words beside it."""

import sys

import torch

from recurra import diagnose
from recurra.nn import Recurrent
from recurra.reports import write_gradients

SIZES = {"input_size": 8, "hidden_size": 64, "seed": 0}
LAYERS = {
    "elman": Recurrent("elman", **SIZES),
    "lstm": Recurrent("lstm", **SIZES),
    "lstm, forget_bias=3": Recurrent("lstm", **SIZES, forget_bias=3.0),
}


def main(path: str = "docs/gradients.png") -> None:
    batch = torch.randn(100, 16, 8, generator=torch.Generator().manual_seed(0))  # time batch feature
    diagnoses = {name: diagnose(layer, batch) for name, layer in LAYERS.items()}
    for name, diagnosis in diagnoses.items():
        print(f"{name}\n{diagnosis}\n")
    print(write_gradients(path, diagnoses))


if __name__ == "__main__":
    main(*sys.argv[1:])
