"""Removes what of model versions nobody goes back to: training every night would fill the disk."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import msgspec

from models.artifact import ArtifactStore


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed, or would be; versions with the newest first."""

    live: str | None
    removed: list[str]
    kept: list[str]
    freed_bytes: int
    """On disk, copies for the service included."""


def prune_versions(store: ArtifactStore, n_newest: int, *, is_dry: bool = False) -> Pruned:
    """Remove all versions but the newest, the live one and the one that `rollback` goes to.

    Raises
    ------
    ArtifactError
        If one cannot be read or removed; those before it are gone.
    """
    with store.held() as history:
        versions = [manifest.version for manifest in store.versions()]
        needed = {*history[:2], *versions[:n_newest]}
        removed = [version for version in versions if version not in needed]
        freed = sum(
            _size(folder)
            for version in removed
            for folder in (store.folder(version), store.cache_folder(version))
        )
        if removed and not is_dry:
            store.remove(removed, history)
    return Pruned(
        live=history[0] if history else None,
        removed=removed,
        kept=[version for version in versions if version in needed],
        freed_bytes=freed,
    )


def prune_cache(store: ArtifactStore, keep: Collection[str], *, before_s: float) -> list[str]:
    """Remove the memory-mapped copies made before an epoch second, but for some versions.

    Each is made again when its version is opened; who has it open keeps reading it. A version
    that is gone leaves no copy behind.
    """
    pruned = []
    for folder in store.copies():
        if folder.name not in keep and folder.stat().st_mtime < before_s:
            store.forget_cache(folder.name)
            pruned.append(folder.name)
    return sorted(pruned)


def _size(folder: Path) -> int:
    n_bytes = 0
    for above, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # a server may be renaming files of a copy
                n_bytes += Path(above, name).stat().st_size
    return n_bytes
