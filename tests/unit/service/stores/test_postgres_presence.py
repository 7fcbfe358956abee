"""A database that let somebody wait in vain is asked by one at a time, until it answers."""

from contextlib import ExitStack

import psycopg
import pytest

from service.stores.postgres_patience import SilentDatabaseError
from service.stores.postgres_presence import Presence


def wait_in_vain(presence: Presence, error: type[psycopg.Error] = SilentDatabaseError) -> None:
    with pytest.raises(error), presence.asking():
        raise error("of the test")


def is_refused(presence: Presence) -> bool:
    """Say whether nobody may ask now; whoever may finds that the database answers."""
    try:
        with presence.asking():
            return False
    except SilentDatabaseError:
        return True


@pytest.mark.parametrize("error", [SilentDatabaseError, psycopg.errors.ConnectionTimeout])
def test_one_asks_a_silent_database_at_a_time(error: type[psycopg.Error]) -> None:
    """The others are told at once while it does, and may all ask once it has heard something."""
    presence = Presence()
    wait_in_vain(presence, error)
    with presence.asking():
        assert is_refused(presence)
        assert is_refused(presence)
    assert not is_refused(presence)
    with presence.asking():
        assert not is_refused(presence)


def test_who_asked_in_vain_is_followed_by_the_next() -> None:
    """Nobody has to wait for a while until the database is found again."""
    presence = Presence()
    for _ in range(3):
        wait_in_vain(presence)
    assert not is_refused(presence)


def test_many_may_ask_what_is_not_known_to_be_silent() -> None:
    """One that refuses at once, as without room for another connection, is there."""
    presence = Presence()
    with ExitStack() as asking:
        for _ in range(9):
            asking.enter_context(presence.asking())
    wait_in_vain(presence)
    wait_in_vain(presence, psycopg.OperationalError)
    with presence.asking():
        assert not is_refused(presence)


@pytest.mark.parametrize(
    ("error", "is_there"),
    [
        (psycopg.errors.ConnectionTimeout("connection timeout expired"), False),
        (psycopg.OperationalError("sorry, too many clients already"), True),
    ],
)
def test_database_that_says_why_it_does_not_is_there(
    monkeypatch: pytest.MonkeyPatch, error: psycopg.Error, is_there: bool
) -> None:
    """And one that somebody else has just asked in vain, and asks again, is not asked at all."""
    asked: list[str] = []

    def connect(address: str, **_options: object) -> None:
        asked.append(address)
        raise error

    monkeypatch.setattr(psycopg, "connect", connect)
    presence = Presence()
    assert presence.answers("somewhere") is is_there
    wait_in_vain(presence)
    with presence.asking():
        assert not presence.answers("somewhere")
    assert asked == ["somewhere"]
