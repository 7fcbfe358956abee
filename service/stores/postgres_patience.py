"""Connections to PostgreSQL that wait no longer than they may for a word of it.

A database that hangs keeps none of the limits that it was given, and closes nothing. A thread that
waits for it hears nothing else, and whoever asked for something gets no answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen

QUICK_S = 3.0
"""Outside of a transaction, where it is only asked whether it is there."""
COMMIT_S = 10.0
STATEMENT_S = 35.0
"""Of a transaction: the database's own limit comes first, with a better reason."""
LOOK_S = 5.0
"""After so long without a word whoever waits looks whether the database is there at all."""


class SilentDatabaseError(psycopg.OperationalError):
    """Nothing was heard for so long that the connection was given up."""


class PatientConnection(psycopg.Connection[Any]):
    """One that is closed if nothing comes or goes for too long while a statement is under way."""

    is_there: Callable[[], bool] = staticmethod(lambda: True)
    """Asks the database, on a connection of its own; set by who opens this one."""
    _is_committing = False

    def commit(self) -> None:
        """Commit; if nothing is heard of it, the database may have done so or not."""
        self._is_committing = True
        try:
            super().commit()
        finally:
            self._is_committing = False

    def wait(self, gen: PQGen[RV], *args: Any, **options: Any) -> RV:
        """Wait for a statement; the driver calls this.

        Raises
        ------
        SilentDatabaseError
            If nothing comes or goes for too long.
        """
        end_s = time.monotonic() + STATEMENT_S
        if self._is_committing:
            steps = unless_silent(gen, COMMIT_S, time.monotonic)
        elif self.autocommit:
            steps = unless_silent(gen, QUICK_S, time.monotonic)
        else:
            steps = unless_silent(
                gen, LOOK_S, time.monotonic, lambda: time.monotonic() < end_s and self.is_there()
            )
        try:
            return super().wait(steps, *args, **options)
        except SilentDatabaseError:
            self.close()
            raise


class LookingConnection(psycopg.Connection[Any]):
    """One whose statements may take as long as they do, while the database answers others.

    Adding up a long log says nothing for minutes, and so does a database that hangs.
    """

    is_there: Callable[[], bool] = staticmethod(lambda: True)
    """As that of `PatientConnection`."""

    def wait(self, gen: PQGen[RV], *args: Any, **options: Any) -> RV:
        """Wait for a statement; the driver calls this.

        Raises
        ------
        SilentDatabaseError
            If the database is not there any more.
        """
        steps = unless_silent(gen, LOOK_S, time.monotonic, self.is_there)
        try:
            return super().wait(steps, *args, **options)
        except SilentDatabaseError:
            self.close()
            raise


def unless_silent(
    steps: PQGen[RV],
    limit_s: float,
    now_s: Callable[[], float],
    may_wait: Callable[[], bool] = lambda: False,
) -> PQGen[RV]:
    """Pass on what the driver waits for, which is told from time to time that nothing came.

    Raises
    ------
    SilentDatabaseError
        If it is told so for longer than `limit_s`, unless it `may_wait` as long again.
    """
    end_s = now_s() + limit_s
    try:
        awaited = next(steps)
        while True:
            came = yield awaited
            if came:
                end_s = now_s() + limit_s
            elif now_s() >= end_s:
                if not may_wait():
                    raise SilentDatabaseError(f"it has not answered for {limit_s:g} seconds")
                end_s = now_s() + limit_s
            awaited = steps.send(came)
    except StopIteration as end:
        result: RV = end.value
        return result
