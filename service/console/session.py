"""Sessions of people who signed in with a key: a signed cookie, kept nowhere on the server.

So every worker can read it, and a restart ends nobody's. It names the key, and dies with it.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from hashlib import blake2b

COOKIE = "endcap_session"
_DIGEST_BYTES = 20
_RENEW_AFTER = 0.05
"""Share of a session's length after which a request prolongs it."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who signed in, and until when that holds."""

    key_id: str
    expires_ms: int
    nonce: str
    """Random, and the same however often the session is prolonged."""


class Sessions:
    """Writes and reads sessions under one secret."""

    def __init__(self, secret: bytes, hours: int) -> None:
        self._secret = secret
        self.length_ms = hours * 3_600_000

    def begin(self, key_id: str, now_ms: int) -> Session:
        """Make the session of someone who has just shown a key."""
        return Session(key_id, now_ms + self.length_ms, secrets.token_hex(12))

    def prolonged(self, session: Session, now_ms: int) -> Session | None:
        """Return a session with its full time ahead, or nothing if it is nearly so already."""
        if session.expires_ms - now_ms > (1 - _RENEW_AFTER) * self.length_ms:
            return None
        return Session(session.key_id, now_ms + self.length_ms, session.nonce)

    def write(self, session: Session) -> str:
        """Write the value of the cookie."""
        content = f"{session.key_id}.{session.expires_ms}.{session.nonce}"
        return f"{content}.{self._sign('session', content)}"

    def read(self, cookie: str, now_ms: int) -> Session | None:
        """Read a cookie; nothing if it is forged, or its time is over."""
        content, _, signature = cookie.rpartition(".")
        if not _same(signature, self._sign("session", content)):
            return None
        key_id, expires_ms, nonce = content.split(".")
        session = Session(key_id, int(expires_ms), nonce)
        return session if now_ms < session.expires_ms else None

    def form_token(self, session: Session) -> str:
        """Return what each form of this session carries, which no other site can know."""
        return self._sign("form", session.nonce)

    def is_own_form(self, session: Session, token: str) -> bool:
        """Say whether a form was made for this session."""
        return _same(token, self.form_token(session))

    def _sign(self, purpose: str, text: str) -> str:
        message = f"{purpose}:{text}".encode()
        return blake2b(message, key=self._secret, digest_size=_DIGEST_BYTES).hexdigest()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
