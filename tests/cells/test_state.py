"""States: named tuples that travel."""

import copy
import pickle

import pytest
import torch
from torch.utils import _pytree as tree

from recurra.cells import State


def test_a_state_is_a_named_tuple():
    state = State(h=1, c=2)
    h, c = state
    assert (h, c, state.h, state[1], len(state)) == (1, 2, 1, 2, 2)
    assert state._asdict() == {"h": 1, "c": 2}
    assert isinstance(state, State)
    assert isinstance(state, tuple)
    assert not isinstance((1, 2), State)


def test_states_with_the_same_fields_have_one_type():
    assert type(State(h=1, c=2)) is type(State(h=3, c=4))
    assert type(State(h=1, c=2)) is not type(State(c=2, h=1))


@pytest.mark.parametrize("fields", [("h",), ("h", "c"), ("h", "c_low", "c"), ("h_c",)])
def test_pickle_and_deepcopy_keep_fields_and_values(fields):
    state = State(**{name: torch.tensor([float(index)]) for index, name in enumerate(fields)})
    for kept in (pickle.loads(pickle.dumps(state)), copy.deepcopy(state)):  # noqa: S301 - written here
        assert type(kept) is type(state)
        assert all(map(torch.equal, kept, state))
        assert kept[0] is not state[0]


def test_trees_of_torch_walk_into_a_state():
    doubled = tree.tree_map(lambda part: 2 * part, State(h=1, c=2))
    assert doubled == State(h=2, c=4)
    assert type(doubled) is type(State(h=1, c=2))
