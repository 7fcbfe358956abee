"""Rows of the control plane as they lie in the store."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """One document as it lies in the store."""

    kind: str
    id: str
    body: str
    """JSON."""
    revision: int


@dataclass(frozen=True, slots=True)
class StoredEpoch:
    """One epoch of a rollout, and the rollout as it was set then."""

    epoch: int
    opened_at_ms: int
    body: str
    """JSON."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One key, without the secret: only its SHA-256 digest is kept."""

    id: str
    name: str
    scope: str
    digest: bytes
    created_at_ms: int
    revoked_at_ms: int | None
