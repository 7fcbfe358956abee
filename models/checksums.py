"""Hashes of a snapshot's arrays, by which a version is named and its damage is noticed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.manifest import Manifest
from models.snapshot import Snapshot


def checksums_of(snapshot: Snapshot) -> dict[str, str]:
    """Hash every array, several at a time: hashing leaves the interpreter to others."""
    arrays = sorted(snapshot.to_arrays().items())
    with ThreadPoolExecutor() as pool:
        hashes = pool.map(checksum, [array for _, array in arrays])
        return dict(zip([name for name, _ in arrays], hashes, strict=True))


def checksum(array: NDArray[np.generic]) -> str:
    """Hash an array's type, shape and bytes to 32 hexadecimal digits."""
    digest = blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)
    return digest.hexdigest()


def stamped(snapshot: Snapshot) -> Manifest:
    """Fill in a manifest's checksums and version, which depends on what was learnt, not on when."""
    manifest = snapshot.manifest
    checksums = checksums_of(snapshot)
    identity = (
        manifest.format_version,
        checksums,
        manifest.blend,
        manifest.hyperparameters,
        (manifest.data_from_ms, manifest.data_until_ms),
    )
    encoded = msgspec.json.encode(identity, order="deterministic")
    version = blake2b(encoded, digest_size=8).hexdigest()
    return msgspec.structs.replace(manifest, version=version, checksums=checksums)
