"""Who may open a connection to a database that has just let somebody wait in vain: one at a time.

Each attempt takes seconds and a thread until it is given up. Where sixty wait for their turn to
find out the same, the last one is told after minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

import psycopg

from service.stores.postgres_patience import SilentDatabaseError

CONNECT_S = 3
"""How long whoever only looks waits for an answer."""
_SILENCE = (psycopg.errors.ConnectionTimeout, SilentDatabaseError)


class Presence:
    """What this process knows of one database; it is there until somebody has waited in vain."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_silent = False
        self._is_asked = False
        """Whether somebody tries it while it is known to be silent."""

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Open a connection in the block.

        Raises
        ------
        SilentDatabaseError
            At once, if somebody has waited in vain and another one tries again now.
        """
        is_first = self._take_turn()
        try:
            yield
        except psycopg.OperationalError as error:
            self._note(is_silent=isinstance(error, _SILENCE))
            raise
        else:
            self._note(is_silent=False)
        finally:
            if is_first:
                self._is_asked = False

    def answers(self, address: str) -> bool:
        """Tell whether the database takes a connection, or says why it does not."""
        try:
            with self.asking():
                psycopg.connect(address, connect_timeout=CONNECT_S).close()
        except _SILENCE:
            return False
        except psycopg.Error:
            return True
        return True

    def _take_turn(self) -> bool:
        with self._lock:
            if not self._is_silent:
                return False
            if self._is_asked:
                raise SilentDatabaseError("it did not answer others, of whom one tries again now")
            self._is_asked = True
            return True

    def _note(self, *, is_silent: bool) -> None:
        with self._lock:
            self._is_silent = is_silent


@cache
def presence_of(url: str) -> Presence:
    """Return what is known of the database at an address."""
    return Presence()
