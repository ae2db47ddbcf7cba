"""Building and loading, with every way in which the cache, the compiler or a neighbour can spoil it."""

import atexit
import ctypes
import hashlib
import os
import shutil
import threading
import time
import warnings
from pathlib import Path

import pytest

from recurra.compiler import build
from recurra.compiler.build import compile_library, load_library
from recurra.compiler.cache import private_folder
from recurra.compiler.toolchain import Compiler, find_compiler
from recurra.errors import BuildError, Notice

pytestmark = [
    pytest.mark.usefixtures("fresh_search"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="nothing to build with"),
]

SOURCE = "#include <math.h>\ndouble answer(void) { return 41 + exp(0.0); }\n"


def answer(library):
    library.answer.restype = ctypes.c_double
    return library.answer()


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def forget(monkeypatch):
    """As a new process would start."""
    monkeypatch.setattr(build, "_loaded", {})
    monkeypatch.setattr(build, "_noticed", set())


@pytest.fixture
def place(own_cache, tmp_path, monkeypatch):
    """Where the library of SOURCE will be in `own_cache`, found out in another cache."""
    monkeypatch.setenv("RECURRA_CACHE", str(tmp_path / "elsewhere"))
    load_library(SOURCE, "lstm")
    monkeypatch.setenv("RECURRA_CACHE", str(own_cache))
    forget(monkeypatch)
    (found,) = (tmp_path / "elsewhere").rglob("*.so")
    return own_cache / found.relative_to(tmp_path / "elsewhere")


def plant(path, data, checksum=None):
    path.parent.mkdir(mode=0o700, parents=True)
    path.write_bytes(data)
    path.chmod(0o700)
    path.with_suffix(".sha256").write_text(f"{checksum or hashlib.sha256(data).hexdigest()}  {path.name}\n")


def count_builds(script, tmp_path, monkeypatch, wait="true"):
    """Let the compiler write a line into a log for every library that it builds, and then run that."""
    log = tmp_path / "log"
    log.touch()
    line = f"*.build-*) echo built >> {log}; {wait};;"
    monkeypatch.setenv("RECURRA_CC", str(script(f'case "$*" in {line} esac')))
    assert find_compiler() is not None
    return lambda: len(log.read_text().splitlines())


# --- the cache


def test_a_library_is_built_loaded_and_kept_beside_its_source_and_checksum(own_cache):
    library = load_library(SOURCE, "lstm")
    assert answer(library) == 42.0
    (path,) = own_cache.rglob("*.so")
    key = path.stem.removeprefix("lstm-")
    assert path.parent == own_cache / key[:2]
    assert len(key) == 64
    assert path.with_suffix(".c").read_text() == SOURCE
    assert path.with_suffix(".sha256").read_text().split() == [hashlib.sha256(path.read_bytes()).hexdigest(), path.name]
    assert len(files(own_cache)) == 3
    assert [oct(one.stat().st_mode & 0o777) for one in (own_cache, path.parent, path)] == ["0o700"] * 3


def test_a_library_is_loaded_once_and_in_a_new_process_not_built_again(own_cache, script, tmp_path, monkeypatch):
    builds = count_builds(script, tmp_path, monkeypatch)
    first = load_library(SOURCE, "lstm")
    assert load_library(SOURCE, "lstm") is first
    forget(monkeypatch)
    assert answer(load_library(SOURCE, "lstm")) == 42.0
    assert builds() == 1
    load_library(SOURCE.replace("41", "42"), "lstm")
    assert builds() == 2


@pytest.mark.parametrize("field", ["command", "version", "flags", "cpu"])
def test_the_key_holds_all_that_decides_what_a_library_is(field):
    compiler = Compiler(("cc",), "1.0", ("-O3",), True, "cpu")
    changed = compiler._replace(**{field: ("cc", "-m64") if isinstance(getattr(compiler, field), tuple) else "other"})
    assert build._key(SOURCE, compiler) != build._key(SOURCE, changed)
    assert build._key(SOURCE, compiler) != build._key(SOURCE + "\n", compiler)
    assert build._key(SOURCE, compiler) == build._key(SOURCE, compiler._replace())


