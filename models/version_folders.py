"""The folders of model versions in ``ENDCAP_HOME``: which there are, who may write, what goes.

models/<version>/   LanceDB tables items, users, neighbours, segments, and manifest.json; immutable
models/live         the live version in the first line, below it those that were live before
cache/<version>/    memory-mapped copy of the arrays, made once per machine
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from models.durable import STAGING_PREFIX, moved_aside, remove_stagings
from models.errors import ArtifactError, NotFoundError
from models.ids import list_known
from models.live_pointer import LivePointer
from models.locks import file_lock
from models.manifest import Manifest

MANIFEST = "manifest.json"
_VERSION = re.compile(r"[0-9a-f]{16}")


class VersionFolders:
    """Lists, holds and removes the model versions under one home folder."""

    def __init__(self, home: Path) -> None:
        self._models = home / "models"
        self._cache = home / "cache"
        self._live = LivePointer(self._models)

    def live_version(self) -> str | None:
        """Read which version is live; cheap enough to poll."""
        history = self._live.history()
        return history[0] if history else None

    def previous_version(self) -> str | None:
        """Read which version `rollback` would make live."""
        history = self._live.history()
        return history[1] if len(history) > 1 else None

    def versions(self) -> list[Manifest]:
        """List the manifests of all versions, newest first."""
        found = [self.manifest(version) for version in self._names()]
        return sorted(found, key=lambda manifest: (manifest.created_at_ms, manifest.version))[::-1]

    def settled_versions(self) -> list[Manifest]:
        """List as `versions` does, but wait for who is writing one: none is missed."""
        with self._writing():
            return self.versions()

    def manifest(self, version: str) -> Manifest:
        """Read one manifest.

        Raises
        ------
        NotFoundError
            If there is no such version.
        """
        path = self._models / version / MANIFEST
        try:
            content = self._manifest_bytes(version) if _VERSION.fullmatch(version) else None
            if content is not None:
                return msgspec.json.decode(content, type=Manifest)
        except (OSError, msgspec.DecodeError) as error:
            raise ArtifactError(
                f"cannot read {path}: {error}; promote another version or train again"
            ) from error
        raise NotFoundError(
            f"model version {version[:40]!r} does not exist in {self._models}; "
            f"{list_known(self._names())}; see 'endcap models list'"
        )

    def folder(self, version: str) -> Path:
        """Name the folder of a version, for files that are about it and no part of it."""
        return self._models / version

    def cache_folder(self, version: str) -> Path:
        """Name the folder of a version's memory-mapped copy, for files that follow from it."""
        return self._cache / version

    def copies(self) -> list[Path]:
        """List the folders of all memory-mapped copies."""
        found = self._cache.iterdir() if self._cache.is_dir() else ()
        return [folder for folder in found if _VERSION.fullmatch(folder.name)]

    @contextmanager
    def held(self) -> Iterator[list[str]]:
        """Let nobody write, promote or erase from a version; give those that are or were live.

        Raises
        ------
        ArtifactError
            If the folder cannot be written to.
        """
        with self._writing(), self._live.changing() as history:
            yield history

    def remove(self, versions: Collection[str], history: list[str]) -> None:
        """Remove versions and their copies for good; call it while `held`, with its history.

        A version disappears in one step. Who has it open keeps reading it.

        Raises
        ------
        ArtifactError
            If one cannot be removed; those before it are gone.
        """
        left = [version for version in history if version not in versions]
        if left != history:
            self._live.move(left)
        for version in versions:
            folder = self._models / version
            gone = folder.with_name(f"{STAGING_PREFIX}{version}")
            try:
                folder.rename(gone)
                shutil.rmtree(gone)
            except OSError as error:
                raise ArtifactError(
                    f"cannot remove model version {version}: {error}; see to it that {folder} can "
                    "be written to, then prune again"
                ) from error
            self.forget_cache(version)

    def forget_cache(self, version: str) -> None:
        """Remove the memory-mapped copy of a version; who has it open keeps reading it."""
        if _VERSION.fullmatch(version):
            shutil.rmtree(self._cache / version, ignore_errors=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Let one process at a time write versions, and clear up after those that were killed.

        Raises
        ------
        ArtifactError
            If the folder cannot be written to.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(file_lock(self._models / ".publish.lock"))
                remove_stagings(self._models)
            except OSError as error:
                raise ArtifactError(
                    f"cannot change the model versions in {self._models}: {error}; "
                    "the live version is untouched; see to it that the folder can be written to"
                ) from error
            yield

    def _manifest_bytes(self, version: str) -> bytes | None:
        """Read a manifest, also while an erasure puts the version's new folder in its place."""
        folder = self._models / version
        for places in ([folder], moved_aside(folder), [folder]):
            for place in places:
                try:
                    return (place / MANIFEST).read_bytes()
                except (FileNotFoundError, NotADirectoryError):
                    continue
        return None

    def _names(self) -> list[str]:
        if not self._models.is_dir():
            return []
        return [path.name for path in self._models.iterdir() if _VERSION.fullmatch(path.name)]
