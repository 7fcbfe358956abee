"""What counts as shown, seen and clicked, and how it is read."""

from pathlib import Path

import pytest

from models.errors import NotFoundError
from service.learning.performance import one_performance, read_performance
from service.reports.rollup_keeper import RollupKeeper
from service.stores import banner_counts
from service.stores.archiving import archive_old_days
from service.stores.banner_counts import (
    DAY_MS,
    KEPT_DAYS,
    BannerCount,
    fold_banners,
    open_banner_counts,
    read_banner_counts,
)
from service.stores.event_log import EventLog
from service.stores.event_schema import EventFlag
from service.stores.events import Batch
from service.stores.newer_sums import NewerSumsError
from service.stores.opening import open_event_store
from service.stores.replay_process import make_replay
from tests.unit.service.learning.banner_logs import banner_slate, done, write_log

CLICK, RENDERED, VIEWABLE = 1, 16, 17
VERSION = banner_counts.VERSION


def counts_of(path: Path, now_ms: int = 2_000, half_life: float | None = None) -> list[BannerCount]:
    """Fold and read."""
    with open_banner_counts(path) as connection:
        fold_banners(connection, now_ms)
        return read_banner_counts(connection, now_ms, half_life)


def test_click_waits_a_moment_for_the_slate_that_it_names(tmp_path: Path) -> None:
    """Another worker stored the click first: it counts once the slate is there."""
    path = write_log(tmp_path, [], [done(CLICK, "x1", "a")])
    assert counts_of(path) == []
    write_log(tmp_path, [banner_slate("x1", "a")])
    assert counts_of(path) == [BannerCount("hero", 1, "", "", "a", 1, 0, 0, 1, 0)]


def test_click_that_was_stored_late_waits_for_a_slate_that_is_stored_later(tmp_path: Path) -> None:
    """Both waited 15 s for a store that was locked; another worker's writer came first.

    A click on what nobody ever showed, stored with it, keeps the next one only until it has been
    there for two seconds.
    """
    received = {"at_ms": 1_000, "received_ms": 1_000}
    path = write_log(tmp_path, [], [done(CLICK, "x1", "a", **received)])
    assert counts_of(path, 16_000) == []
    clicks = [done(CLICK, "gone", "a", **received), done(CLICK, "x2", "a", **received)]
    write_log(tmp_path, [banner_slate("x1", "a"), banner_slate("x2", "a")], clicks)
    counts = [[one.n_clicked for one in counts_of(path, now_ms)] for now_ms in (16_100, 18_000)]
    assert counts == [[1], [1]]
    assert [one.n_clicked for one in counts_of(path, 20_000)] == [2]


def test_keeper_of_the_sums_counts_ahead_of_whoever_learns(tmp_path: Path) -> None:
    """The one with the lease does, and the other leaves it alone."""
    path = write_log(tmp_path, [banner_slate("x1", "a")])
    first, second = (RollupKeeper(path, now_ms=lambda: 2_000) for _ in range(2))
    first.step()
    second.count_banners()
    with open_banner_counts(path) as connection:
        assert read_banner_counts(connection, 2_000) == []
    first.count_banners()
    with open_banner_counts(path) as connection:
        assert [one.n_assigned for one in read_banner_counts(connection, 2_000)] == [1]
    first.give_back()


def test_what_is_shown_and_clicked_is_counted_once(tmp_path: Path) -> None:
    """Two slates of two banners; the second's first banner is clicked twice, which is one click.

    A click of a robot, of a preview, of a banner that did not stand there, or without an exposure,
    and a slate served to a crawler or one of items, count nothing.
    """
    path = write_log(
        tmp_path,
        [
            banner_slate("x1", "a", "b"),
            banner_slate("x2", "a", "b", source="explore", segment="mugs", fit="personal_mid"),
            banner_slate("x3", "a", reason="ROBOT"),
        ],
        [
            done(CLICK, "x2", "a"),
            done(CLICK, "x2", "a"),
            done(CLICK, "x1", "a", flags=int(EventFlag.BOT)),
            done(CLICK, "x1", "a", flags=int(EventFlag.PREVIEW)),
            done(CLICK, "x1", "c"),
            done(CLICK, "x3", "a"),
            done(CLICK, "gone", "a"),
        ],
    )
    assert counts_of(path) == [
        BannerCount("hero", 1, "", "", "a", 1, 0, 0, 0, 0),
        BannerCount("hero", 1, "mugs", "personal_mid", "a", 1, 0, 0, 1, 1),
        BannerCount("hero", 2, "", "", "b", 1, 0, 0, 0, 0),
        BannerCount("hero", 2, "mugs", "personal_mid", "b", 1, 0, 0, 0, 1),
    ]


