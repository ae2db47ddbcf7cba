"""Folders of named members that are either whole or refused.

A stored folder holds exactly the members its kind declares plus `manifest.json`, which records the format's
version and each member's size and SHA-256. Reading executes nothing: members are JSON and safetensors only, their
names come from the caller and never from a file, and sizes are checked before anything is allocated.

Writing builds the folder beside its final place, syncs every file, then renames: whatever happens, a reader finds
the old folder or the new one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from recurra.atomic import sync_folder, umask, write_file
from recurra.errors import ArtifactError
from recurra.version import __version__

__all__ = [
    "FORMAT_VERSION",
    "pack_json",
    "pack_tensors",
    "read_folder",
    "unpack_json",
    "unpack_tensors",
    "write_folder",
]

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_MANIFEST_BYTES = 1 << 20
_HEADER_BYTES = 1 << 20
_MEMBER_BYTES = 1 << 34
_TENSORS = 10_000


def pack_json(value: Any) -> bytes:
    """`value` as indented JSON text; equal values, equally ordered, give equal bytes."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def unpack_json(data: bytes, *, name: str = "config.json") -> Any:
    """The value of JSON bytes; `ArtifactError` when they are none."""
    try:
        return json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ArtifactError(f"{name} is not JSON ({error}); save the model again") from None


def pack_tensors(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Tensors as safetensors bytes. Shared memory is copied, since the format forbids aliases."""
    return safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    )


def unpack_tensors(data: bytes, *, name: str = "model.safetensors") -> dict[str, torch.Tensor]:
    """The tensors of safetensors bytes; header and count are bounded before they are parsed."""
    header = int.from_bytes(data[:8], "little") if len(data) >= 8 else _HEADER_BYTES + 1
    if header > min(_HEADER_BYTES, len(data) - 8):
        raise ArtifactError(f"{name} is not a safetensors file of recurra's (header of {header} bytes)")
    try:
        count = len(json.loads(data[8 : 8 + header]))
        if count > _TENSORS:
            raise ArtifactError(f"{name} holds {count} tensors; at most {_TENSORS} are read")
        return safetensors.torch.load(data)
    except (ValueError, RecursionError, safetensors.SafetensorError) as error:
        raise ArtifactError(f"{name} cannot be read as safetensors: {error}") from None


def write_folder(path: Path, members: Mapping[str, bytes], *, kind: str, overwrite: bool = False) -> None:
    """Store `members` as the folder `path`.

    Args:
        path: the folder to make; its parents are made too.
        members: bytes by file name.
        kind: what the folder is ("forecaster", "checkpoint"); reading asks for it again.
        overwrite: replace a stored folder that is there already; any other folder is never touched.

    Raises:
        ArtifactError: `path` exists and may not be replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        if not overwrite:
            raise ArtifactError(f"{path} exists already; pass overwrite=True or another path")
        if not (path / MANIFEST).is_file():
            raise ArtifactError(f"{path} exists and was not saved by recurra; choose another path")
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        for name, data in {**members, MANIFEST: pack_json(_manifest(members, kind))}.items():
            write_file(temporary / name, data)
        temporary.chmod(0o777 & ~umask())
        previous = _previous(path)
        if path.exists():
            shutil.rmtree(previous, ignore_errors=True)
            path.rename(previous)
        temporary.rename(path)
        sync_folder(path.parent)
        shutil.rmtree(previous, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def read_folder(path: Path, names: Collection[str], *, kind: str) -> dict[str, bytes]:
    """The verified bytes of the members `names` of the stored folder `path`.

    Raises:
        ArtifactError: it is missing, of another kind, from a newer version, or a member differs from its SHA-256.
    """
    if not path.exists() and _previous(path).is_dir():
        path = _previous(path)  # a replacement was cut off between its two renames
    manifest = _read_manifest(path, kind)
    recorded = manifest.get("members")
    if not isinstance(recorded, dict) or set(recorded) != set(names):
        raise ArtifactError(f"{path / MANIFEST} does not list exactly {sorted(names)}; the folder is damaged")
    return {name: _read_member(path / name, recorded[name]) for name in names}


def _manifest(members: Mapping[str, bytes], kind: str) -> dict[str, Any]:
    return {
        "format": "recurra",
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "recurra": __version__,
        "members": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in members.items()
        },
    }


def _read_manifest(path: Path, kind: str) -> dict[str, Any]:
    file = path / MANIFEST
    if not path.exists():
        raise ArtifactError(f"{path} does not exist; pass the folder of a saved {kind}")
    if not file.is_file():
        raise ArtifactError(f"{path} holds no saved {kind} (no {MANIFEST})")
    if file.stat().st_size > _MANIFEST_BYTES:
        raise ArtifactError(f"{file} is larger than {_MANIFEST_BYTES} bytes; this is no manifest of recurra's")
    manifest = unpack_json(file.read_bytes(), name=str(file))
    if not isinstance(manifest, dict) or manifest.get("format") != "recurra":
        raise ArtifactError(f"{file} is no manifest of recurra's")
    version = manifest.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ArtifactError(
            f"{path} has format version {version} (written by recurra {manifest.get('recurra')}); this is recurra "
            f"{__version__}, which reads up to {FORMAT_VERSION}; upgrade recurra"
        )
    if manifest.get("kind") != kind:
        raise ArtifactError(f"{path} holds a {manifest.get('kind')!s}, not a {kind}")
    return manifest


def _read_member(file: Path, recorded: Any) -> bytes:
    if not isinstance(recorded, dict) or not isinstance(recorded.get("bytes"), int):
        raise ArtifactError(f"{file.parent / MANIFEST} is damaged at {file.name!r}")
    size = recorded["bytes"]
    if not file.is_file() or file.is_symlink():
        raise ArtifactError(f"{file.name} is missing from {file.parent}; save the model again")
    if size > _MEMBER_BYTES or file.stat().st_size != size:
        raise ArtifactError(f"{file}: {file.stat().st_size} bytes found, {size} recorded; it was cut off or changed")
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != recorded.get("sha256"):
        raise ArtifactError(f"{file}: its SHA-256 differs from the manifest's; the file was damaged or changed")
    return data


def _previous(path: Path) -> Path:
    return path.with_name(f".{path.name}.previous")
