"""What conditions make of linear recurrences, by hand."""

import torch

from recurra.engines.linear import LinearRecurrence


def column(*values, dtype=torch.float64):
    """One number per step, (time, batch, unit)."""
    return torch.tensor(values, dtype=dtype).view(-1, 1, 1)


def followed(recurrence, *start, reverse=False):
    states, last = recurrence.run([torch.full((1, 1), float(one)).double() for one in start], reverse=reverse)
    return [part.flatten().tolist() for part in states], [part.item() for part in last]


HALVED = LinearRecurrence({(0, 0): column(0.5)}, [column(1, 1, 1)])


def test_a_recurrence_runs_either_way():
    assert followed(HALVED, 8) == ([[5, 3.5, 2.75]], [2.75])
    assert followed(HALVED, 8, reverse=True) == ([[2.75, 3.5, 5]], [2.75])


def test_units_that_are_kept_stay_and_a_share_of_each_in_expectation():
    assert followed(HALVED.keep([column(0, 1, 0).bool()]), 8) == ([[5, 5, 3.5]], [3.5])
    assert followed(HALVED.keep([0.5]), 8) == ([[6.5, 5.375, 4.53125]], [4.53125])
    assert HALVED.keep([None]) == HALVED


def test_a_kept_field_leaves_what_others_read_of_it():
    pair = LinearRecurrence({(0, 1): column(3.0), (1, 1): column(2.0)}, [column(0, 0, 0), column(0, 0, 0)])
    assert followed(pair, 7, 1) == ([[3, 6, 12], [2, 4, 8]], [12, 8])
    assert followed(pair.keep([column(1, 0, 0).bool(), None]), 7, 1) == ([[7, 6, 12], [2, 4, 8]], [12, 8])
    assert followed(pair.keep([None, column(0, 1, 1).bool()]), 7, 1) == ([[3, 6, 6], [2, 2, 2]], [6, 2])


def test_what_has_no_matrix_can_be_kept():
    bare = LinearRecurrence({}, [column(1, 2, 3)])
    assert followed(bare, 9) == ([[1, 2, 3]], [3])
    assert followed(bare.keep([column(1, 0, 1).bool()]), 9) == ([[9, 2, 2]], [2])
    assert followed(bare.keep([0.25]), 8)[0] == [[2.75, 2.1875, 2.796875]]


def test_a_step_that_begins_anew_forgets_and_owes_its_restart():
    restart = torch.full((1, 1), 100.0).double().requires_grad_()
    recurrence = HALVED.begin_anew(column(0, 1, 0).bool(), [restart])
    states, _ = recurrence.run([torch.full((1, 1), 1e9).double()], reverse=False)
    assert states[0][1:].flatten().tolist() == [51, 26.5]
    states[0][1:].sum().backward()
    assert restart.grad.item() == 0.75


def test_one_step_of_all_times_at_once():
    assert HALVED.step([column(8, 0, 2)])[0].flatten().tolist() == [5, 1, 2]


def test_the_widest_type_wins():
    states, last = LinearRecurrence({(0, 0): column(0.5, dtype=torch.bfloat16)}, [column(1, 1).bfloat16()]).run(
        [torch.ones(1, 1)], reverse=False
    )
    assert states[0].dtype == last[0].dtype == torch.float32
    bare = LinearRecurrence({}, [column(1, 2).bfloat16()]).keep([0.5])
    assert bare.run([torch.ones(1, 1).bfloat16()], reverse=False)[0][0].dtype == torch.bfloat16
