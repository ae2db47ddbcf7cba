"""Kernels: every row of `recurra bench kernels`, kept with the machine, and the tables of the README.

JAX and onnxruntime are measured if they are installed (pip install -c constraints.txt '.[bench]'). It wants the machine
for itself: with two threads on two cores, another process that works can make a step last a hundred times as long.
Usage: python kernels.py
"""

from __future__ import annotations

import sys

from shared import keep

from recurra.bench import describe_machine, measure, write_markdown


def main() -> None:
    """Measure, keep, print."""
    machine = describe_machine()
    sections = measure(on_case=say)
    keep("kernels", {"measured with": machine, "rows": [section.to_json() for section in sections]})
    print(write_markdown(sections, machine))


def say(row: str, case: str, done: int, total: int) -> None:
    """A line for each case, on standard error."""
    print(f"{row}: {done}/{total} {case}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
