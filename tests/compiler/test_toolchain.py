"""Finding the compiler, with every way in which one can be missing or broken."""

import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

from recurra.compiler import toolchain
from recurra.compiler.toolchain import find_compiler, invoke, why_no_compiler
from recurra.errors import BuildError, Notice

pytestmark = [
    pytest.mark.usefixtures("fresh_search"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="they compare with the system's cc"),
]


@pytest.fixture
def no_zig(monkeypatch):
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)


def test_the_systems_compiler_is_found_and_described():
    compiler = find_compiler()
    assert compiler.command == (shutil.which("cc"),)
    assert re.search(r"\d+\.\d+", compiler.version)
    assert "\n" not in compiler.version
    assert {"-O3", "-shared", "-fPIC", "-ffp-contract=fast", "-fno-math-errno"} <= set(compiler.flags)
    assert not {"-ffast-math", "-Ofast", "-fno-signed-zeros", "-ffinite-math-only"} & set(compiler.flags)
    assert compiler.openmp == ("-fopenmp" in compiler.flags)
    assert compiler.cpu
    assert why_no_compiler() == ""


def test_it_is_looked_for_once_and_again_when_the_environment_changes(script, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", str(script(f"echo called >> {tmp_path}/calls")))
    first = find_compiler()
    calls = (tmp_path / "calls").read_text()
    assert find_compiler() is first
    assert (tmp_path / "calls").read_text() == calls
    monkeypatch.delenv("CC")
    assert find_compiler().command == (shutil.which("cc"),)


def test_cc_may_hold_arguments_and_quotes(script, tmp_path, monkeypatch):
    (tmp_path / "with space").mkdir()
    wrapped = script("", name="with space/cc")
    monkeypatch.setenv("CC", f"'{wrapped}' -DNDEBUG '-DTEXT=a b'")
    assert find_compiler().command == (str(wrapped), "-DNDEBUG", "-DTEXT=a b")


def test_a_relative_command_is_made_absolute(script, tmp_path, monkeypatch):
    script("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CC", "./wrapped-cc")
    assert find_compiler().command == (str(tmp_path / "wrapped-cc"),)


@pytest.mark.parametrize(
    ("cc", "reason"),
    [
        ("false", "CC=false: it ended with status 1"),
        ("no-such-compiler -O9", "CC=no-such-compiler -O9: it is not there"),
        ("true", r"CC=true: what it builds cannot be loaded"),
        ("cc 'half", r"CC=cc 'half: it is not there"),
    ],
)
def test_a_cc_that_does_not_work_is_passed_over_with_a_notice(cc, reason, monkeypatch):
    monkeypatch.setenv("CC", cc)
    with pytest.warns(Notice, match=rf"{reason}.*; cc is used instead"):
        compiler = find_compiler()
    assert compiler.command == (shutil.which("cc"),)


def test_recurra_cc_is_the_only_one_tried(monkeypatch):
    monkeypatch.setenv("RECURRA_CC", "false")
    assert find_compiler() is None
    assert why_no_compiler() == (
        "the compiler that RECURRA_CC names does not work (RECURRA_CC=false: it ended with status 1); "
        "unset it to try others"
    )


def test_none_turns_the_compiler_off(monkeypatch):
    monkeypatch.setenv("RECURRA_CC", "none")
    monkeypatch.setenv("CC", "cc")
    assert find_compiler() is None
    assert why_no_compiler() == "RECURRA_CC=none turns the compiler off; unset it"


def test_without_any_the_line_says_what_was_tried_and_what_to_install(no_zig, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert find_compiler() is None
    assert why_no_compiler() == (
        "no C compiler found ($CC, cc, gcc, clang, python -m ziglang cc); install one, or recurra[cc]"
    )


def test_where_all_are_broken_the_line_says_how(no_zig, tmp_path, monkeypatch):
    broken = tmp_path / "gcc"
    broken.write_text("#!/bin/sh\necho 'gcc: fatal error: cannot execute cc1' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compiler() is None
    assert why_no_compiler() == (
        "no C compiler works (gcc: gcc: fatal error: cannot execute cc1); install one, or recurra[cc]"
    )


def test_zig_is_the_last_and_is_not_taken_from_the_working_folder(monkeypatch):
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: name == "ziglang" or None)
    *before, last = toolchain._candidates("", "", os.environ["PATH"])
    assert "cc" in dict(before)
    assert last == ("python -m ziglang cc", (sys.executable, "-P", "-m", "ziglang", "cc"))


@pytest.mark.parametrize(("refused", "kept"), [("-fopenmp", "native"), ("native", "-fopenmp"), ("native|-fopenmp", "")])
def test_flags_that_the_compiler_refuses_are_left_out(script, monkeypatch, refused, kept):
    usual = " ".join(find_compiler().flags)
    cases = " | ".join(f"*{word}*" for word in refused.split("|"))
    monkeypatch.setenv("RECURRA_CC", str(script(f'case "$*" in {cases}) echo "error: unknown"; exit 1;; esac')))
    compiler = find_compiler()
    flags = " ".join(compiler.flags)
    assert not re.search(refused, flags)
    assert (kept in flags) == (kept in usual)
    assert compiler.openmp == ("-fopenmp" in flags)


def test_a_compiler_that_computes_something_else_is_refused(script, tmp_path, monkeypatch):
    (tmp_path / "other.c").write_text("double trial(const float *from) { return from[0]; }\n")
    output = r"out=$(echo \"$*\" | sed 's/.* -o \([^ ]*\).*/\1/')".replace('\\"', '"')
    real = " ".join(find_compiler().command)
    body = f'{output}; case "$*" in *trial.c*) exec {real} -shared -fPIC {tmp_path}/other.c -o "$out";; esac'
    monkeypatch.setenv("RECURRA_CC", str(script(body)))
    assert find_compiler() is None
    assert "what it builds computes 0.5 where 29 is right" in why_no_compiler()


def test_a_hanging_compiler_is_ended_with_all_that_it_started(tmp_path):
    program = f"(sleep 1; touch {tmp_path}/late) & wait"
    started = time.monotonic()
    with pytest.raises(BuildError, match=r"it took more than 0\.2 s and was stopped"):
        invoke(["/bin/sh", "-c", program], tmp_path, 0.2)
    assert time.monotonic() - started < 0.9
    time.sleep(1)
    assert not (tmp_path / "late").exists()


def test_a_compiler_has_no_localised_messages_and_a_private_mask(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    said = invoke(["/bin/sh", "-c", "echo $LC_ALL; umask; echo $TMPDIR"], tmp_path, 10)
    assert said.split() == ["C", "0077", str(tmp_path)]


def test_a_compiler_does_not_read_what_the_process_is_given(tmp_path):
    (tmp_path / "input").write_text("precious")
    standard_input = os.dup(0)
    try:
        with (tmp_path / "input").open() as file:
            os.dup2(file.fileno(), 0)
            assert invoke(["/bin/cat"], tmp_path, 10) == ""
    finally:
        os.dup2(standard_input, 0)
        os.close(standard_input)


@pytest.mark.parametrize("cc", ["cc", "false"])
def test_no_temporary_file_is_left(cc, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("RECURRA_CC", cc)
    assert (find_compiler() is None) == (cc == "false")
    assert list(Path(tmp_path).iterdir()) == []
