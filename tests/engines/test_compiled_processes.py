"""Kernels among threads and processes, and what their calls leave behind in the processor."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import recurra
from recurra.compiler.toolchain import find_compiler
from recurra.nn import Recurrent

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")


def draw(*shape, seed=3):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def run_whole(layer):
    layer(torch.ones(3, 1, 2))[0].sum().backward()


@torch.no_grad()
def run_without_gradients(layer):
    layer(torch.ones(9, 7, 2))


@torch.no_grad()
def take_a_step(layer):
    layer.step(torch.ones(1, 2))


def stream_a_step(layer):
    layer.stream()(torch.ones(2).numpy())


@pytest.mark.parametrize("call", [run_whole, run_without_gradients, take_a_step, stream_a_step])
def test_denormal_numbers_are_numbers_after_a_call_too(call):
    tiny, layer = torch.tensor([1e-30]), Recurrent("gru", 2, 3, seed=0)
    assert (tiny * 1e-10).item() > 0
    with recurra.engine("compiled"):
        call(layer)
    assert (tiny * 1e-10).item() > 0


def results(layer, x):
    """Outputs and all gradients."""
    x = x.clone().requires_grad_()
    with recurra.engine("compiled"):
        y, _ = layer(x)
    return [y.detach(), *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])]


def test_threads_call_the_same_and_other_layers_at_once():
    shared = Recurrent("gru", 2, 7, seed=0)
    layers = [shared, shared, Recurrent("cfc", 2, 7, seed=1), Recurrent("lstm", 2, 7, layer_norm=True, seed=2)]
    inputs = [draw(9, 4, 2, seed=seed) for seed in range(4)]
    alone, found = [results(layer, x) for layer, x in zip(layers, inputs, strict=True)], [None] * 4
    start = threading.Barrier(4)

    def work(place):
        start.wait()
        found[place] = [results(layers[place], inputs[place]) for _ in range(10)]

    workers = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for expected, runs in zip(alone, found, strict=True):
        assert all(torch.equal(one, other) for run in runs for one, other in zip(run, expected, strict=True))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_with_one_thread_goes_on(in_a_fork):
    """As the workers of a data loader are."""
    layer, x = Recurrent("lstm", 2, 7, seed=0), draw(9, 4, 2)
    expected, _ = layer(x)

    def child():
        torch.set_num_threads(1)
        with torch.no_grad(), recurra.engine("compiled"):
            assert torch.equal(layer(x)[0], expected)

    assert in_a_fork(child) == 0


POOR = """
import resource, torch, recurra
from recurra.nn import Recurrent

torch.set_num_threads(1)
layer, x = Recurrent("elman", 2, 4000, seed=0), torch.ones(2, 9, 2)
Recurrent("elman", 2, 64)(x)  # builds the kernel
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (4 << 20)  # the packed weights alone are 64 MB
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    with torch.no_grad(), recurra.engine("compiled"):
        layer(x)
except recurra.errors.RecurraError as error:
    print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the size of a process is not known here")
def test_without_memory_for_its_buffers_a_call_says_so():
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", POOR], capture_output=True, text=True, timeout=60)
    assert ran.stdout.startswith("there is no memory for the kernel's buffers; use a smaller batch"), ran.stderr
