"""The store of model versions in ``ENDCAP_HOME``: what the trainer publishes and the service opens.

models/<version>/   LanceDB tables items, users, neighbours, segments, and manifest.json; immutable
models/live         the live version in the first line, below it those that were live before
cache/<version>/    memory-mapped copy of the arrays, made once per machine
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from models.array_cache import cache_lock, map_cached, open_cached
from models.checksums import checksums_of, stamped
from models.durable import (
    STAGING_PREFIX,
    moved_aside,
    remove_stagings,
    replace_file,
    staged_folder,
)
from models.erasure import without_users
from models.errors import ArtifactError, ConflictError, GateError, NotFoundError
from models.ids import list_known
from models.lance_library import load_lancedb
from models.live_pointer import LivePointer
from models.locks import file_lock
from models.manifest import Manifest
from models.snapshot import Snapshot
from models.version_tables import load_arrays, write_tables

_MANIFEST = "manifest.json"
_VERSION = re.compile(r"[0-9a-f]{16}")
# LanceDB ends its messages with the line of its own source.
_RUST_PLACE = re.compile(r", \S+\.rs:\d+:\d+$")
# LanceDB and Arrow raise these three for whatever goes wrong on a disk.
_STORAGE_ERRORS = (OSError, RuntimeError, ValueError)


def _as_it_is(manifest: Manifest) -> Manifest:
    return manifest


class ArtifactStore:
    """Publishes, lists, promotes and opens model versions under one home folder."""

    def __init__(self, home: Path) -> None:
        self._models = home / "models"
        self._cache = home / "cache"
        self._live = LivePointer(self._models)

    @staticmethod
    def prepare() -> None:
        """Load the library of the tables for whoever publishes later: that takes a while."""
        load_lancedb()

    def publish(
        self, snapshot: Snapshot, complete: Callable[[Manifest], Manifest] = _as_it_is
    ) -> str:
        """Write a version and return its name, the hash of its content; `live` does not move.

        The manifest's ``version`` and ``checksums`` are filled in here. A version that is there
        already keeps its tables and gets the new manifest, which may hold another gate verdict.
        Once the tables are written, `complete` may wait for what the name does not depend on.

        Raises
        ------
        ArtifactError
            If it cannot be written; then nothing of it is left.
        """
        manifest = stamped(snapshot)
        folder = self._models / manifest.version
        try:
            with self._writing():
                if folder.exists():
                    self._replace_manifest(complete(manifest))
                    return manifest.version
                with staged_folder(folder) as staging:
                    write_tables(staging, snapshot)
                    replace_file(staging / _MANIFEST, complete(manifest).encode())
        except _STORAGE_ERRORS as error:
            raise ArtifactError(
                f"cannot write model version {manifest.version} to {self._models}: "
                f"{_RUST_PLACE.sub('', str(error))}; "
                "the live version is untouched; make room or choose another --home and train again"
            ) from error
        return manifest.version

    def promote(self, version: str, *, is_forced: bool = False) -> None:
        """Make a version live in one atomic step.

        Raises
        ------
        GateError
            If the gate refused it, unless `is_forced`; then its manifest says so.
        """
        manifest = self.manifest(version)
        manifest.check_format()
        if manifest.gate.verdict == "refused":
            self._force(manifest, is_forced)
        with self._live.changing() as history:
            if history[:1] != [version]:
                self._live.move([version, *history])

    def rollback(self) -> str:
        """Make the version live that was live before, and return it."""
        with self._live.changing() as history:
            if len(history) < 2:
                raise ConflictError(
                    "no other version was live before; see 'endcap models list' "
                    "and choose one with 'endcap models promote VERSION'"
                )
            self.manifest(history[1])
            self._live.move(history[1:])
            return history[1]

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

    @contextmanager
    def held(self) -> Iterator[list[str]]:
        """Let nobody write, promote or erase from a version; give those that are or were live.

        Raises
        ------
        ArtifactError
            If the folder cannot be written to.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(self._writing())
            except OSError as error:
                raise ArtifactError(
                    f"cannot change the model versions in {self._models}: {error}; "
                    "see to it that the folder can be written to"
                ) from error
            yield stack.enter_context(self._live.changing())

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

    def manifest(self, version: str) -> Manifest:
        """Read one manifest.

        Raises
        ------
        NotFoundError
            If there is no such version.
        """
        path = self._models / version / _MANIFEST
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

    def open(self, version: str, breathe: Callable[[], None] = lambda: None) -> Snapshot:
        """Open a version read-only; its arrays are memory-mapped and shared between processes.

        `breathe` is called before every few of them.

        Raises
        ------
        ArtifactError
            If its files are damaged or of another format.
        """
        manifest = self._readable(version)
        folder, copy = self._models / version, self._cache / version
        try:
            arrays = map_cached(copy, manifest.checksums, breathe)
            if arrays is None or self.manifest(version).checksums != manifest.checksums:
                with cache_lock(copy):
                    # Nobody is erased from it now: the manifest, the tables and the copy agree.
                    manifest = self._readable(version)
                    arrays = open_cached(
                        copy, manifest.checksums, lambda: load_arrays(folder, manifest), breathe
                    )
            return Snapshot.from_arrays(manifest, arrays)
        except (*_STORAGE_ERRORS, KeyError) as error:
            raise ArtifactError(
                f"cannot open model version {version} in {folder}: "
                f"{_RUST_PLACE.sub('', str(error))}; "
                "go back with 'endcap models rollback' or train again"
            ) from error

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

    def erase_users(self, version: str, ids: Collection[str]) -> bool:
        """Take users out of a version for good, and say whether it knew any of them.

        The one change that a published version may see. It keeps its name, and its manifest gets
        the new checksums; who has it open keeps the old arrays until it is opened again.

        Raises
        ------
        ArtifactError
            If it cannot be read or written; then it is as it was.
        """
        with self._writing():
            # Read in here: what another erasure writes meanwhile would be undone.
            snapshot = without_users(self.open(version), ids)
            if snapshot is None:
                return False
            manifest = msgspec.structs.replace(snapshot.manifest, checksums=checksums_of(snapshot))
            folder, copy = self._models / version, self._cache / version
            try:
                with cache_lock(copy), staged_folder(folder) as staging:
                    write_tables(staging, snapshot)
                    replace_file(staging / _MANIFEST, manifest.encode())
                    # First: so no copy is ever older than the manifest beside it.
                    self.forget_cache(version)
            except _STORAGE_ERRORS as error:
                raise ArtifactError(
                    f"cannot write model version {version} without the user: "
                    f"{_RUST_PLACE.sub('', str(error))}; make room and erase again"
                ) from error
        return True

    def forget_cache(self, version: str) -> None:
        """Remove the memory-mapped copy of a version; who has it open keeps reading it."""
        if _VERSION.fullmatch(version):
            shutil.rmtree(self._cache / version, ignore_errors=True)

    def _replace_manifest(self, manifest: Manifest) -> None:
        """Give a version its new manifest; trained again while live, it keeps its own parent.

        Refused again, it still says that it was forced. Its tables stay, also without users who
        were erased, so their checksums do.
        """
        old = self.manifest(manifest.version)
        manifest = msgspec.structs.replace(manifest, checksums=old.checksums)
        if manifest.parent == manifest.version:
            manifest = msgspec.structs.replace(manifest, parent=old.parent)
        if (old.gate.verdict, manifest.gate.verdict) == ("forced", "refused"):
            manifest = msgspec.structs.replace(manifest, gate=old.gate)
        replace_file(self._models / manifest.version / _MANIFEST, manifest.encode())

    def _force(self, manifest: Manifest, is_forced: bool) -> None:
        gate = manifest.gate
        if not is_forced:
            raise GateError(
                f"the gate refused version {manifest.version}: {gate.reason}; promote another, or "
                "this one with --force (over HTTP ?force=true), which is recorded"
            )
        gate = msgspec.structs.replace(
            gate, verdict="forced", reason=f"{gate.reason}; promoted with --force"
        )
        with self._writing():
            self._replace_manifest(msgspec.structs.replace(manifest, gate=gate))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Let one process at a time write versions, and clear up after those that were killed."""
        with file_lock(self._models / ".publish.lock"):
            remove_stagings(self._models)
            yield

    def _readable(self, version: str) -> Manifest:
        manifest = self.manifest(version)
        manifest.check_format()
        return manifest

    def _manifest_bytes(self, version: str) -> bytes | None:
        """Read a manifest, also while an erasure puts the version's new folder in its place."""
        folder = self._models / version
        for places in ([folder], moved_aside(folder), [folder]):
            for place in places:
                try:
                    return (place / _MANIFEST).read_bytes()
                except (FileNotFoundError, NotADirectoryError):
                    continue
        return None

    def _names(self) -> list[str]:
        if not self._models.is_dir():
            return []
        return [path.name for path in self._models.iterdir() if _VERSION.fullmatch(path.name)]
