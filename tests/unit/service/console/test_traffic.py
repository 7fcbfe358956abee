"""Pages a second and their times, from cumulated counts."""

from threading import Event

import pytest
from prometheus_client.samples import Sample

from service.console.kept import Kept
from service.console.traffic import PageCounts, TrafficWindow, by_minute, count_pages
from service.telemetry.request_tally import BOUNDS_MS, RequestCounts

INF = float("inf")


def sample(value: float, bound_s: str, *, route: str = "/v1/serve", status: str = "200") -> Sample:
    """Make a bucket as Prometheus counts it."""
    labels = {"method": "POST", "route": route, "status": status, "le": bound_s}
    return Sample("endcap_request_seconds_bucket", labels, value)


def test_pages_are_counted_without_refusals_and_other_routes() -> None:
    """An error of the server is a page that somebody waited for; a 401 or a report is none."""
    counts = count_pages(
        [
            sample(3, "0.001"),
            sample(5, "+Inf"),
            sample(1, "+Inf", status="503"),
            sample(9, "+Inf", status="401"),
            sample(9, "+Inf", route="/v1/audit"),
        ],
        at_ms=7,
    )
    assert (counts.n, counts.n_errors, counts.n_by_bound_ms[1.0]) == (6, 1, 3)


def test_window_compares_with_a_minute_ago() -> None:
    """100 pages in 10 s, half of them within 1 ms: 10 a second, and the median is 1 ms."""
    window = TrafficWindow(started_ms=0)
    first = window.take(PageCounts(10_000, {1.0: 50.0, 2.0: 100.0, INF: 100.0}))
    assert first.pages_per_s == 10
    assert first.p50_ms == 1.0
    assert first.p99_ms == pytest.approx(1.98)
    window.take(PageCounts(60_000, {1.0: 50.0, 2.0: 100.0, INF: 100.0}))
    later = window.take(PageCounts(110_000, {1.0: 50.0, 2.0: 160.0, INF: 160.0}))
    assert later.seconds == 100  # the count of a minute ago or more, and not the start
    assert later.n == 60
    assert later.p50_ms == pytest.approx(1.5)
    restarted = window.take(PageCounts(120_000, {1.0: 2.0, 2.0: 2.0, INF: 2.0}))
    assert (restarted.n, restarted.pages_per_s) == (2, None)


def test_workers_add_up_by_the_minute() -> None:
    """Two workers in one minute; counts of a version with other bounds are left out."""
    place = BOUNDS_MS.index(2.0)
    buckets = tuple(10 if at == place else 0 for at in range(len(BOUNDS_MS) + 1))
    counted = [RequestCounts(0, end, buckets, 1) for end in (61_000, 119_000, 121_000)]
    minutes = by_minute([*counted, RequestCounts(0, 61_000, (1,), 5)])
    assert [(one.at_ms, one.n, one.n_errors) for one in minutes] == [
        *((60_000, 20, 2), (120_000, 10, 1)),
    ]
    assert minutes[0].p50_ms == pytest.approx(1.8)  # half way from 1.6 to 2.0


def test_kept_value_is_made_again_when_it_is_old() -> None:
    """By key; a clock that was set back makes it anew too."""
    made: list[str] = []
    kept: Kept[int] = Kept(for_ms=10)

    def make() -> int:
        made.append("x")
        return len(made)

    assert [kept.get("a", at, make) for at in (0, 9, 10, 11, 5)] == [1, 1, 2, 2, 3]
    assert kept.get("b", 5, make) == 4


def test_value_that_takes_long_is_not_waited_for() -> None:
    """Who looks meanwhile sees the one before, or nothing; the next one sees it."""
    kept: Kept[int] = Kept(for_ms=10)
    may_end = Event()

    def make() -> int:
        may_end.wait(10)
        return 7

    assert kept.get_soon("a", 0, make, wait_s=0.01) is None
    may_end.set()
    assert kept.get_soon("a", 0, make, wait_s=10) == 7
    may_end.clear()
    assert kept.get_soon("a", 20, make, wait_s=0.01) == 7
    may_end.set()


def test_value_that_cannot_be_made_is_none() -> None:
    """It is logged, and tried again."""
    kept: Kept[int] = Kept(for_ms=10)
    assert kept.get_soon("a", 0, lambda: 1 // 0, wait_s=10) is None
    assert kept.get_soon("a", 0, lambda: 1, wait_s=10) == 1
