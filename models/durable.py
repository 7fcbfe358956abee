"""Files and folders that are either there as a whole or not at all, also after a crash."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STAGING_PREFIX = ".staging-"
_OLD = "-old"


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `target` when the block ends without error.

    A folder that is `target` already is replaced. On any error nothing of the new one is left.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.with_name(f"{STAGING_PREFIX}{target.name}-{secrets.token_hex(4)}")
    staging.mkdir(mode=0o700)
    try:
        yield staging
        _sync_tree(staging)
        if target.exists():
            old = staging.with_name(staging.name + _OLD)
            target.rename(old)
            staging.rename(target)
            shutil.rmtree(old)
        else:
            staging.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def moved_aside(target: Path) -> list[Path]:
    """Name the folders that `staged_folder` is replacing: for a moment `target` is missing."""
    return list(target.parent.glob(f"{STAGING_PREFIX}{target.name}-*{_OLD}"))


def remove_stagings(folder: Path) -> None:
    """Remove what killed processes left in `folder`; the caller holds its lock.

    One that died between the two renames of `staged_folder` left a whole folder in no place: it
    takes its place now.
    """
    for old in folder.glob(f"{STAGING_PREFIX}*{_OLD}"):
        staging = old.with_name(old.name.removesuffix(_OLD))
        target = folder / staging.name.removeprefix(STAGING_PREFIX).rpartition("-")[0]
        if not target.exists():
            (staging if staging.exists() else old).rename(target)
            sync_folder(folder)
    for left in folder.glob(STAGING_PREFIX + "*"):
        shutil.rmtree(left, ignore_errors=True)


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` in one atomic step: a reader sees the old file or the new one."""
    draft = path.with_name(f"{STAGING_PREFIX}{path.name}-{secrets.token_hex(4)}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder, or the bytes of a file, onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        sync_folder(path)
    sync_folder(folder)