def test_fold_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """A grade that comes again in a later fold, after a restart, counts once."""
    write_log(tmp_path, [banner_slate("x1", "a")], [done(VIEWABLE, "x1")])
    path = write_log(tmp_path)
    counts_of(path)
    write_log(tmp_path, [banner_slate("x2", "a")], [done(VIEWABLE, "x1"), done(CLICK, "x1", "a")])
    assert counts_of(path) == [BannerCount("hero", 1, "", "", "a", 2, 0, 1, 1, 0)]


def test_fold_may_be_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader in a hurry takes one chunk; the rest comes later, and nothing twice."""
    monkeypatch.setattr(banner_counts, "CHUNK", 2)
    path = write_log(tmp_path, [banner_slate(f"x{i}", "a") for i in range(5)])
    with open_banner_counts(path) as connection:
        for expected in (2, 4, 5, 5):
            fold_banners(connection, 2_000, max_chunks=1)
            assert read_banner_counts(connection, 2_000)[0].n_assigned == expected


@pytest.mark.parametrize("max_chunks", [None, 1])
def test_counts_made_anew_count_archived_days(
    tmp_path: Path, max_chunks: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost file, or a new version of Endcap: all slates and clicks are counted again, once.

    The second report of a click is in another fold than the first.
    """
    day = 60
    path = write_log(
        tmp_path,
        [banner_slate(f"x{i}", "a", at_ms=i % day * DAY_MS) for i in range(2 * day)],
        [
            done(CLICK, f"x{i % 30}", "a", received_ms=i % 30 * DAY_MS + 5, at_ms=1)
            for i in range(day)
        ],
    )
    now_ms = day * DAY_MS
    before = counts_of(path, now_ms)
    assert (before[0].n_assigned, before[0].n_clicked) == (2 * day, 30)
    moved = archive_old_days(path, 20, now_ms=now_ms)
    assert moved == {"events": day, "exposures": 2 * 40}
    write_log(tmp_path, [banner_slate("new", "a", at_ms=now_ms)])
    for file in tmp_path.glob("banners.sqlite*"):
        file.unlink()
    monkeypatch.setattr(banner_counts, "CHUNK", 7)
    assert counts_of(path, now_ms) == [], "they wait for the archive"
    make_replay(path)
    with open_banner_counts(path) as counts:
        for _ in range(30):
            fold_banners(counts, now_ms, max_chunks=max_chunks)
        found = read_banner_counts(counts, now_ms)
    assert found == [before[0]._replace(n_assigned=2 * day + 1)]
    assert not list(tmp_path.glob("rollup-replay.sqlite*"))


def test_counts_fade_by_half_lives_and_go_at_last(tmp_path: Path) -> None:
    """Ten days at a half-life of five weigh a quarter; after 400 days nothing is kept."""
    path = write_log(
        tmp_path, [banner_slate("x1", "a"), banner_slate("x2", "a", at_ms=10 * DAY_MS + 5)]
    )
    [faded] = counts_of(path, 10 * DAY_MS + 7, half_life=5.0)
    assert faded.n_assigned == 0.25 + 1
    assert counts_of(path, (KEPT_DAYS + 11) * DAY_MS) == []


def test_click_counts_for_a_week(tmp_path: Path) -> None:
    """One that comes on the eighth day says nothing of the banner any more."""
    path = write_log(
        tmp_path,
        [banner_slate("x1", "a"), banner_slate("x2", "a")],
        [
            done(CLICK, "x1", "a", received_ms=1_000 + 7 * DAY_MS),
            done(CLICK, "x2", "a", received_ms=1_001 + 7 * DAY_MS),
        ],
    )
    [counted] = counts_of(path, 9 * DAY_MS)
    assert counted.n_clicked == 1


