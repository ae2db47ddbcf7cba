"""Naming the processor, from what /proc/cpuinfo says on several kinds."""

from recurra.compiler import processor as module
from recurra.compiler.processor import processor

X86 = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Processor
cpu MHz\t\t: {clock}
flags\t\t: fpu avx2{more}
"""
ARM = """processor\t: {number}
Features\t: fp asimd
CPU implementer\t: 0x41
CPU part\t: {part}
"""


def test_the_processor_is_named_and_its_instructions_listed():
    found = module._read(X86.format(clock=2600, more=" avx512f"))
    assert found.model == "Intel(R) Xeon(R) Processor"
    assert found.instructions == {"fpu", "avx2", "avx512f"}


def test_the_identity_depends_on_the_instructions_and_not_on_the_clock():
    usual = module._read(X86.format(clock=2600, more=""))
    assert module._read(X86.format(clock=1200, more="")).identity == usual.identity
    assert module._read(X86.format(clock=2600, more=" avx512f")).identity != usual.identity


def test_cores_that_differ_are_all_in_the_identity():
    little, big = ARM.format(number=0, part="0xd05"), ARM.format(number=1, part="0xd0b")
    both = module._read(little + big)
    assert both.instructions == {"fp", "asimd"}
    assert both.identity == module._read(big + little).identity
    assert len({both.identity, module._read(little).identity, module._read(big).identity}) == 3


def test_this_machine_has_one():
    found = processor()
    assert found.model
    assert found.identity.startswith(found.model)
    assert processor() is found


def test_a_machine_that_describes_nothing_is_named_by_its_kind():
    assert module._read("").model == module.platform.machine()
