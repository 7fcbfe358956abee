"""Sessions in a signed cookie, and attempts to begin one."""

import pytest

from service.console.attempts import MAX_FAILED, WINDOW_MS, SignInAttempts
from service.console.session import Session, Sessions

HOUR_MS = 3_600_000
SESSIONS = Sessions(b"s" * 32, hours=12)


def test_session_is_read_until_its_time_is_over() -> None:
    """Twelve hours and no longer."""
    session = SESSIONS.begin("key_1", 1_000)
    cookie = SESSIONS.write(session)
    assert SESSIONS.read(cookie, 1_000) == session
    assert SESSIONS.read(cookie, 1_000 + 12 * HOUR_MS - 1) == session
    assert SESSIONS.read(cookie, 1_000 + 12 * HOUR_MS) is None


def test_session_of_another_secret_or_content_is_none() -> None:
    """Whoever changes the key or the time in it cannot sign it."""
    session = SESSIONS.begin("key_1", 0)
    cookie = SESSIONS.write(session)
    other = SESSIONS.write(Session("key_2", session.expires_ms, session.nonce))
    swapped = other.rpartition(".")[0] + "." + cookie.rpartition(".")[2]
    for forged in (swapped, cookie[:-1], "", "a.b.c.d", "ü.1.n.s", cookie + "0"):
        assert SESSIONS.read(forged, 0) is None
    assert Sessions(b"t" * 32, hours=12).read(cookie, 0) is None


def test_session_is_prolonged_but_not_with_each_request() -> None:
    """After a twentieth of its time: 36 minutes of 12 hours. The token of its forms stays."""
    session = SESSIONS.begin("key_1", 0)
    assert SESSIONS.prolonged(session, 35 * 60_000) is None
    prolonged = SESSIONS.prolonged(session, 37 * 60_000)
    assert prolonged is not None
    assert prolonged.expires_ms == 37 * 60_000 + 12 * HOUR_MS
    assert SESSIONS.form_token(prolonged) == SESSIONS.form_token(session)


def test_form_token_is_of_one_session() -> None:
    """Another session's, or none, is not taken."""
    one, two = SESSIONS.begin("key_1", 0), SESSIONS.begin("key_1", 0)
    assert SESSIONS.is_own_form(one, SESSIONS.form_token(one))
    assert not SESSIONS.is_own_form(one, SESSIONS.form_token(two))
    assert not SESSIONS.is_own_form(one, "")
    assert not SESSIONS.is_own_form(one, "é")


@pytest.mark.parametrize("other", ["10.0.0.2", ""])
def test_attempts_are_counted_by_address_and_minute(other: str) -> None:
    """Ten wrong keys a minute; another address, and the next minute, are free."""
    attempts = SignInAttempts()
    for _ in range(MAX_FAILED):
        assert attempts.may_try("10.0.0.1", 0)
        attempts.count_failed("10.0.0.1", 0)
    assert not attempts.may_try("10.0.0.1", WINDOW_MS - 1)
    assert attempts.may_try("10.0.0.1", WINDOW_MS)
    assert attempts.may_try(other, 0)
