"""Memory is used again once nothing reads it any more, and never before."""

import copy
import gc
import threading

import pytest
import torch

from recurra.compiler.toolchain import find_compiler
from recurra.engines import kernel
from recurra.engines.memory import Memory
from recurra.nn import LSTM


def make_memory(**limits):
    return Memory(**{"smallest": 100, "most": 10_000, **limits})


def test_a_block_is_used_again_when_its_tensor_is_gone():
    memory = make_memory()
    first = memory.take(100, torch.float32)
    place = first.data_ptr()
    assert first.shape == (100,)
    assert first.dtype == torch.float32
    assert memory.idle == 0
    del first
    assert memory.idle == 400
    assert memory.take(100, torch.float32).data_ptr() == place


def test_a_block_is_not_used_again_while_anything_shares_it():
    memory = make_memory()
    first = memory.take(100, torch.float32)
    part, shared = first[10:20].view(2, 5), first.detach()
    del first
    other = memory.take(100, torch.float32)
    other.fill_(7.0)
    part.fill_(1.0)
    shared[:10] = 2.0
    assert (other == 7.0).all()
    assert memory.idle == 0
    del part
    assert memory.idle == 0
    del shared
    assert memory.idle == 400


def test_a_copy_has_memory_of_its_own():
    memory = make_memory()
    first = memory.take(100, torch.float64)
    first.fill_(3.0)
    twin = copy.deepcopy(first)
    del first
    memory.take(100, torch.float64).fill_(5.0)
    assert (twin == 3.0).all()


@pytest.mark.parametrize(("count", "used_again"), [(100, True), (95, True), (80, True), (79, False), (101, False)])
def test_a_block_serves_what_is_not_much_smaller(count, used_again):
    memory = make_memory(smallest=1)
    place = memory.take(100, torch.float32).data_ptr()
    assert (memory.take(count, torch.float32).data_ptr() == place) is used_again


def test_small_and_huge_ones_are_left_to_the_allocator():
    memory = make_memory()
    for count in (24, 2501):
        memory.take(count, torch.float32)
        assert memory.idle == 0


def test_what_lies_idle_is_bounded_and_the_oldest_goes_first():
    memory = make_memory(most=1000)
    blocks = [memory.take(100 + place, torch.float32) for place in range(3)]
    last = blocks[2].data_ptr()
    while blocks:
        blocks.pop(0)
    assert memory.idle == 404 + 408
    assert memory.take(102, torch.float32).data_ptr() == last


def test_what_is_not_used_for_long_is_given_back():
    memory = make_memory()
    memory.take(100, torch.float32)
    for _ in range(40):
        memory.take(1000, torch.float32)
    assert memory.idle == 4000


def test_a_block_may_come_back_while_another_is_looked_for():
    """As when garbage is collected in the middle of it, in the same thread."""
    memory = make_memory()
    held = [memory.take(100, torch.float32)]
    done = threading.Event()

    def work():
        with memory._lock:
            held.clear()
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert done.wait(10)
    assert memory.idle == 400


def test_threads_never_get_the_same_block():
    memory, wrong = make_memory(), []

    def work(number):
        for _ in range(300):
            one = memory.take(200, torch.float32)
            one.fill_(number)
            if not (one == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_graphs_that_live_side_by_side_keep_their_tapes(monkeypatch):
    memory = make_memory(smallest=1, most=1 << 20)
    monkeypatch.setattr(kernel, "take", memory.take)
    layer = LSTM(2, 5)
    xs = [torch.randn(4, 3, 2) for _ in range(3)]
    expected = [torch.autograd.grad(layer(x)[0].sum(), layer.weight_hh_l0)[0] for x in xs]
    assert memory.idle > 0
    results = [layer(x)[0].sum() for x in xs]
    assert memory.idle == 0
    found = [torch.autograd.grad(one, layer.weight_hh_l0)[0] for one in reversed(results)]
    assert all(map(torch.equal, reversed(found), expected))
    del results
    gc.collect()
    assert memory.idle > 0
