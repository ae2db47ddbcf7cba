"""The cache folder: where it is, that nobody else can write to it, and clearing it."""

import os
import stat
import time
from pathlib import Path

import pytest

from recurra.compiler import cache
from recurra.compiler.cache import cache_folder, clear_cache, distrust, list_cache, open_folder, private_folder

KEY = "ab" * 32


@pytest.fixture
def folder(tmp_path):
    return open_folder(tmp_path / "cache")


def put(path, text="x", mode=0o600):
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_folder_is_the_one_that_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.delenv("RECURRA_CACHE", raising=False)
    assert cache_folder() == Path("/home/ada/.cache/recurra")
    monkeypatch.setenv("XDG_CACHE_HOME", "/fast")
    assert cache_folder() == Path("/fast/recurra")
    monkeypatch.setenv("RECURRA_CACHE", "~/kernels")
    assert cache_folder() == Path("/home/ada/kernels")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECURRA_CACHE", "kernels")
    assert cache_folder() == tmp_path / "kernels"


def test_a_user_without_a_home_has_no_folder(monkeypatch):
    for name in ("RECURRA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def none():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    with pytest.raises(FileNotFoundError, match="there is no home folder"):
        cache_folder()


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_a_folder_is_made_for_this_user_alone_whatever_the_mask(tmp_path, mask):
    before = os.umask(mask)
    try:
        folder = open_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (folder, folder.parent, folder.parents[1])] == [0o700] * 3


@pytest.mark.parametrize(("mode", "trusted"), [(0o700, True), (0o755, True), (0o720, False), (0o702, False)])
def test_a_folder_that_others_may_write_to_is_refused(folder, mode, trusted):
    folder.chmod(mode)
    if trusted:
        assert open_folder(folder) == folder
        return
    with pytest.raises(PermissionError, match=rf"others may write to {folder} \(`chmod go-w` ends that\)"):
        open_folder(folder)


def test_a_symbolic_link_is_refused_also_one_that_leads_nowhere(folder, tmp_path):
    for name, target in (("link", folder), ("nowhere", tmp_path / "gone")):
        (tmp_path / name).symlink_to(target)
        with pytest.raises((PermissionError, FileExistsError), match=name):
            open_folder(tmp_path / name)


def test_a_folder_below_a_link_is_the_users_choice(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert open_folder(tmp_path / "link" / "deeper").is_dir()


def test_a_folder_of_another_user_is_refused(folder, monkeypatch):
    owner = folder.stat().st_uid
    monkeypatch.setattr(cache.os, "geteuid", lambda: owner + 1)
    assert distrust(folder) == f"{folder} belongs to another user (number {owner})"


@pytest.mark.parametrize(("mode", "trusted"), [(0o777, False), (0o1777, True), (0o775, True)])
def test_a_folder_that_others_could_swap_for_their_own_is_refused(folder, mode, trusted):
    folder.parent.chmod(mode)
    assert distrust(folder) == (None if trusted else f"others may rename what is in {folder.parent}")


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    with pytest.raises(NotADirectoryError, match="x is no folder"):
        open_folder(put(tmp_path / "x"))
    with pytest.raises(NotADirectoryError):
        open_folder(tmp_path / "x" / "cache")


def test_the_private_folder_is_one_for_the_process_and_for_this_user_alone(own_cache):
    folder = private_folder()
    assert private_folder() == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    cache._remove(folder, os.getpid() + 1)  # what a fork would do at its end
    assert folder.is_dir()
    cache._remove(folder, os.getpid())
    assert not folder.exists()
    assert private_folder() != folder


def test_clearing_deletes_what_builds_left_and_nothing_else(folder, tmp_path):
    modes = {".so": 0o700, ".c": 0o664, ".sha256": 0o644}
    built = [put(folder / "ab" / f"lstm-{KEY}{ending}", mode=mode) for ending, mode in modes.items()]
    old = [put(folder / "ab" / f".lstm-{KEY}.c.k2j3"), put(folder / "ab" / ".build-x1y2" / "half.so").parent]
    for path in old:
        os.utime(path, (time.time() - 7200,) * 2)
    put(folder / "cd" / f"gru-{KEY}.so")
    others = [
        put(folder / "notes.txt"),
        put(folder / "ab" / "mine.so"),
        put(folder / "ab" / ".build-running" / "half.so"),
        put(folder / "long" / f"lstm-{KEY}.so"),
    ]
    linked = put(tmp_path / "precious.so")
    (folder / "ab" / f"link-{KEY}.so").symlink_to(linked)
    assert list_cache(folder) == [*sorted(built), folder / "cd" / f"gru-{KEY}.so"]
    assert clear_cache(folder) == 2
    assert [path for path in (*built, *old) if path.exists()] == []
    assert [path for path in (*others, linked) if not path.exists()] == []
    assert not (folder / "cd").exists()
    assert clear_cache(folder) == 0


def test_a_folder_that_is_not_there_has_nothing_to_clear(tmp_path):
    assert clear_cache(tmp_path / "never") == 0
    assert not (tmp_path / "never").exists()


def test_a_folder_that_others_may_write_to_is_not_cleared(folder):
    kept = put(folder / "ab" / f"lstm-{KEY}.so")
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="others may write"):
        clear_cache(folder)
    assert kept.exists()
