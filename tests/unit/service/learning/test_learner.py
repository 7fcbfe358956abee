"""One worker counts and publishes, every worker reads, and a restart forgets nothing."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from service.control.configuration import Configuration
from service.control.documents import Banner, Placement
from service.learning.learner import LEAD_MS, LEASE_MS, BannerLearner
from service.learning.performance import read_performance
from service.stores import banner_counts
from service.stores.archiving import archive_old_days
from service.stores.banner_counts import DAY_MS, open_banner_counts
from service.stores.banner_rates import ANY_FIT, PublishedRates, list_periods
from service.stores.control import ControlStore
from service.stores.event_log import EventLog
from service.stores.newer_sums import NewerSumsError
from tests.unit.service.learning.banner_logs import banner_slate, done, write_log

HOUR_MS = 3_600_000


class Worker:
    """A learner with a hand on its clock, and what it was told."""

    def __init__(
        self, home: Path, store: ControlStore, name: str = "one", period_ms: int = HOUR_MS
    ) -> None:
        self.now_ms = 5 * HOUR_MS
        self.told: Sequence[PublishedRates] = ()
        documents: list[Placement | Banner] = [
            msgspec.convert({"id": "hero", "kind": "banners"}, Placement),
            *(
                msgspec.convert(
                    {"id": one, "title": one, "image_url": "/i", "link_url": "/l"}, Banner
                )
                for one in ("a", "b")
            ),
        ]
        self.learner = BannerLearner(
            store,
            write_log(home),
            lambda: Configuration.compile(1, documents),
            self._tell,
            holder=name,
            now_ms=lambda: self.now_ms,
            period_ms=period_ms,
            half_life_days=30,
        )

    @property
    def periods(self) -> list[int]:
        """The periods it was told of."""
        self.learner.read()
        return [one.period for one in self.told]

    def rate(self, banner_id: str) -> float:
        """What the newest rates say of a banner in `hero`, for shoppers in no segment."""
        self.learner.read()
        [found] = [
            one.rate for one in self.told[0].rates if one[:4] == ("hero", "", banner_id, ANY_FIT)
        ]
        return found

    def _tell(self, published: Sequence[PublishedRates]) -> None:
        self.told = published


@pytest.fixture
def store(tmp_path: Path) -> ControlStore:
    """Open a control store, for the leases."""
    return ControlStore(tmp_path / "control.sqlite")


def log_clicks(home: Path, day: int, clicks: dict[str, int]) -> None:
    """Store 100 slates of each banner on a day, of which so many are clicked."""
    exposures = [
        banner_slate(f"{day}/{one}/{i}", one, at_ms=day * DAY_MS + 1)
        for one in clicks
        for i in range(100)
    ]
    events = [
        done(1, f"{day}/{one}/{i}", one, received_ms=day * DAY_MS + 2)
        for one, n in clicks.items()
        for i in range(n)
    ]
    write_log(home, exposures, events)


def test_rates_are_published_ahead_and_once_a_period(tmp_path: Path, store: ControlStore) -> None:
    """At the start for this hour; a minute before the next one for that, and then no more."""
    log_clicks(tmp_path, 0, {"a": 20, "b": 5})
    worker = Worker(tmp_path, store)
    assert worker.learner.run_once()
    assert not worker.learner.run_once()
    assert worker.periods == [5]
    assert worker.rate("a") > worker.rate("b")
    worker.now_ms = 6 * HOUR_MS - LEAD_MS
    assert worker.learner.run_once()
    assert worker.periods == [6, 5]
    worker.now_ms = 6 * HOUR_MS
    assert not worker.learner.run_once()


def test_one_worker_works_and_all_read(tmp_path: Path, store: ControlStore) -> None:
    """While the first has the lease the second only reads; later it takes over."""
    log_clicks(tmp_path, 0, {"a": 20, "b": 5})
    one, two = Worker(tmp_path, store), Worker(tmp_path, store, "two")
    assert one.learner.run_once()
    two.now_ms += HOUR_MS - 1
    one.now_ms = two.now_ms
    one.learner.run_once()
    assert not two.learner.run_once()
    assert two.periods == [6, 5]
    two.now_ms += HOUR_MS + LEASE_MS
    assert two.learner.run_once()
    assert one.periods == [7, 6]


def test_restart_forgets_nothing(tmp_path: Path, store: ControlStore) -> None:
    """A new process reads at once what is published, and goes on counting where it stopped."""
    log_clicks(tmp_path, 0, {"a": 20, "b": 5})
    Worker(tmp_path, store).learner.run_once()
    again = Worker(tmp_path, store)
    assert again.periods == [5]
    log_clicks(tmp_path, 1, {"a": 0, "b": 5})
    again.now_ms = DAY_MS
    again.learner.run_once()
    assert again.rate("a") == pytest.approx(again.rate("b") * 2, rel=0.4)


def test_counts_made_anew_are_read_from_the_archive_beside(
    tmp_path: Path, store: ControlStore
) -> None:
    """Nothing is published of half of them; then the rates are those of before."""
    log_clicks(tmp_path, 0, {"a": 20, "b": 5})
    worker = Worker(tmp_path, store)
    worker.now_ms = 20 * DAY_MS
    worker.learner.run_once()
    before = worker.rate("a")
    moved = archive_old_days(tmp_path / "events.sqlite", 10, now_ms=worker.now_ms)
    assert moved == {"events": 25, "exposures": 200}
    for file in tmp_path.glob("banners.sqlite*"):
        file.unlink()
    again = Worker(tmp_path, store)
    again.now_ms = worker.now_ms
    assert not again.learner.run_once()
    assert again.periods == []
    again.learner._replay.wait()
    assert again.learner.run_once()
    again.learner.close()
    assert again.rate("a") == before


def test_season_changes_what_is_believed(tmp_path: Path, store: ControlStore) -> None:
    """`a` was the better one half a year ago, `b` is today: 100 slates outweigh 100 old ones."""
    log_clicks(tmp_path, 0, {"a": 40, "b": 5})
    log_clicks(tmp_path, 180, {"a": 5, "b": 20})
    worker = Worker(tmp_path, store)
    worker.now_ms = 180 * DAY_MS + HOUR_MS
    worker.learner.run_once()
    assert worker.rate("b") > 2 * worker.rate("a")


def test_old_periods_go(tmp_path: Path, store: ControlStore) -> None:
    """Two are kept: this one and the next."""
    worker = Worker(tmp_path, store)
    for hour in range(5, 11):
        worker.now_ms = hour * HOUR_MS
        worker.learner.run_once()
    with open_banner_counts(tmp_path / "events.sqlite") as connection:
        assert list_periods(connection) == [10, 9]


def test_longer_periods_begin_at_once(tmp_path: Path, store: ControlStore) -> None:
    """After a restart with hours in the place of minutes the numbers of periods are smaller.

    What minutes left behind is of another clock, and goes.
    """
    log_clicks(tmp_path, 0, {"a": 20, "b": 5})
    minutes = Worker(tmp_path, store, period_ms=60_000)
    minutes.learner.run_once()
    assert minutes.periods == [5 * 60]
    hours = Worker(tmp_path, store)
    assert hours.learner.run_once()
    assert hours.periods == [5]
    assert hours.rate("a") > hours.rate("b")
    assert not hours.learner.run_once()


def test_what_is_shown_as_learned_is_of_this_hour(tmp_path: Path, store: ControlStore) -> None:
    """The next hour's rates are there a minute before anybody is served by them."""
    log_clicks(tmp_path, 0, {"a": 20, "b": 5})
    worker = Worker(tmp_path, store)
    worker.learner.run_once()
    path = tmp_path / "events.sqlite"

    def learned(now_ms: int) -> float:
        found = read_performance(path, ["a"], now_ms=now_ms, period_ms=HOUR_MS)["a"]
        [place] = found.placements
        assert place.learned is not None
        return place.learned.value

    before = learned(worker.now_ms)
    write_log(
        tmp_path,
        [banner_slate(f"more/{i}", "a", at_ms=2) for i in range(100)],
        [done(1, f"more/{i}", "a", received_ms=3) for i in range(100)],
    )
    worker.now_ms = 6 * HOUR_MS - LEAD_MS
    assert worker.learner.run_once()
    assert learned(worker.now_ms) == before
    assert learned(6 * HOUR_MS) > before


@pytest.mark.parametrize("event_url", ["postgres"], indirect=True)
def test_older_release_leaves_learning_to_a_newer_one(
    event_log: EventLog, store: ControlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot read the counts of the newer one, which gets the lease without waiting for it."""

    def learner(name: str) -> BannerLearner:
        return BannerLearner(
            store,
            event_log,
            lambda: Configuration.compile(1, []),
            lambda _: None,
            holder=name,
            now_ms=lambda: 5 * HOUR_MS,
            period_ms=HOUR_MS,
            half_life_days=30,
        )

    own = banner_counts.VERSION
    monkeypatch.setattr(banner_counts, "VERSION", own + 1)
    with open_banner_counts(event_log):
        pass
    monkeypatch.setattr(banner_counts, "VERSION", own)
    older = learner("older")
    with pytest.raises(NewerSumsError):
        older.run_once()
    assert not older.run_once()
    monkeypatch.setattr(banner_counts, "VERSION", own + 1)
    assert learner("newer").run_once()
