"""Constructor arguments: invalid ones raise and say what to pass."""

import pytest
import torch

from recurra.errors import ArgumentError, Notice
from recurra.nn import Recurrent


@pytest.mark.parametrize(
    ("sizes", "named", "words"),
    [
        ((0, 3), {}, "input_size is 0; expected an int of at least 1"),
        ((2, -1), {}, "hidden_size is -1"),
        ((2, 3.0), {}, "hidden_size is 3.0"),
        ((2, 3, 0), {}, "num_layers is 0"),
        ((2, 3, True), {}, "num_layers is True"),
        ((2, 3, 2), {"dropout": 1.7}, "dropout is 1.7; expected a probability from 0 to 1"),
        ((2, 3, 2), {"dropout": -0.1}, "dropout is -0.1"),
        ((2, 3, 2), {"dropout": float("nan")}, "dropout is nan"),
        ((2, 3, 2), {"dropout": "0.5"}, "dropout is '0.5'"),
        ((2, 3, 2), {"dropout": True}, "dropout is True"),
        ((2, 3), {"bias": 1}, "bias is 1; expected True or False"),
        ((2, 3), {"batch_first": None}, "batch_first is None"),
        ((2, 3), {"bidirectional": "yes"}, "bidirectional is 'yes'"),
        ((2, 3), {"seed": -1}, "seed is -1"),
        ((2, 3), {"seed": 1.5}, "seed is 1.5"),
        ((2, 3), {"dtype": torch.int64}, "dtype is torch.int64"),
    ],
)
def test_an_invalid_argument_is_named(sizes, named, words):
    with pytest.raises(ArgumentError) as caught:
        Recurrent("gru", *sizes, **named)
    assert words in str(caught.value)


def test_an_unknown_cell_is_named():
    with pytest.raises(ArgumentError, match="did you mean 'gru'"):
        Recurrent("gruu", 1, 2)


def test_dropout_without_a_second_layer_is_noticed():
    with pytest.warns(Notice, match=r"dropout=0.2 acts between layers") as caught:
        Recurrent("gru", 1, 2, dropout=0.2)
    assert caught[0].filename == __file__


def test_options_after_the_sizes_are_keywords():
    with pytest.raises(TypeError, match="positional"):
        Recurrent("gru", 1, 2, 1, True)