def test_the_path_may_hold_spaces_quotes_and_any_letter(tmp_path, own_cache, monkeypatch):
    monkeypatch.setenv("RECURRA_CACHE", str(tmp_path / "a b 'c' $HOME; ünïcødé"))
    assert answer(load_library(SOURCE, "lstm")) == 42.0
    assert not own_cache.exists()


@pytest.mark.parametrize("name", ["../../escape", "Zelle für ζ", "x" * 300, "-shared"])
def test_a_name_cannot_lead_out_of_the_folder(own_cache, name):
    assert answer(load_library(SOURCE, name)) == 42.0
    (path,) = own_cache.glob("[0-9a-f][0-9a-f]/*.so")
    assert len(path.name) < 140
    assert len(files(own_cache.parent / "cache")) == 3


# --- a damaged cache


@pytest.mark.parametrize("damage", ["cut off", "one bit", "no checksum", "foreign"])
def test_a_damaged_library_is_built_again(place, script, tmp_path, monkeypatch, damage):
    data = bytearray(Path(tmp_path, "elsewhere", place.parent.name, place.name).read_bytes())
    whole = hashlib.sha256(data).hexdigest()
    if damage == "cut off":
        plant(place, data[: len(data) // 2], whole)
    elif damage == "one bit":
        data[len(data) // 2] ^= 1
        plant(place, data, whole)
    elif damage == "no checksum":
        plant(place, b"")
        place.with_suffix(".sha256").write_bytes(b"\xff\xfe")
    else:
        plant(place, b"\x7fELF of another machine")  # its checksum is right, and it cannot be loaded
    assert answer(load_library(SOURCE, "lstm")) == 42.0
    assert (
        hashlib.sha256(place.read_bytes()).hexdigest() == place.with_suffix(".sha256").read_text().split()[0] == whole
    )


def test_a_good_library_is_taken_as_it_is(place):
    other = place.with_name("other.so")
    place.parent.mkdir(mode=0o700, parents=True)
    compile_library(SOURCE.replace("41", "1"), other, find_compiler())
    data = other.read_bytes()
    for path in place.parent.iterdir():
        path.unlink()
    place.parent.rmdir()
    plant(place, data)
    assert answer(load_library(SOURCE, "lstm")) == 2.0


# --- a cache that is not to be used


def expose(path):
    path.chmod(0o777)


def link(path):
    path.rename(path.with_name("target"))
    path.symlink_to(path.with_name("target"))


@pytest.mark.parametrize("spoil", [expose, link])
@pytest.mark.parametrize("level", ["cache", "subfolder", "file"])
def test_what_others_may_write_to_is_not_loaded_and_a_notice_says_why(place, tmp_path, monkeypatch, spoil, level):
    plant(place, b"planted by somebody else")
    path = {"cache": place.parents[1], "subfolder": place.parent, "file": place}[level]
    spoil(path)
    before = files(tmp_path / "cache")
    reason = "is a symbolic link" if spoil is link else "others may write to"
    with pytest.warns(Notice, match=rf"built libraries go to a temporary folder until this process ends: .*{reason}"):
        library = load_library(SOURCE, "lstm")
    assert answer(library) == 42.0
    assert files(tmp_path / "cache") == before
    assert len(list((tmp_path / "temporary").rglob("*.so"))) == 1


def test_the_notice_comes_once(own_cache):
    own_cache.mkdir(mode=0o700)
    own_cache.chmod(0o777)
    with pytest.warns(Notice) as caught:
        load_library(SOURCE, "lstm")
        load_library(SOURCE + "\n", "gru")
    assert len(caught) == 1
    assert str(caught[0].message).endswith("; RECURRA_CACHE may name a folder of your own")


def test_a_folder_of_another_user_is_not_used(own_cache, monkeypatch):
    own_cache.mkdir(mode=0o700)
    real = Path.lstat

    def foreign(path):
        status = real(path)
        return os.stat_result((*status[:4], status.st_uid + 1, *status[5:])) if path == own_cache else status

    monkeypatch.setattr(Path, "lstat", foreign)
    with pytest.warns(Notice, match="belongs to another user"):
        assert answer(load_library(SOURCE, "lstm")) == 42.0
    assert files(own_cache) == []


@pytest.mark.parametrize(
    "fault", ["below a file", "no home", "disk full", "disk full for the compiler", "no execution"]
)
def test_where_the_cache_cannot_be_written_a_temporary_folder_serves(own_cache, tmp_path, script, monkeypatch, fault):
    if fault == "below a file":
        (tmp_path / "file").touch()
        monkeypatch.setenv("RECURRA_CACHE", str(tmp_path / "file" / "cache"))
        reason = "Not a directory"
    elif fault == "no home":
        monkeypatch.setattr(build, "cache_folder", lambda: (_ for _ in ()).throw(FileNotFoundError("no home folder")))
        reason = "no home folder"
    elif fault == "disk full":
        real = build.write_file

        def full(path, data):
            if own_cache in path.parents:
                raise OSError(28, "No space left on device", str(path))
            real(path, data)

        monkeypatch.setattr(build, "write_file", full)
        reason = "No space left on device"
    elif fault == "disk full for the compiler":
        refusal = "echo 'ld: final link failed: No space left on device'; exit 1"
        monkeypatch.setenv("RECURRA_CC", str(script(f'case "$*" in *{own_cache}*) {refusal};; esac')))
        reason = "No space left on device"
    else:
        load = ctypes.CDLL

        def refuse(path):
            if str(own_cache) in path:
                raise OSError("failed to map segment from shared object")
            return load(path)

        find_compiler()
        monkeypatch.setattr(build.ctypes, "CDLL", refuse)
        reason = "failed to map segment"
    with pytest.warns(Notice, match=reason):
        assert answer(load_library(SOURCE, "lstm")) == 42.0
    assert len(list((tmp_path / "temporary").rglob("*.so"))) == 1
    assert list(tmp_path.rglob(".*")) == []


def test_where_nothing_can_be_written_the_error_says_so(own_cache, monkeypatch):
    find_compiler()

    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(build, "write_file", full)
    with (
        pytest.warns(Notice),
        pytest.raises(BuildError, match=r"a kernel could not be built: .*lstm-\w+\.c: No space left on device"),
    ):
        load_library(SOURCE, "lstm")


# --- a compiler that fails


def test_without_a_compiler_the_error_says_what_to_do(own_cache, monkeypatch):
    monkeypatch.setenv("RECURRA_CC", "none")
    with pytest.raises(BuildError, match="a kernel could not be built: RECURRA_CC=none turns the compiler off"):
        load_library(SOURCE, "lstm")
    assert not own_cache.exists()


def test_a_syntax_error_is_one_line_with_the_command_and_the_source_is_kept(own_cache):
    with pytest.raises(BuildError) as caught:
        load_library("int fine;\nint broken(;\n", "lstm")
    (kept,) = own_cache.rglob("*.c")
    said = str(caught.value)
    assert said.startswith(f"a kernel could not be built: {kept}:2:")
    assert "error: expected" in said
    assert f"; its source is kept in {kept}; the command was: {shutil.which('cc')} -O3 " in said
    assert said.endswith(f"{kept} -o {kept.with_suffix('.so')} -lm; RECURRA_CC=none runs without kernels")
    assert kept.read_text() == "int fine;\nint broken(;\n"
    assert files(own_cache.parent) == [str(kept.relative_to(own_cache.parent))]


@pytest.mark.parametrize(
    ("command", "reason"),
    [("false", "it ended with status 1"), ("/no/such/cc", "/no/such/cc: No such file or directory")],
)
def test_a_failing_compiler_leaves_no_temporary_file(own_cache, monkeypatch, command, reason):
    monkeypatch.setattr(build, "find_compiler", lambda: Compiler((command,), "", ("-O3",), False, "cpu"))
    with pytest.raises(BuildError, match=f"a kernel could not be built: {reason}; its source is kept in"):
        load_library(SOURCE, "lstm")
    assert [Path(name).suffix for name in files(own_cache.parent)] == [".c"]
    assert list(own_cache.rglob(".*")) == []


def test_a_build_that_takes_too_long_is_stopped(own_cache, script, tmp_path, monkeypatch):
    count_builds(script, tmp_path, monkeypatch, wait="sleep 30")
    monkeypatch.setattr(build, "_SECONDS", 0.2)
    started = time.monotonic()
    with pytest.raises(BuildError, match=r"it took more than 0\.2 s and was stopped"):
        load_library(SOURCE, "lstm")
    assert time.monotonic() - started < 5
    assert list(own_cache.rglob(".*")) == []


def test_extra_flags_come_after_the_compilers_own(tmp_path):
    with pytest.raises(BuildError, match=r"-O3 .*-O0 -DLSTM=1 .*x\.c -o"):
        compile_library("#error stop", tmp_path / "x.so", find_compiler(), ("-O0", "-DLSTM=1"))
    compile_library("int f(void) { return LSTM; }", tmp_path / "x.so", find_compiler(), ("-O0", "-DLSTM=1"))
    assert ctypes.CDLL(str(tmp_path / "x.so")).f() == 1
    assert files(tmp_path) == ["x.c", "x.so"]


# --- several at once


def fork(action):
    """Run it in a copy of this process, which gives back whether it was true."""
    process = os.fork()
    if process:
        return process
    try:
        os._exit(0 if action() else 1)
    finally:
        os._exit(2)


def joined(*processes):
    return [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]


def test_two_processes_that_build_the_same_library_at_once_both_get_it(own_cache, script, tmp_path, monkeypatch):
    both_build = f"while [ $(wc -l < {tmp_path}/log) -lt 2 ]; do sleep 0.01; done"
    builds = count_builds(script, tmp_path, monkeypatch, both_build)
    monkeypatch.setattr(build, "_SECONDS", 20.0)
    first, second = (fork(lambda: answer(load_library(SOURCE, "lstm")) == 42.0) for _ in range(2))
    assert joined(first, second) == [0, 0]
    assert builds() == 2
    assert [Path(name).suffix for name in files(own_cache)] == [".c", ".sha256", ".so"]
    assert answer(load_library(SOURCE, "lstm")) == 42.0
    assert builds() == 2


def test_two_threads_build_a_library_once(own_cache, script, tmp_path, monkeypatch):
    builds = count_builds(script, tmp_path, monkeypatch, wait="sleep 0.2")
    found = []
    threads = [threading.Thread(target=lambda: found.append(load_library(SOURCE, "lstm"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builds() == 1
    assert len(found) == 4
    assert len(set(map(id, found))) == 1


def test_a_fork_goes_on_while_another_thread_was_building(own_cache, script, tmp_path, monkeypatch):
    count_builds(script, tmp_path, monkeypatch, wait="sleep 0.4")
    thread = threading.Thread(target=lambda: load_library(SOURCE, "lstm"))
    thread.start()
    time.sleep(0.1)
    child = fork(lambda: answer(load_library(SOURCE, "lstm")) == 42.0)  # the lock it inherits is never released
    deadline = time.monotonic() + 10
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    thread.join()
    if ended[0] == 0:
        os.kill(child, 9)
    assert ended == (child, 0)


def test_a_process_removes_its_temporary_folder_at_its_end_and_a_fork_leaves_its_parents(own_cache, monkeypatch):
    monkeypatch.setenv("RECURRA_CACHE", "/dev/null/none")

    def lives_and_ends(last=False):
        if not last:
            atexit._clear()  # only what is registered from here on, of which the fork gets a copy
        with warnings.catch_warnings(action="ignore"):
            works = answer(load_library(SOURCE, "lstm")) == 42.0
        folder = private_folder()
        if not last:
            works &= joined(fork(lambda: lives_and_ends(last=True) and folder.is_dir())) == [0]
        works &= len(list(folder.rglob("*.so"))) == 1
        atexit._run_exitfuncs()
        return works and folder.exists() == last

    assert joined(fork(lives_and_ends)) == [0]
    assert list((own_cache.parent / "temporary").iterdir()) == []
