"""The tables in Markdown."""

from recurra.bench import describe_machine, write_markdown
from recurra.bench.kernels import Section
from recurra.bench.records import Check, Record
from recurra.bench.sizes import Size

ONE = Record("LSTM", "torch.nn", Size(50, 32, 1, 50), 1, 2e-3, 4e-3, (1.9, 2.1), "layer 0: lstm by compiled (fastest)")
SECTION = Section(
    "train",
    "Training step against torch.nn",
    (
        Check("LSTM, 1 thread, geometric mean", ">=", 1.8, 2.0),
        Check("the least of all, 1 thread", ">=", 1.0, 0.5, note="GRU"),
    ),
    (ONE, ONE._replace(threads=2, ours=1e-3), ONE._replace(subject="GRU", size=Size(100, 1, 64, 64), theirs=1e-3)),
)
MACHINE = {"cpu": "A processor", "cores": 2, "load": 0.0, "torch": "2.13.0", "jax": None}


def test_goals_come_first_with_misses_in_bold():
    page = write_markdown([SECTION], MACHINE)
    assert page.splitlines()[:6] == [
        "Machine: A processor, 2 cores; load 0.0, torch 2.13.0.",
        "",
        "| row | what | goal | measured |  | where, why |",
        "|---|---|---|---|---|---|",
        "| Training step against torch.nn | LSTM, 1 thread, geometric mean | >= 1.8x | 2x | met |  |",
        "|  | the least of all, 1 thread | >= 1x | 0.5x | **missed** | GRU |",
    ]


def test_details_are_by_size_and_subject_with_threads_side_by_side():
    assert write_markdown([SECTION], MACHINE).splitlines()[-8:] == [
        "### Training step against torch.nn",
        "",
        "The peer's time over ours, and ours in ms; 1 / 2 threads. Engines: GRU by compiled, LSTM by compiled.",
        "",
        "| T, B, I, H | LSTM | GRU |",
        "|---|---|---|",
        "| 50, 32, 1, 50 | 2 / 4 (2 / 1) | - |",
        "| 100, 1, 64, 64 | - | 0.5 (2) |",
    ]


def test_the_machine_is_named():
    machine = describe_machine()
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert machine["torch"]
