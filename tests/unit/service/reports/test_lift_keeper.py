"""The lift is kept from time to time, by one worker, less and less often."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.reports.lift_keeper import FIRST_MS, LEASE_MS, LiftKeeper, is_due
from service.stores.lift_points import LiftPoint
from service.stores.newer_sums import NewerSumsError
from service.stores.outcomes import read_outcomes
from tests.unit.service.learning.banner_logs import banner_slate, write_log
from tests.unit.service.routes.samples import NOW_MS, Shop, open_client

DAY_MS = 86_400_000
POINT = LiftPoint(NOW_MS, "personal", "click_through", 0.1, -0.1, 0.3)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Open an app with a rollout at a half."""
    with open_client(tmp_path) as client:
        opened = Shop(client)
        opened.call("PUT", "/v1/rollouts/r", json={"share": 0.5})
        yield opened


def keeper(shop: Shop, holder: str) -> LiftKeeper:
    """Make a worker's keeper."""
    services = shop.services
    events = services.settings.home / "events.sqlite"
    return LiftKeeper(
        services.control_store, services.control, events, holder=holder, now_ms=services.now_ms
    )


def test_points_come_less_often_as_time_goes_by() -> None:
    """A minute at first; after 100 days one in half a day."""
    assert is_due(None, NOW_MS)
    assert not is_due((NOW_MS, NOW_MS), NOW_MS + FIRST_MS - 1)
    assert is_due((NOW_MS, NOW_MS), NOW_MS + FIRST_MS)
    old = NOW_MS - 100 * DAY_MS
    assert not is_due((old, NOW_MS), NOW_MS + DAY_MS // 2)
    assert is_due((old, NOW_MS), NOW_MS + DAY_MS // 2 + DAY_MS // 100)


def test_points_are_read_as_they_were_kept(shop: Shop) -> None:
    """By rollout and metric; a moment that is kept twice is there once."""
    later = POINT._replace(at_ms=NOW_MS + 5)
    with shop.services.control_store.transaction() as transaction:
        points = transaction.lift_points
        points.append("r", [POINT, POINT._replace(metric="conversion")])
        points.append("r", [later])
        points.append("r", [later._replace(value=0.2)])
        points.append("other", [POINT])
        points.append("r", [])
        assert points.list_of("r", "click_through") == [POINT, later._replace(value=0.2)]
        assert points.span_of("r") == (NOW_MS, NOW_MS + 5)
        assert points.span_of("none") is None


def test_one_worker_keeps_what_can_be_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other waits for the lease; without people there is nothing to keep."""
    one, two = keeper(shop, "one"), keeper(shop, "two")
    assert one.run_once() == 0
    monkeypatch.setattr("service.reports.lift_keeper.points_of", lambda _report: [POINT])
    assert (two.run_once(), one.run_once()) == (0, 1)
    assert one.run_once() == 0  # a minute has not passed
    shop.advance(LEASE_MS + 1)
    assert two.run_once() == 1


def test_worker_of_an_older_release_leaves_points_to_another(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot read the sums; whoever can need not wait for its lease to end."""

    def refuse(*_: object, **__: object) -> None:
        raise NewerSumsError("rollup", 2, 1)

    monkeypatch.setattr("service.reports.lift_keeper.points_of", lambda _report: [POINT])
    with monkeypatch.context() as older:
        older.setattr("service.reports.lift_keeper.report_rollout", refuse)
        with pytest.raises(NewerSumsError):
            keeper(shop, "one").run_once()
    assert keeper(shop, "two").run_once() == 1


def test_lift_is_of_what_is_added_up_already(shop: Shop) -> None:
    """What came since then is added up by the keeper of the sums, and not in a worker."""
    events = write_log(shop.services.settings.home, [banner_slate("x1", "a")])
    assert keeper(shop, "one").run_once() == 0
    assert read_outcomes(events, "r", max_new=0).n_waiting == 1


@pytest.mark.parametrize("patch", [{"share": 0}, {"enabled": False}, {"killed": True}])
def test_rollout_that_does_not_split_has_no_points(shop: Shop, patch: dict[str, object]) -> None:
    """There is nothing new to know."""
    shop.call("PATCH", "/v1/rollouts/r", json=patch)
    made = keeper(shop, "one")
    assert made.run_once() == 0
    with shop.services.control_store.transaction() as transaction:
        assert transaction.leases.take("lift", "another", now_ms=NOW_MS, for_ms=1)
