"""`recurra doctor`."""

import os
import platform
import shlex
import shutil
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch

from recurra.compiler import toolchain
from recurra.compiler.toolchain import find_compiler
from recurra.errors import BuildError
from recurra.version import __version__

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="it examines the system's cc")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Another user's start: an own cache and nothing that says which compiler to take."""
    for name in ("CC", "RECURRA_CC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RECURRA_CACHE", str(tmp_path / "cache"))
    toolchain._search_among.cache_clear()
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def self_test(monkeypatch):
    """Says what the self-test finds: rows, or an error; two good rows if it is not called."""
    module = types.ModuleType("recurra.engines.selftest")
    module.__spec__ = ModuleSpec(module.__name__, None)
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def finds(*rows, error=None):
        def run():
            if error:
                raise error
            return list(rows)

        module.run = run

    finds(("lstm forward", True, "error 1.2e-07"), ("lstm backward", True, "error 3.4e-07"))
    return finds


def lines(said):
    """What is printed, by its label; the last of several lines of one label."""
    return {line[:12].strip(): line[12:] for line in said.out.splitlines()}


@needs_compiler
def test_a_healthy_machine_is_described_in_whole(shell, cache):
    found = shell.does("doctor", "--json").json
    assert found["versions"] == {
        "recurra": __version__,
        "torch": torch.__version__,
        "numpy": found["versions"]["numpy"],
        "python": platform.python_version(),
    }
    assert found["processor"]["torch threads"] == torch.get_num_threads()
    assert 1 <= found["processor"]["cores"] <= os.cpu_count()
    assert set(found["processor"]["vectors"]) <= {"avx2", "fma", "avx512f", "neon"}
    compiler = find_compiler()
    assert shlex.split(found["compiler"]["command"]) == list(compiler.command)
    assert found["compiler"]["flags"] == list(compiler.flags)
    assert (found["compiler"]["version"], found["compiler"]["openmp"]) == (compiler.version, compiler.openmp)
    assert found["compiler"]["problem"] is None
    assert found["cache"] == {"folder": str(cache), "libraries": 0, "megabytes": 0.0, "problem": None}
    assert [row["name"] for row in found["self-test"]] == ["lstm forward", "lstm backward"]


@needs_compiler
def test_people_read_the_same_in_lines(shell, cache):
    said = lines(shell.does("doctor"))
    assert list(said) == ["versions", "processor", "compiler", "", "cache", "self-test"]
    assert said["versions"].startswith(f"recurra {__version__}, torch {torch.__version__}, numpy ")
    assert f"torch uses {torch.get_num_threads()} threads" in said["processor"]
    assert said["compiler"].startswith(find_compiler().version)
    assert said[""] == " ".join([*find_compiler().command, *find_compiler().flags])
    assert said["cache"] == f"{cache}, 0 libraries, 0.0 MB"
    assert said["self-test"] == "ok      lstm backward: error 3.4e-07"


@needs_compiler
def test_quiet_prints_problems_only(shell, self_test):
    assert shell.does("doctor", "--quiet").out == ""
    self_test(("lstm forward", True, "error 1.2e-07"), ("gru forward", False, "error 0.3"))
    said = shell("doctor", "--quiet")
    assert (said.code, said.out) == (1, "self-test   FAILED  gru forward: error 0.3\n")


@needs_compiler
def test_a_failed_self_test_is_exit_code_1(shell, self_test):
    self_test(("lstm forward", False, "error 0.3"), ("gru forward", True, "error 1e-07"))
    said = shell("doctor", "--json")
    assert said.code == 1
    assert [row["passed"] for row in said.json["self-test"]] == [False, True]
    assert said.err == ""


@needs_compiler
def test_a_kernel_that_cannot_be_built_is_a_failed_self_test(shell, self_test):
    self_test(error=BuildError("a kernel could not be built: x.c:1:1: error"))
    said = shell("doctor")
    assert said.code == 1
    assert lines(said)["self-test"] == "FAILED  build: a kernel could not be built: x.c:1:1: error"


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"RECURRA_CC": "none"}, "RECURRA_CC=none turns the compiler off; unset it"),
        (
            {"PATH": ""},
            "no C compiler found ($CC, cc, gcc, clang, python -m ziglang cc); install one, or recurra[cc]",
        ),
    ],
)
def test_without_a_compiler_one_line_says_so_and_all_is_well(shell, monkeypatch, self_test, variables, reason):
    real = toolchain.importlib.util.find_spec
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None if name == "ziglang" else real(name))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    self_test(("lstm forward", False, "nothing to test with"))
    assert lines(shell.does("doctor"))["compiler"] == f"{reason}; until then everything works, slower"
    found = shell.does("doctor", "--json").json
    assert found["compiler"] == {"command": None, "problem": reason}
    assert found["self-test"] == []


def test_a_cc_that_does_not_work_is_a_note(shell, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    said = shell.does("doctor")
    if shutil.which("cc"):
        assert said.notes == ["CC=no-such-compiler: it is not there; cc is used instead"]


def test_a_cache_that_others_may_write_to_is_a_problem(shell, cache):
    cache.mkdir()
    cache.chmod(0o777)
    problem = f"others may write to {cache} (`chmod go-w` ends that)"
    assert shell.does("doctor", "--json").json["cache"] == {"folder": str(cache), "problem": problem}
    assert f"cache       {problem}; kernels are built again in every process\n" in shell.does("doctor", "--quiet").out


def put(path, size):
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def test_the_cache_is_counted_and_cleared(shell, cache):
    cache.mkdir(mode=0o700)
    for number in range(3):
        put(cache / "ab" / f"lstm-{number:064x}.so", 500_000)
        put(cache / "ab" / f"lstm-{number:064x}.c", 1_000)
    kept = put(cache / "ab" / "notes.txt", 5)
    found = shell.does("doctor", "--json").json["cache"]
    assert (found["libraries"], found["megabytes"]) == (3, 1.503)
    assert shell.does("doctor", "--clear-cache").out == f"3 built libraries deleted from {cache}\n"
    assert list(cache.rglob("*.*")) == [kept]
    assert shell.does("doctor", "--clear-cache", "--json").json == {"folder": str(cache), "deleted": 0}
    assert shell.does("doctor", "--clear-cache", "--quiet").out == ""


def test_a_cache_that_others_may_write_to_is_not_cleared(shell, cache):
    cache.mkdir(mode=0o700)
    kept = put(cache / "ab" / f"lstm-{0:064x}.so", 5)
    cache.chmod(0o777)
    said = shell.refuses("doctor", "--clear-cache", code=1)
    assert said == f"the cache was not cleared: others may write to {cache} (`chmod go-w` ends that)"
    assert kept.exists()


def test_the_help_has_an_example(shell):
    said = shell.does("doctor", "--help").out
    assert said.startswith("Usage: recurra doctor ")
    assert "Example: recurra doctor" in said
    assert Path(shell.folder, "cache").exists() is False
