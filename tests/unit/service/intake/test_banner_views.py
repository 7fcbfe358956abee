"""Views of banners by unit: read once, counted at once, followed from other workers, bounded."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.exposure import Exposure, Shown
from service.intake.banner_views import MAX_VIEWS, BannerViews
from service.serve.caps import Cap, resting_banners
from service.stores.banner_views import BannerViewReader
from service.stores.event_database import open_event_database
from service.stores.events import Batch
from service.stores.sqlite_events import SqliteEventStore
from tests.unit.service.intake.samples import slate


def banner(exposure_id: str, unit: str = "u", at_ms: int = 1_000) -> Exposure:
    """Show banner b to a unit."""
    shown = (Shown(id="b", position=1, source="static", propensity=1.0),)
    return slate(exposure_id, unit_key=unit, kind="banners", at_ms=at_ms, shown=shown)


class Bench:
    """A store, and a worker that has seen nothing of it."""

    def __init__(self, home: Path) -> None:
        path = open_event_database(home)
        self.events = SqliteEventStore(path, opened_ms=1)
        self.views = BannerViews(BannerViewReader(path), max_cached=2)

    def commit(self, *exposures: Exposure) -> None:
        """Store what another worker has shown."""
        self.events.commit(Batch(exposures=exposures))

    def seen(self, *units: str, timeout_s: float = 5.0) -> list[tuple[str, int]] | None:
        """Ask what units were shown, after following the others."""

        async def ask() -> list[tuple[str, int]] | None:
            await self.views.catch_up()
            return await self.views.views(units, 2_000, timeout_s)

        return asyncio.run(ask())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Open a bench."""
    opened = Bench(tmp_path)
    yield opened
    opened.views.close()
    opened.events.close(2)


def test_views_of_all_workers_count_once(bench: Bench) -> None:
    """Stored before, shown by this worker and then stored, stored by another: three views."""
    bench.commit(banner("e1"), banner("x", unit="other"), slate("items", unit_key="u"))
    assert bench.seen("u") == [("b", 1_000)]
    mine = banner("e2", at_ms=1_100)
    bench.views.add([mine, banner("y", unit="unknown")])
    assert bench.seen("u") == [("b", 1_000), ("b", 1_100)]
    bench.commit(mine, banner("e3", at_ms=1_200))
    assert bench.seen("u") == [("b", 1_000), ("b", 1_100), ("b", 1_200)]
    assert bench.seen("u", "other") == [*(bench.seen("u") or []), ("b", 1_000)]


def test_requests_that_come_together_wait_for_one_read(bench: Bench) -> None:
    """The second request of a new unit does not take an unread unit for one that saw nothing."""
    bench.commit(banner("e1"))

    async def ask() -> list[list[tuple[str, int]] | None]:
        return await asyncio.gather(*(bench.views.views(["u"], 2_000, 5.0) for _ in range(3)))

    assert asyncio.run(ask()) == [[("b", 1_000)]] * 3


def test_unit_that_never_stops_is_not_looked_at_longer_and_longer(bench: Bench) -> None:
    """Of its views the newest are kept, in whatever order they came; other units stay."""
    assert bench.seen("u", "v") == []
    times_ms = [*range(MAX_VIEWS, 2 * MAX_VIEWS + 1), *range(MAX_VIEWS)]
    bench.views.add([banner(f"e{at_ms}", at_ms=at_ms) for at_ms in times_ms])
    bench.views.add([banner("mine", "v")])
    seen = bench.seen("u")
    assert seen == [("b", at_ms) for at_ms in range(MAX_VIEWS + 1, 2 * MAX_VIEWS + 1)]
    assert bench.seen("v") == [("b", 1_000)]


def test_no_time_is_no_answer(bench: Bench) -> None:
    """At the deadline nothing is known, and the caps hold for everything."""
    assert bench.seen("u", timeout_s=0.0) is None
    assert resting_banners({"b": Cap(1, 10)}, None, 5) == {"b"}


def test_cache_is_bounded_and_forgets(bench: Bench) -> None:
    """The oldest unit goes first; an erased one at once."""
    bench.seen("u1", "u2", "u3")
    assert list(bench.views._units) == ["u2", "u3"]
    bench.views.forget(["u3", "unknown"])
    assert list(bench.views._units) == ["u2"]


@pytest.mark.parametrize(
    ("ages_ms", "is_resting"),
    [([], False), ([0], False), ([0, 9], True), ([0, 10], False), ([0, 9, 99], True)],
)
def test_banner_rests_at_its_cap(ages_ms: list[int], is_resting: bool) -> None:
    """Two views in the last 10 ms are the cap; a view of exactly 10 ms ago is over."""
    views = [("b", 1_000 - age) for age in ages_ms] + [("free", 1_000)] * 9
    resting = resting_banners({"b": Cap(2, 10)}, views, 1_000)
    assert resting == ({"b"} if is_resting else frozenset())
