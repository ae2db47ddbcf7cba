"""Work in the background is done in turn, and what it raises is heard."""

import threading

import pytest

from recurra.models.background import Background


@pytest.mark.parametrize("threads", [1, 2])
def test_all_is_done_in_turn(threads, monkeypatch):
    monkeypatch.setattr("recurra.models.background.torch.get_num_threads", lambda: threads)
    done = []
    with Background() as background:
        for number in range(5):
            background.run(lambda one: done.append((one, threading.current_thread())), number)
    assert [one for one, _ in done] == [0, 1, 2, 3, 4]
    assert {thread is threading.main_thread() for _, thread in done} == {threads == 1}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("more", [0, 1])
def test_what_is_raised_is_heard(threads, more, monkeypatch):
    monkeypatch.setattr("recurra.models.background.torch.get_num_threads", lambda: threads)
    with pytest.raises(ZeroDivisionError), Background() as background:
        background.run(lambda: 1 / 0)
        for _ in range(more):
            background.run(lambda: None)


def test_a_failure_in_the_first_thread_is_not_hidden(monkeypatch):
    monkeypatch.setattr("recurra.models.background.torch.get_num_threads", lambda: 2)
    with pytest.raises(KeyError, match="mine"), Background() as background:
        background.run(lambda: 1 / 0)
        raise KeyError("mine")
