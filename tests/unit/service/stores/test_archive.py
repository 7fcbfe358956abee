"""Old days move to Parquet: every row is once in one place, and readers see no difference."""

from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.compute as pc
import pytest

from models.errors import ConfigError
from models.pseudonym import Pseudonymiser
from service.privacy.erase import search
from service.stores import archiving
from service.stores.archive import files_with_text, schema_of
from service.stores.archive_files import CLOCKS, archive_lock, day_file, day_files
from service.stores.archive_removal import erase_archived
from service.stores.archiving import archive_old_days, finish_moves
from service.stores.days import read_days
from service.stores.event_database import connect, open_event_database
from service.stores.event_export import export_interactions
from service.stores.event_ledger import reconcile
from service.stores.events import Batch, Counts, StoredEvent
from service.stores.outcomes import read_outcomes
from service.stores.personal_rows import delete_rows, keys_of, read_rows
from service.stores.retention import DAY_MS, expire_rows
from service.stores.sqlite_events import SqliteEventStore
from tests.unit.service.intake.samples import slate, view

NOW_MS = 100 * DAY_MS
OLD, OLDER, NEW = 10 * DAY_MS + 5, 9 * DAY_MS, 95 * DAY_MS
PURCHASE = 3


def log(path: Path, events: list[StoredEvent], *exposures: str, at_ms: int = OLD) -> None:
    """Store events and exposures with what the ledger needs to balance."""
    store = SqliteEventStore(path, opened_ms=1)
    counts: Counts = {
        "received": len(events),
        "served": len(exposures),
        "assigned": len(exposures),
    }
    store.commit(Batch(events, [slate(one, at_ms=at_ms) for one in exposures], counts))
    store.close(2)


