"""How fast the kernels are, beside their peers and beside what was to be reached: what `recurra bench` runs."""

from recurra.bench.kernels import Section, list_rows, measure
from recurra.bench.machine import describe_machine
from recurra.bench.markdown import write_markdown
from recurra.bench.rows import QUICK, Settings

__all__ = ["QUICK", "Section", "Settings", "describe_machine", "list_rows", "measure", "write_markdown"]
