"""Keys of the HTTP interface: a scope each, shown once, kept as a digest.

A key is 256 random bits, so its plain SHA-256 digest cannot be reversed; finding the digest in a
dictionary takes no time that depends on how much of a key was guessed right.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from models.errors import InputError, NotFoundError
from models.ids import list_known
from service.stores.audit import AuditEntry
from service.stores.control import ControlStore, ControlTransaction
from service.stores.control_rows import StoredKey

Scope = Literal["server", "publishable", "merchandiser", "trainer", "support", "admin"]

_INCLUDES: dict[Scope, frozenset[Scope]] = {
    "server": frozenset({"server"}),
    "publishable": frozenset({"server", "publishable"}),
    "merchandiser": frozenset({"server", "publishable", "merchandiser"}),
    "trainer": frozenset({"server", "publishable", "trainer"}),
    "support": frozenset({"server", "publishable", "support"}),
    "admin": frozenset(get_args(Scope)),
}
"""`server` is the least of all: whoever may do anything may send events."""
COMMAND_LINE = "command line"
"""The actor in the audit trail of a change made with `endcap keys`."""


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a key."""

    id: Annotated[str, Meta(description="names the key in the audit trail and to revoke it")]
    name: str
    scope: Scope
    created_at_ms: int
    revoked_at_ms: int | None = None


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key just made. The secret is in this answer only; the server keeps its digest."""

    key: Annotated[str, Meta(description="the secret: `Authorization: Bearer KEY`")]
    info: KeyInfo


class Principal(msgspec.Struct, frozen=True):
    """Who a request is from."""

    key_id: str
    scope: Scope

    def may(self, scope: Scope) -> bool:
        """Say whether this key's scope includes another."""
        return scope in _INCLUDES[self.scope]


def digest_of(key: str) -> bytes:
    """Hash a key for storage and for looking it up."""
    return sha256(key.encode()).digest()


def principals_of(keys: list[StoredKey]) -> dict[bytes, Principal]:
    """Index the keys that are not revoked by their digest.

    A newer release may know more scopes; here a key of those opens nothing.
    """
    return {
        key.digest: Principal(key.id, msgspec.convert(key.scope, Scope))
        for key in keys
        if key.revoked_at_ms is None and key.scope in _INCLUDES
    }


def create_key(store: ControlStore, *, scope: Scope, name: str, actor: str, now_ms: int) -> NewKey:
    """Make a key, store its digest, record it in the audit trail."""
    if not 1 <= len(name) <= 100:
        raise InputError(f"name has {len(name)} characters; a key's name has 1 to 100; choose one")
    with store.transaction() as transaction:
        return _create(transaction, scope=scope, name=name, actor=actor, now_ms=now_ms)


def create_first_keys(store: ControlStore, now_ms: int) -> list[NewKey]:
    """Make an admin and a publishable key if there has never been a key; else make none."""
    with store.transaction() as transaction:
        if transaction.list_keys():
            return []
        scopes: tuple[Scope, ...] = ("admin", "publishable")
        return [
            _create(
                transaction, scope=scope, name=f"first {scope}", actor="first start", now_ms=now_ms
            )
            for scope in scopes
        ]


def ensure_key(
    store: ControlStore, secret: str, *, scope: Scope, name: str, actor: str, now_ms: int
) -> KeyInfo:
    """Store the digest of a secret that was derived elsewhere, unless it is there already.

    One that was revoked stays revoked.
    """
    with store.transaction() as transaction:
        digest = digest_of(secret)
        for key in transaction.list_keys():
            if key.digest == digest:
                return _info(key)
        made = _create(
            transaction, scope=scope, name=name, actor=actor, now_ms=now_ms, secret=secret
        )
        return made.info


def revoke_key(store: ControlStore, key_id: str, *, actor: str, now_ms: int) -> KeyInfo:
    """Revoke a key for good; revoking it again changes nothing."""
    with store.transaction() as transaction:
        keys = {key.id: key for key in transaction.list_keys()}
        if key_id not in keys:
            raise NotFoundError(
                f"key {key_id!r} does not exist; {list_known(keys)}; "
                "list them with 'endcap keys list'"
            )
        before = _info(keys[key_id])
        if before.revoked_at_ms is not None:
            return before
        after = msgspec.structs.replace(before, revoked_at_ms=now_ms)
        transaction.revoke_key(key_id, now_ms)
        _audit(transaction, before, after, actor, now_ms)
        return after


def list_keys(store: ControlStore) -> list[KeyInfo]:
    """List all keys, revoked ones too, oldest first."""
    with store.transaction() as transaction:
        return [_info(key) for key in transaction.list_keys()]


def _create(
    transaction: ControlTransaction,
    *,
    scope: Scope,
    name: str,
    actor: str,
    now_ms: int,
    secret: str | None = None,
) -> NewKey:
    secret = secret or f"endcap_{scope}_{secrets.token_urlsafe(32)}"
    info = KeyInfo(id=f"key_{secrets.token_hex(6)}", name=name, scope=scope, created_at_ms=now_ms)
    transaction.write_key(
        StoredKey(
            id=info.id,
            name=name,
            scope=scope,
            digest=digest_of(secret),
            created_at_ms=now_ms,
            revoked_at_ms=None,
        )
    )
    _audit(transaction, None, info, actor, now_ms)
    return NewKey(key=secret, info=info)


def _audit(
    transaction: ControlTransaction,
    before: KeyInfo | None,
    after: KeyInfo,
    actor: str,
    now_ms: int,
) -> None:
    transaction.audit.append(
        AuditEntry(
            at_ms=now_ms,
            actor=actor,
            kind="key",
            id=after.id,
            before=None if before is None else msgspec.json.encode(before).decode(),
            after=msgspec.json.encode(after).decode(),
        )
    )


def _info(key: StoredKey) -> KeyInfo:
    return KeyInfo(
        id=key.id,
        name=key.name,
        scope=msgspec.convert(key.scope, Scope),
        created_at_ms=key.created_at_ms,
        revoked_at_ms=key.revoked_at_ms,
    )
