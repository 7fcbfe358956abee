"""The attribution window, which the running sums keep."""

from contextlib import closing

import pytest

from models.errors import ConfigError
from service.reports.rollup_keeper import RollupKeeper
from service.stores.archiving import archive_old_days
from service.stores.attribution import read_window_days, set_window_days
from service.stores.event_log import EventLog
from service.stores.outcomes import read_outcomes
from service.stores.rollup import open_rollup
from tests.unit.service.stores.test_rollup import Store, did, in_a_file, path, shown, store

__all__ = ["path", "store"]

DAY_MS = 86_400_000


def keep(path: EventLog, days: int) -> None:
    """Do what a server does that was started with a window, until all is added up."""
    keeper = RollupKeeper(path, attribution_days=days)
    while keeper.step():
        pass
    keeper.give_back()


@pytest.mark.parametrize("days", [1, 7, 30])
def test_click_within_the_window_is_put_down_to_the_exposure(
    path: EventLog, store: Store, days: int
) -> None:
    """To the millisecond; both without the name of an exposure."""
    store(*(shown(f"x{unit}", unit, at_ms=1_000) for unit in ("in", "out")))
    end_ms = 1_000 + days * DAY_MS
    store(did("e1", 1, "in", at_ms=end_ms), did("e2", 1, "out", at_ms=end_ms + 1))
    keep(path, days)
    sums = read_outcomes(path, "r")
    assert sums.arms[0].n_clicks_joined == 1
    assert sums.attribution_days == days


def test_what_is_counted_stays_when_the_window_changes(path: EventLog, store: Store) -> None:
    """Whoever reports uses the window that the server has left, and shortens nothing behind."""
    store(shown("x1", "a", at_ms=1_000), shown("x2", "b", at_ms=1_000))
    store(did("e1", 1, "a", at_ms=1_000 + 10 * DAY_MS))
    keep(path, 14)
    keep(path, 2)
    store(did("e2", 1, "b", at_ms=1_000 + 10 * DAY_MS))
    sums = read_outcomes(path, "r")
    assert (sums.arms[0].n_clicks_joined, sums.attribution_days) == (1, 2)


def test_setting_the_same_window_writes_nothing(path: EventLog, store: Store) -> None:
    """A keeper asks for it at every step."""
    store(shown("x1", "a"))
    with closing(open_rollup(path)) as sums:
        assert not set_window_days(sums, 7)
        assert set_window_days(sums, 8)
        assert not set_window_days(sums, 8)
        assert read_window_days(sums) == 8


@in_a_file
def test_days_within_the_window_are_not_archived(path: EventLog, store: Store) -> None:
    """The command does not know the server's settings, but the sums do."""
    store(shown("x1", "a"))
    keep(path, 14)
    with pytest.raises(ConfigError, match="last 14 days; give 15 or more"):
        archive_old_days(path, 14, now_ms=100 * DAY_MS)
