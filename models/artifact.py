"""The store of model versions in a home: what the trainer publishes and the service opens."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

import msgspec

from models.array_cache import cache_lock, map_cached, open_cached
from models.checksums import checksums_of, stamped
from models.durable import replace_file, staged_folder
from models.erasure import without_users
from models.errors import ArtifactError, ConflictError, GateError
from models.lance_library import load_lancedb
from models.manifest import Manifest
from models.running_trainings import Erased
from models.snapshot import Snapshot
from models.version_folders import MANIFEST, VersionFolders
from models.version_tables import load_arrays, write_tables

# LanceDB ends its messages with the line of its own source.
_RUST_PLACE = re.compile(r", \S+\.rs:\d+:\d+$")
# LanceDB and Arrow raise these three for whatever goes wrong on a disk.
_STORAGE_ERRORS = (OSError, RuntimeError, ValueError)


def _as_it_is(manifest: Manifest) -> Manifest:
    return manifest


def _nobody(_: Iterable[str]) -> Collection[str]:
    return ()


class ArtifactStore(VersionFolders):
    """Publishes, promotes and opens model versions under one home folder, and erases from them."""

    @staticmethod
    def prepare() -> None:
        """Load the library of the tables for whoever publishes later: that takes a while."""
        load_lancedb()

    def publish(
        self,
        snapshot: Snapshot,
        complete: Callable[[Manifest], Manifest] = _as_it_is,
        *,
        erased: Erased = _nobody,
        goes_live: bool = False,
    ) -> str:
        """Write a version and return its name, the hash of its content.

        The manifest's ``version`` and ``checksums`` are filled in here. A version that is there
        already keeps its tables and gets the new manifest, which may hold another gate verdict.
        Once the tables are written, `complete` may wait for what the name does not depend on; it
        is asked while nobody else can write a version. Then, if it `goes_live` and the gate does
        not refuse it, it is promoted before anybody else can; else `live` does not move.
        Users who were `erased` meanwhile are left out, as `erase_users` takes them out.

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
                else:
                    left = without_users(snapshot, erased(snapshot.users.ids))
                    if left is not None:
                        snapshot = left
                        sums = checksums_of(snapshot)
                        manifest = msgspec.structs.replace(manifest, checksums=sums)
                    with staged_folder(folder) as staging:
                        write_tables(staging, snapshot)
                        replace_file(staging / MANIFEST, complete(manifest).encode())
                if goes_live and self.manifest(manifest.version).gate.verdict != "refused":
                    self.promote(manifest.version)
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
                "see that the disk has room, go back with 'endcap models rollback' or train again"
            ) from error

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
                    replace_file(staging / MANIFEST, manifest.encode())
                    # First: so no copy is ever older than the manifest beside it.
                    self.forget_cache(version)
            except _STORAGE_ERRORS as error:
                raise ArtifactError(
                    f"cannot write model version {version} without the user: "
                    f"{_RUST_PLACE.sub('', str(error))}; make room and erase again"
                ) from error
        return True

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
        replace_file(self._models / manifest.version / MANIFEST, manifest.encode())

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

    def _readable(self, version: str) -> Manifest:
        manifest = self.manifest(version)
        manifest.check_format()
        return manifest