def at(event_id: str, at_ms: int, **fields: object) -> StoredEvent:
    """Make an event that arrives at once."""
    return view(event_id, at_ms=at_ms, received_ms=at_ms, **fields)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two old days and a new one: a view each, an old click that names its exposure, an order."""
    path = open_event_database(tmp_path)
    events = [
        at("v1", OLDER),
        at("v2", OLD, user_key="other"),
        at("c1", OLD, kind=1, exposure_id="x1"),
        at("o1", OLD, kind=PURCHASE, price=2.5, quantity=2.0, order_id="order"),
        at("v3", NEW, anonymous_key="visitor"),
    ]
    log(path, events, "x1")
    log(path, [], "x2", at_ms=NEW)
    return path


def exported(path: Path) -> list[tuple[object, ...]]:
    output = path.with_name("out.parquet")
    export_interactions(path, output)
    rows = pl.read_parquet(output).rows()
    output.unlink()
    return rows


def figures(path: Path) -> tuple[object, ...]:
    return read_outcomes(path, "r"), read_days(path, 0, 100)


def stored(path: Path, table: str = "events") -> list[int]:
    with closing(connect(path, read_only=True)) as connection:
        return [seq for (seq,) in connection.execute(f"SELECT seq FROM {table} ORDER BY seq")]


def archived(path: Path, table: str = "events") -> list[int]:
    files = day_files(path, "events" if table == "events" else "exposures")
    return sorted(seq for file in files for seq in pl.read_parquet(file)["seq"].to_list())


def test_archived_days_leave_exports_and_reports_as_they_were(path: Path) -> None:
    """Four of five events and one of two exposures move; nobody who reads both can tell."""
    before = exported(path), figures(path)
    assert archive_old_days(path, 30, now_ms=NOW_MS) == {"events": 4, "exposures": 1}
    assert (stored(path), archived(path)) == ([5], [1, 2, 3, 4])
    assert [file.parent.name for file in day_files(path, "events")] == [
        "day=1970-01-10",
        "day=1970-01-11",
    ]
    assert (exported(path), figures(path)) == before
    found = reconcile(path)
    assert found.is_balanced, found.differences
    assert (found.event_rows, found.archived_events, found.archived_exposures) == (1, 4, 1)
    assert archive_old_days(path, 30, now_ms=NOW_MS) == {"events": 0, "exposures": 0}


def test_archived_rows_have_every_stored_column(path: Path) -> None:
    """What a person gets as a copy is the same before and after, in each column."""
    before = read_rows(path, ["u", "visitor"])
    archive_old_days(path, 30, now_ms=NOW_MS)
    assert read_rows(path, ["u", "visitor"]) == before
    with closing(connect(path, read_only=True)) as connection:
        for table in CLOCKS:
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            assert columns == set(schema_of(table).names)


def test_a_day_moves_when_it_is_over_for_so_long(tmp_path: Path) -> None:
    """At the first ms of day 30 the days up to 19 ended ten days ago; day 20 stays to its end."""
    path = open_event_database(tmp_path)
    log(path, [at("a", 20 * DAY_MS - 1), at("b", 20 * DAY_MS)])
    archive_old_days(path, 10, now_ms=30 * DAY_MS)
    assert (stored(path), archived(path)) == ([2], [1])
    archive_old_days(path, 10, now_ms=31 * DAY_MS - 1)
    assert stored(path) == [2]


def test_late_rows_join_the_day_that_is_archived(path: Path) -> None:
    """A clock that stepped back brings a row for an archived day: its file then has both."""
    archive_old_days(path, 30, now_ms=NOW_MS)
    log(path, [at("late", OLD)])
    before = exported(path)
    assert archive_old_days(path, 30, now_ms=NOW_MS)["events"] == 1
    assert archived(path) == [1, 2, 3, 4, 6]
    assert sorted(exported(path), key=str) == sorted(before, key=str)
    assert reconcile(path).is_balanced


@pytest.mark.parametrize("n_deleted", [0, 1])
def test_cut_between_rename_and_deletion_costs_and_doubles_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, n_deleted: int
) -> None:
    """A file is there, its rows are in the store: readers count them once, the next run ends it."""
    rows, copy, figures_before = exported(path), read_rows(path, ["u"]), figures(path)
    whole = archiving._delete  # the step that a cut leaves out

    def cut(connection, table, seqs) -> int:  # type: ignore[no-untyped-def]  # as `whole`
        whole(connection, table, seqs[:n_deleted])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(archiving, "_delete", cut)
        with pytest.raises(KeyboardInterrupt):
            archive_old_days(path, 9, now_ms=19 * DAY_MS)
    draft = day_file(path, "events", 3).with_name("rows.parquet.part")
    draft.parent.mkdir()
    draft.write_text("half")
    assert archived(path) == [1]
    assert stored(path) == [1, 2, 3, 4, 5][n_deleted:]
    assert (exported(path), read_rows(path, ["u"])) == (rows, copy)
    assert reconcile(path).is_balanced
    archive_old_days(path, 30, now_ms=NOW_MS)
    assert (stored(path), archived(path)) == ([5], [1, 2, 3, 4])
    assert (exported(path), read_rows(path, ["u"]), figures(path)) == (rows, copy, figures_before)
    assert reconcile(path).is_balanced
    assert not draft.exists()


def test_cut_is_ended_by_who_erases(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are in both places are erased once, and counted once."""
    with monkeypatch.context() as patched:
        patched.setattr(archiving, "_delete", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            archive_old_days(path, 30, now_ms=NOW_MS)
    with archive_lock(path):
        finish_moves(path)
        assert erase_archived(path, ["u"]) == {"archive/events/day=1970-01-10/rows.parquet": 1}
    delete_rows(path, ["u"])
    found = reconcile(path)
    assert found.is_balanced, found.differences
    assert (found.event_rows, found.erased_events) == (1, 4)


def test_lost_file_is_told_by_the_ledger(path: Path) -> None:
    """Who deletes a file by hand hears how many rows are missing."""
    archive_old_days(path, 30, now_ms=NOW_MS)
    day_files(path, "events")[0].unlink()
    assert reconcile(path).differences == ["archived events 4 is not rows of archive files 3"]


def test_erasing_takes_a_person_out_of_the_files(path: Path) -> None:
    """Three events and an exposure go; the day with another person's row is written anew."""
    archive_old_days(path, 30, now_ms=NOW_MS)
    assert len(files_with_text(path, ["order"])) == 1
    with archive_lock(path):
        assert erase_archived(path, ["u", "visitor"]) == {
            "archive/events/day=1970-01-10/rows.parquet": 1,
            "archive/events/day=1970-01-11/rows.parquet": 2,
            "archive/exposures/day=1970-01-11/rows.parquet": 1,
        }
    assert archived(path) == [2]
    assert day_files(path, "exposures") == []
    assert files_with_text(path, ["order"]) == []
    assert reconcile(path).is_balanced


def test_very_many_texts_are_searched_in_one_pass(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one that stands in the values of a column is looked for in each of them."""
    archive_old_days(path, 30, now_ms=NOW_MS)
    asked: list[str] = []
    match = pc.match_substring

    def match_noted(column: Any, text: str) -> Any:
        asked.append(text)
        return match(column, text)

    monkeypatch.setattr(pc, "match_substring", match_noted)
    texts = [f"visitor-{number}" for number in range(300)]
    assert files_with_text(path, texts) == []
    assert asked == []
    assert len(files_with_text(path, [*texts, "c1"])) == 1
    assert asked == ["c1"]


def test_search_looks_into_packed_files(tmp_path: Path) -> None:
    """A pseudonym that stands only in values of the archive is found there."""
    path = open_event_database(tmp_path)
    key = Pseudonymiser(b"k" * 32).pseudonym("user_id", "someone")
    log(path, [at("v", OLD, user_key=key)])
    archive_old_days(path, 30, now_ms=NOW_MS)
    assert "archive/events/day=1970-01-11/rows.parquet" in search(tmp_path, [key], [key])


def test_visitors_of_a_person_are_known_from_the_archive(tmp_path: Path) -> None:
    """Of two visitors that came with u long ago, one was somebody else's too: it is not u's."""
    path = open_event_database(tmp_path)
    log(
        path,
        [
            at("a", OLD, anonymous_key="own"),
            at("b", OLD, anonymous_key="family"),
            at("c", OLD, anonymous_key="family", user_key="other"),
            at("d", NEW, anonymous_key="tablet"),
            at("e", OLD, anonymous_key="tablet", user_key="other"),
        ],
    )
    before = keys_of(path, "u")
    archive_old_days(path, 30, now_ms=NOW_MS)
    assert keys_of(path, "u") == before == ["u", "own"]


def test_limits_reach_archived_days(path: Path) -> None:
    """Views of 90 days, and then purchases, go from the files and the latter from reports."""
    archive_old_days(path, 30, now_ms=NOW_MS)
    assert expire_rows(path, {"view": 90, "exposure": 89}, now_ms=NOW_MS) == {
        "view": 1,
        "exposure": 1,
    }
    assert archived(path) == [2, 3, 4]
    assert read_outcomes(path, "r").arms[0].n_orders == 1
    assert expire_rows(path, {"purchase": 30}, now_ms=NOW_MS) == {"purchase": 1}
    assert read_outcomes(path, "r").arms[0].n_orders == 0
    found = reconcile(path)
    assert found.is_balanced, found.differences
    assert (found.archived_events, found.erased_events) == (2, 2)


def test_too_few_days_are_refused(path: Path) -> None:
    """A click may be put down to an exposure of seven days ago, so eight is the least."""
    with pytest.raises(ConfigError, match="8 or more"):
        archive_old_days(path, 7, now_ms=NOW_MS)
    assert archived(path) == []
