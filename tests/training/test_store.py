"""Stored folders are whole or refused, by the name of what is wrong."""

import json
from pathlib import Path

import pytest
import torch

from recurra.errors import ArtifactError
from recurra.training import store

NAMES = ("config.json", "model.safetensors")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "model"
    tensors = store.pack_tensors({"w": torch.arange(6.0).reshape(2, 3)})
    store.write_folder(
        path, {"config.json": store.pack_json({"a": 1}), "model.safetensors": tensors}, kind="forecaster"
    )
    return path


def read(path):
    return store.read_folder(path, NAMES, kind="forecaster")


def test_what_was_written_is_read(folder):
    members = read(folder)
    assert store.unpack_json(members["config.json"]) == {"a": 1}
    assert store.unpack_tensors(members["model.safetensors"])["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "manifest.json", "model.safetensors"]


@pytest.mark.parametrize("name", NAMES)
def test_every_flipped_bit_is_noticed_and_the_member_named(folder, name):
    good = (folder / name).read_bytes()
    for position in range(0, len(good), max(1, len(good) // 40)):
        bad = bytearray(good)
        bad[position] ^= 1 << (position % 8)
        (folder / name).write_bytes(bytes(bad))
        with pytest.raises(ArtifactError, match=rf"{name}: its SHA-256 differs"):
            read(folder)


def test_a_truncated_member_is_refused_before_it_is_read(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="it was cut off or changed"):
        read(folder)


def test_a_missing_member_and_a_link_are_refused(folder, tmp_path):
    file = folder / "config.json"
    moved = tmp_path / "elsewhere.json"
    file.rename(moved)
    with pytest.raises(ArtifactError, match=r"config\.json is missing"):
        read(folder)
    file.symlink_to(moved)
    with pytest.raises(ArtifactError, match=r"config\.json is missing"):
        read(folder)


def test_a_newer_format_is_refused_with_both_versions(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest |= {"format_version": store.FORMAT_VERSION + 1, "recurra": "9.9"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=r"format version 2 \(written by recurra 9\.9\).*reads up to 1"):
        read(folder)


def test_another_kind_extra_members_and_no_manifest_are_refused(folder, tmp_path):
    with pytest.raises(ArtifactError, match="holds a forecaster, not a checkpoint"):
        store.read_folder(folder, NAMES, kind="checkpoint")
    with pytest.raises(ArtifactError, match="does not list exactly"):
        store.read_folder(folder, ("config.json",), kind="forecaster")
    with pytest.raises(ArtifactError, match="no saved forecaster"):
        read(tmp_path)


def test_an_existing_folder_is_replaced_only_on_request_and_only_if_ours(folder, tmp_path):
    members = {"config.json": b"{}\n", "model.safetensors": store.pack_tensors({})}
    with pytest.raises(ArtifactError, match="exists already"):
        store.write_folder(folder, members, kind="forecaster")
    store.write_folder(folder, members, kind="forecaster", overwrite=True)
    assert read(folder)["config.json"] == b"{}\n"
    (tmp_path / "photos").mkdir()
    with pytest.raises(ArtifactError, match="was not saved by recurra"):
        store.write_folder(tmp_path / "photos", members, kind="forecaster", overwrite=True)


def test_a_replacement_cut_off_between_its_renames_leaves_the_old_folder_readable(folder, monkeypatch):
    rename = Path.rename

    def cut_off(source, target):
        if Path(target) == folder:
            raise KeyboardInterrupt
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", cut_off)
    with pytest.raises(KeyboardInterrupt):
        store.write_folder(folder, {"config.json": b"{}\n"}, kind="forecaster", overwrite=True)
    assert store.unpack_json(read(folder)["config.json"]) == {"a": 1}


def test_hostile_safetensors_are_refused_before_anything_is_allocated():
    with pytest.raises(ArtifactError, match="header of"):
        store.unpack_tensors((1 << 40).to_bytes(8, "little") + b"{}")
    header = json.dumps({f"t{i}": {} for i in range(10_001)}).encode()
    with pytest.raises(ArtifactError, match="10001 tensors; at most 10000"):
        store.unpack_tensors(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ArtifactError, match="cannot be read"):
        store.unpack_tensors((2).to_bytes(8, "little") + b"[}" + b"\0" * 8)
