"""Buckets: a unit's place on a line of a million, from a hash, in whole numbers only.

`evaluate` compares a bucket with a share. Every stage of an evaluation draws its own bucket, so
what one stage decides tells nothing about the next: that is why a wider share never moves an arm.
See docs/adr/0001-bucketing.md; golden vectors in the tests pin every value.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

BUCKETS = 1_000_000
"""Buckets are 0 to 999,999, so a share is exact in parts per million (ppm)."""

Stage = Literal["holdout", "layer", "enrolment", "arm"]
UnitKind = Literal["user_id", "anonymous_id"]

_PERSON: dict[Stage, bytes] = {
    "holdout": b"endcap.holdout",
    "layer": b"endcap.layer",
    "enrolment": b"endcap.enrolment",
    "arm": b"endcap.arm",
}


def bucket(stage: Stage, salt: str, unit_kind: UnitKind, unit_id: str) -> int:
    """Place a unit in 0 to 999,999.

    BLAKE2b with 64 bits of digest, personalised by the stage, over salt, unit kind and unit id,
    each after its length in bytes as a 4-byte big-endian number, so ("a", "bc") is not ("ab", "c").
    The bucket is ``(digest · 1,000,000) >> 64`` with the digest read big-endian.
    """
    return bucket_under(stage, salted(salt, unit_kind), unit_id)


def salted(salt: str, unit_kind: UnitKind) -> bytes:
    """Prepare what `bucket_under` hashes before the unit's id; a rollout does it once."""
    return sized(salt) + sized(unit_kind)


def bucket_under(stage: Stage, prefix: bytes, unit_id: str) -> int:
    """Place a unit in 0 to 999,999, with the salt and unit kind that `salted` prepared."""
    return bucket_of(
        blake2b(prefix + sized(unit_id), digest_size=8, person=_PERSON[stage]).digest()
    )


def bucket_of(digest: bytes) -> int:
    """Turn the 8 bytes of a digest into its bucket."""
    return (int.from_bytes(digest, "big") * BUCKETS) >> 64


def bound_of(n_buckets: int) -> bytes:
    """Return what exactly the digests of buckets below `n_buckets` sort before, as bytes.

    So a share costs one comparison and no arithmetic: ``bucket_of(digest) < n`` is
    ``digest < bound_of(n)``. Nothing sorts after the bound of all buckets.
    """
    if n_buckets >= BUCKETS:
        return b"\xff" * 9
    return (-((-n_buckets << 64) // BUCKETS)).to_bytes(8, "big")


def line(stage: Stage, salt: str, unit_kind: UnitKind) -> blake2b:
    """Hash what comes before the unit's id; `Visitor.digest` goes on from a copy, for half."""
    return blake2b(salted(salt, unit_kind), digest_size=8, person=_PERSON[stage])


def sized(part: str) -> bytes:
    """Write a part of what is hashed: its length in bytes, then its bytes."""
    encoded = part.encode()
    return len(encoded).to_bytes(4, "big") + encoded
