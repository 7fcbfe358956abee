"""Pseudonyms: raw user ids never reach a disk or a log; a keyed hash of them does.

Trainer and service derive the same pseudonym from the same key, which is in the environment
(``ENDCAP_PSEUDONYM_KEY``, hexadecimal) or in a file of mode 0600 in ``ENDCAP_HOME``.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from models.errors import ConfigError

KEY_VARIABLE = "ENDCAP_PSEUDONYM_KEY"
KEY_FILE = "pseudonym.key"
KEY_BYTES = 32

IdKind = Literal["user_id", "anonymous_id", "session_id"]
"""Which identity an id names. Each kind has its own name space: user "7" is not visitor "7"."""

_DIGEST_BYTES = 16
_PERSON: dict[IdKind, bytes] = {
    "user_id": b"user",
    "anonymous_id": b"anonymous",
    "session_id": b"session",
}


class Pseudonymiser:
    """Derives pseudonyms under one key."""

    __slots__ = ("_deriving", "_keyed")

    def __init__(self, key: bytes) -> None:
        if not 16 <= len(key) <= 64:
            raise ConfigError(
                f"the pseudonym key has {len(key)} bytes; it needs 16 to 64; "
                f"set {KEY_VARIABLE} to 32 to 128 hexadecimal digits"
            )
        # Keyed once; a copy of one costs less than keying it again for each id.
        self._keyed = {
            kind: blake2b(digest_size=_DIGEST_BYTES, key=key, person=person)
            for kind, person in _PERSON.items()
        }
        self._deriving = blake2b(key=key, person=b"derive")

    def pseudonym(self, kind: IdKind, external_id: str) -> str:
        """Hash one id to 32 hexadecimal digits (128 bits); not reversible without the key."""
        keyed = self._keyed[kind].copy()
        keyed.update(external_id.encode())
        return keyed.hexdigest()

    def derive(self, purpose: str) -> bytes:
        """Derive a secret for another purpose, which tells nothing of the key or of other ones."""
        derived = self._deriving.copy()
        derived.update(purpose.encode())
        return derived.digest()


LoadKey = Callable[[Path], Pseudonymiser]
"""Reads the key of a home, or refuses to: another one than its data were made with is of no use."""


def load_pseudonymiser(home: Path) -> Pseudonymiser:
    """Read the key from the environment, else from `home`, where it is created if it is missing."""
    text = os.environ.get(KEY_VARIABLE)
    if text is not None:
        return Pseudonymiser(_decode(text, f"the environment variable {KEY_VARIABLE}"))
    path = home / KEY_FILE
    if not path.exists():
        _create(path)
    return Pseudonymiser(_decode(path.read_text(errors="replace"), str(path)))


def rotate_key(home: Path) -> None:
    """Replace the key of `home` by a new random one, in one step; the old one is gone.

    From then on every person has another pseudonym. Processes that run keep the old key.

    Raises
    ------
    ConfigError
        If the key is in the environment, where only its owner can change it.
    """
    if KEY_VARIABLE in os.environ:
        raise ConfigError(
            f"the pseudonym key is in the environment variable {KEY_VARIABLE}; set another value "
            "there and restart every server and trainer"
        )
    path = home / KEY_FILE
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    _create(draft)
    draft.replace(path)


def _create(path: Path) -> None:
    """Write a new random key; when two processes race, the first one's key stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def _decode(text: str, source: str) -> bytes:
    try:
        return bytes.fromhex(text.strip())
    except ValueError as error:
        raise ConfigError(
            f"{source} is not hexadecimal; write an even number of digits 0-9 and a-f, "
            "for example the output of 'openssl rand -hex 32'"
        ) from error