def test_furthest_reported_grade_is_what_counts(tmp_path: Path) -> None:
    """Three of four slates in `hero` were viewable, so these count; `side` reports nothing.

    A click of the fourth says that it was seen: there 1 of max(0, 1).
    """
    path = write_log(
        tmp_path,
        [banner_slate(f"x{i}", "a") for i in range(3)]
        + [banner_slate("x3", "b"), banner_slate("y", "a", placement_id="side")],
        [done(VIEWABLE, f"x{i}") for i in range(3)]
        + [done(CLICK, "x0", "a"), done(CLICK, "x3", "b")],
    )
    found = read_performance(path, ["a", "b", "new"], now_ms=2_000, period_ms=1_000)
    assert [
        (one.placement_id, one.counts_from, one.exposures, one.clicks)
        for one in found["a"].placements
    ] == [("hero", "viewable", 3, 1), ("side", "assigned", 1, 0)]
    assert (found["a"].exposures, found["a"].clicks) == (4, 1)
    assert (found["b"].exposures, found["b"].clicks) == (1, 1)
    assert (found["new"].exposures, found["new"].click_rate) == (0, None)


def test_interval_of_a_rate_is_that_of_jeffreys(tmp_path: Path) -> None:
    """3 clicks of 10: Beta(3.5, 7.5), whose 2.5 % and 97.5 % points are .093 and .606."""
    path = write_log(
        tmp_path,
        [banner_slate(f"x{i}", "a") for i in range(10)],
        [done(CLICK, f"x{i}", "a") for i in range(3)],
    )
    rate = read_performance(path, ["a"], now_ms=2_000, period_ms=1_000)["a"].click_rate
    assert rate is not None
    assert (rate.value, rate.low, rate.high) == pytest.approx((0.3, 0.0927, 0.6058), abs=1e-4)


def test_unknown_banner_is_told(tmp_path: Path) -> None:
    """One that is not configured and was never shown is a mistake; a deleted one is not."""
    path = write_log(tmp_path, [banner_slate("x1", "a")])
    assert one_performance(path, "a", is_known=False, now_ms=2_000, period_ms=1_000).exposures == 1
    with pytest.raises(NotFoundError, match="'b' is not configured and was never shown"):
        one_performance(path, "b", is_known=False, now_ms=2_000, period_ms=1_000)


@pytest.mark.parametrize("event_url", ["postgres"], indirect=True)
def test_older_release_leaves_newer_counts_of_a_database_alone(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else both would make them anew in turns, and lose the days whose log is deleted."""
    store_slates(event_log)
    monkeypatch.setattr(banner_counts, "VERSION", VERSION + 1)
    with open_banner_counts(event_log) as newer:
        fold_banners(newer, 2_000)
        monkeypatch.setattr(banner_counts, "VERSION", VERSION)
        with (
            pytest.raises(NewerSumsError, match="'banners' were made by a newer release"),
            open_banner_counts(event_log),
        ):
            pass
        assert len(read_banner_counts(newer, 2_000)) == 1


def test_counts_of_another_release_get_nothing_added(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It made the tables while ours were open; what it has counted already counts once."""
    store_slates(event_log)
    with open_banner_counts(event_log) as older:
        monkeypatch.setattr(banner_counts, "VERSION", VERSION + 1)
        with open_banner_counts(event_log) as newer:
            monkeypatch.setattr(banner_counts, "VERSION", VERSION)
            fold_banners(older, 2_000)
            assert read_banner_counts(newer, 2_000) == []
            monkeypatch.setattr(banner_counts, "VERSION", VERSION + 1)
            fold_banners(newer, 2_000)
            assert [one.n_assigned for one in read_banner_counts(newer, 2_000)] == [1]


def store_slates(log: EventLog) -> None:
    """Store one slate of one banner."""
    store = open_event_store(log, opened_ms=1)
    store.commit(Batch([], [banner_slate("x1", "a")]))
    store.close(2)
