"""Who waits for a database hears in time that it says nothing, and never too early."""

from collections.abc import Callable, Generator
from typing import Any

import pytest
from psycopg.waiting import Ready, Wait

from service.stores.postgres_patience import SilentDatabaseError, unless_silent


def waiting(
    came: list[Ready], *, limit_s: float, may_wait: Callable[[], bool] = lambda: False
) -> Any:
    """Run a statement that ends when all has come; each time a second has passed."""
    now_s = [0.0]
    steps = unless_silent(statement(len(came)), limit_s, lambda: now_s[0], may_wait)
    try:
        assert next(steps) is Wait.R
        for one in came:
            now_s[0] += 1
            assert steps.send(one) is Wait.R
    except StopIteration as end:
        return end.value
    return None


def statement(n_waits: int) -> Generator[Wait, Ready | int, str]:
    """Wait as the driver does."""
    for _ in range(n_waits):
        yield Wait.R
    return "done"


@pytest.mark.parametrize(
    "came", [[], [Ready.R], [Ready.NONE, Ready.NONE, Ready.R, Ready.NONE, Ready.NONE, Ready.R]]
)
def test_statement_of_which_something_is_heard_goes_on(came: list[Ready]) -> None:
    """However long all of it takes: never three seconds in a row without a word."""
    assert waiting(came, limit_s=3) == "done"


def test_statement_of_which_nothing_is_heard_is_given_up() -> None:
    """Three seconds after the last word, though it would have gone on."""
    with pytest.raises(SilentDatabaseError, match="has not answered for 3 seconds"):
        waiting([Ready.R, Ready.NONE, Ready.NONE, Ready.NONE, Ready.R], limit_s=3)


def test_silent_statement_goes_on_while_the_database_is_there() -> None:
    """It is looked for every three seconds, and is found twice and not a third time."""
    answers = [True, True, False]
    assert waiting([Ready.NONE] * 8, limit_s=3, may_wait=lambda: answers.pop(0)) == "done"
    assert answers == [False]
    with pytest.raises(SilentDatabaseError):
        waiting([Ready.NONE] * 8, limit_s=3, may_wait=lambda: answers.pop(0))
