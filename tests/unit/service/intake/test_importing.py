"""The import of a file: what is stored, under which id, what is refused, and the ledger after."""

import gzip
import json
from pathlib import Path

import pytest

import endcap
from models.errors import CapacityError, InputError, StoreError
from models.pseudonym import Pseudonymiser
from service.intake.importing import Imported, ImportTools, import_events
from service.privacy.erase import search
from service.stores.archiving import archive_old_days
from service.stores.event_database import connect, open_event_database
from service.stores.event_export import export_interactions
from service.stores.event_ledger import reconcile
from service.stores.sqlite_events import SqliteEventStore

PSEUDONYMISER = Pseudonymiser(b"k" * 32)
NOW_MS = 1_764_000_000_000
DAY_MS = 86_400_000
PAST_MS = NOW_MS - 300 * DAY_MS
HEADER = "user_id,item_id,event,timestamp,quantity,price,order_id,session_id"


def run(
    home: Path, source: Path | str, mapping: Path | None = None, *, now_ms: int = NOW_MS
) -> Imported:
    tools = ImportTools(now_ms=lambda: now_ms, rest=lambda _: None, monotonic_s=lambda: 0.0)
    return import_events(
        home,
        open_event_database(home),
        str(source),
        mapping,
        read_past=endcap.read_past,
        pseudonymiser=PSEUDONYMISER,
        tools=tools,
    )


def stored(home: Path, columns: str) -> list[tuple[object, ...]]:
    connection = connect(open_event_database(home), read_only=True)
    try:
        return connection.execute(f"SELECT {columns} FROM events ORDER BY seq").fetchall()
    finally:
        connection.close()


def counts(done: Imported) -> tuple[int, int, int, int]:
    return done.received, done.accepted, done.duplicate, done.rejected


def rejects(done: Imported) -> list[tuple[int, str]]:
    assert done.rejects_file is not None
    lines = Path(done.rejects_file).read_text().splitlines()
    return [(row["row"], row["reason"]) for row in map(json.loads, lines)]


def write_csv(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def write_lines(path: Path, *events: dict[str, object] | str) -> Path:
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    path.write_text("\n".join(texts) + "\n")
    return path


def test_columns_are_stored_as_events_under_pseudonyms(tmp_path: Path) -> None:
    """A purchase keeps all it says, a view has no price, and no user id reaches the disk."""
    source = write_csv(
        tmp_path / "past.csv",
        f"u1,mug,purchase,{NOW_MS - DAY_MS},2,6.95,1001,s1",
        f"u1,mug,view,{NOW_MS - 8 * DAY_MS},,6.95,,",
    )
    assert counts(run(tmp_path, source)) == (2, 2, 0, 0)
    user = PSEUDONYMISER.pseudonym("user_id", "u1")
    session = PSEUDONYMISER.pseudonym("session_id", "s1")
    columns = "kind, at_ms, received_ms, user_key, session_key, quantity, price, order_id, flags"
    # The second is older than seven days on arrival: flag 1.
    assert stored(tmp_path, columns) == [
        (3, NOW_MS - DAY_MS, NOW_MS, user, session, 2.0, 6.95, "1001", 0),
        (0, NOW_MS - 8 * DAY_MS, NOW_MS, user, None, None, None, None, 1),
    ]


def test_second_import_stores_nothing_and_the_ledger_balances(tmp_path: Path) -> None:
    """3 received twice, 2 stored once, 1 rejected twice: 6 = 2 + 2 + 2, also a month later."""
    source = write_csv(
        tmp_path / "past.csv",
        "u1,mug,view,2025-01-01T00:00:00Z,,,,",
        "u1,mug,purchase,2025-01-02,1,dear,,",
        "u2,cup,view,2025-01-03,,,,",
    )
    assert counts(run(tmp_path, source)) == (3, 2, 0, 1)
    again = run(tmp_path, source, now_ms=NOW_MS + 30 * DAY_MS)
    assert counts(again) == (3, 0, 2, 1)
    assert rejects(again) == [(2, "price_invalid")]
    found = reconcile(open_event_database(tmp_path))
    assert (found.received, found.accepted, found.duplicate, found.rejected) == (6, 2, 2, 2)
    assert found.event_rows == 2
    assert found.is_balanced
    assert found.unclosed_writers == 0


def test_import_knows_what_was_moved_to_the_archive(tmp_path: Path) -> None:
    """Two rows go to Parquet, a third joins the file: two are repeats, once each, one is new."""
    rows = [f"u1,mug,purchase,{NOW_MS - DAY_MS},1,6.95,1001,s1", f"u2,cup,view,{NOW_MS},,,,"]
    source = write_csv(tmp_path / "past.csv", *rows)
    run(tmp_path, source)
    later_ms = NOW_MS + 40 * DAY_MS
    path = open_event_database(tmp_path)
    assert archive_old_days(path, 30, now_ms=later_ms)["events"] == 2
    assert stored(tmp_path, "seq") == []
    write_csv(source, *rows, f"u3,mug,view,{NOW_MS},,,,")
    assert counts(run(tmp_path, source, now_ms=later_ms)) == (3, 1, 2, 0)
    # The third goes to a file of its own, which the next import finds too.
    assert archive_old_days(path, 30, now_ms=later_ms + 40 * DAY_MS)["events"] == 1
    assert counts(run(tmp_path, source, now_ms=later_ms)) == (3, 0, 3, 0)
    found = reconcile(path)
    assert found.is_balanced, found.differences
    assert (found.received, found.accepted, found.duplicate) == (8, 3, 5)


def test_equal_rows_of_a_file_are_all_stored(tmp_path: Path) -> None:
    """Two pieces sold on one day, noted alike, are two purchases; a third one later is one more."""
    row = "u1,mug,purchase,2025-01-02,1,6.95,,"
    source = write_csv(tmp_path / "past.csv", row, row)
    assert counts(run(tmp_path, source)) == (2, 2, 0, 0)
    assert counts(run(tmp_path, write_csv(source, row, row, row))) == (3, 1, 2, 0)


def test_export_comes_back_as_it_was(tmp_path: Path) -> None:
    """What one home exports another with the same key imports: users and visitors stay apart."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    events = write_lines(
        tmp_path / "past.jsonl",
        {"event": "view", "user_id": "u1", "item_id": "mug", "timestamp": NOW_MS - 5},
        {
            "event": "purchase",
            "anonymous_id": "d1",
            "session_id": "s1",
            "item_id": "cup",
            "timestamp": NOW_MS - 4,
            "price": 3.5,
            "platform": "app",
        },
    )
    assert counts(run(first, events)) == (2, 2, 0, 0)
    exported = tmp_path / "past.parquet"
    export_interactions(open_event_database(first), exported)
    assert counts(run(second, exported)) == (2, 2, 0, 0)
    kept = "kind, at_ms, user_key, anonymous_key, session_key, item_id, price, quantity, platform"
    assert stored(second, kept) == stored(first, kept)


def test_lines_are_events_as_the_service_takes_them(tmp_path: Path) -> None:
    """Ids and consent are kept, a missing id is made, each wrong line is named with its rule."""
    source = write_lines(
        tmp_path / "past.jsonl",
        {
            "event": "view",
            "event_id": "v1",
            "user_id": "u1",
            "item_id": "a",
            "timestamp": PAST_MS + 5,
        },
        {"event": "view", "user_id": "u1", "item_id": "a", "timestamp": PAST_MS + 6},
        {
            "event": "view",
            "user_id": "u1",
            "item_id": "a",
            "timestamp": PAST_MS + 7,
            "consent": False,
        },
        {"event": "view", "user_id": "u1", "item_id": "a"},
        {"event": "view", "user_id": "u1", "item_id": "a", "timestamp": NOW_MS + DAY_MS},
        {"event": "view", "user_id": "u1", "item_id": "a", "timestamp": "2025-01-01T00:00:00"},
        {"event": "view", "user_id": "u1", "timestamp": PAST_MS + 8},
        "{broken",
        "",
    )
    done = run(tmp_path, source)
    assert counts(done) == (8, 3, 0, 5)
    found = rejects(done)
    assert [row for row, _ in found] == [4, 5, 6, 7, 8]
    assert found[0][1] == "timestamp_missing"
    assert found[1][1] == "timestamp_in_future"
    assert found[2][1].startswith("$.timestamp: timestamp '2025-01-01T00:00:00' says no offset")
    assert "item_id" in found[3][1]
    assert found[4][1] == "row_malformed"
    rows = stored(tmp_path, "event_id, user_key IS NULL")
    assert rows[0] == ("v1", 0)
    assert [is_nobody for _, is_nobody in rows] == [0, 0, 1]
    assert counts(run(tmp_path, source)) == (8, 0, 3, 5)


def test_byte_order_mark_costs_no_line(tmp_path: Path) -> None:
    """Programs of Windows begin a file in UTF-8 with one."""
    event = {"event": "view", "user_id": "u1", "item_id": "a", "timestamp": PAST_MS}
    source = tmp_path / "past.jsonl"
    source.write_text(f"{json.dumps(event)}\n{json.dumps(event)}\n", encoding="utf-8-sig")
    assert counts(run(tmp_path, source)) == (2, 2, 0, 0)


def test_lines_with_a_mapping_have_columns(tmp_path: Path) -> None:
    """A shop's own names and rules hold for JSON Lines; rows that a rule drops are not received."""
    source = write_lines(
        tmp_path / "past.jsonl",
        {"who": 17, "sku": "mug", "event": "Order", "timestamp": "2025-01-01", "event_id": "e1"},
        {"who": 0, "sku": "mug", "event": "Order", "timestamp": "2025-01-01", "event_id": "e2"},
    )
    mapping = tmp_path / "shop.toml"
    mapping.write_text(
        '[interactions]\ndrop_users = ["0"]\n[interactions.events]\nOrder = "purchase"\n'
        '[interactions.columns]\nuser_id = "who"\nitem_id = "sku"\n'
    )
    done = run(tmp_path, source, mapping)
    assert counts(done) == (1, 1, 0, 0)
    assert done.dropped == {"drop_users": 1}
    assert done.rejects_file is None
    assert stored(tmp_path, "event_id, kind") == [("e1", 3)]


def test_packed_lines_are_unpacked(tmp_path: Path) -> None:
    """A file that ends in .jsonl.gz is read as its lines."""
    source = tmp_path / "past.jsonl.gz"
    event = {"event": "view", "event_id": "v1", "item_id": "a", "timestamp": PAST_MS + 5}
    source.write_bytes(gzip.compress(json.dumps(event).encode() + b"\n"))
    assert counts(run(tmp_path, source)) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"u1,mug,purchase,{PAST_MS},{'9' * 12},1,,", "quantity_invalid"),
        (f"u1,mug,purchase,{PAST_MS},1,{'9' * 14},,", "price_invalid"),
        (f"u1,mug,purchase,{PAST_MS},1,1,{'o' * 257},", "order_id_invalid"),
        (f"u1,mug,purchase,{PAST_MS},1,1,,{'s' * 257}", "session_id_invalid"),
        (f"u1,mug,view,{NOW_MS + DAY_MS},,,,", "timestamp_in_future"),
    ],
)
def test_row_beyond_what_the_service_takes_is_refused(
    tmp_path: Path, row: str, reason: str
) -> None:
    """A file cannot store what POST /v1/events would refuse."""
    done = run(tmp_path, write_csv(tmp_path / "past.csv", row))
    assert counts(done) == (1, 0, 0, 1)
    assert rejects(done) == [(1, reason)]


@pytest.mark.parametrize("wrong", ["mail@example.org\0", "mail@example.org" + "ü" * 140])
@pytest.mark.parametrize("name", ["user_id", "anonymous_id", "session_id"])
def test_file_of_rejected_rows_quotes_nobody(tmp_path: Path, name: str, wrong: str) -> None:
    """An id that breaks the rule of ids may be somebody's address all the same."""
    source = tmp_path / "past.jsonl"
    event = {"event": "view", "item_id": "mug", "timestamp": PAST_MS, name: wrong}
    source.write_text(json.dumps(event) + "\n")
    done = run(tmp_path, source)
    assert rejects(done) == [(1, f"{name}_invalid")]
    source.unlink()
    assert search(tmp_path, ["mail@example.org"]) == []


@pytest.mark.parametrize("name", ["country", "channel", "platform"])
def test_text_with_a_nul_is_refused(tmp_path: Path, name: str) -> None:
    """PostgreSQL stores none, and one row would end the whole import."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = {"user_id": "u1", "item_id": "mug", "event": "view", "timestamp": PAST_MS, name: "D\0"}
    source = tmp_path / "past.parquet"
    pq.write_table(pa.Table.from_pylist([row, {**row, name: "DE"}]), source)
    done = run(tmp_path, source)
    assert rejects(done) == [(1, f"{name}_invalid")]


@pytest.mark.parametrize("name", ["none.jsonl", "none.csv"])
def test_file_that_is_not_there_is_an_input_error(tmp_path: Path, name: str) -> None:
    """The message names the path, and nothing is counted."""
    with pytest.raises(InputError, match=name):
        run(tmp_path, tmp_path / name)
    assert reconcile(open_event_database(tmp_path)).received == 0


def test_refusing_store_says_to_run_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed stays and is a duplicate the next time; the ledger balances meanwhile."""
    monkeypatch.setattr("service.intake.importing.ROWS_A_COMMIT", 2)
    source = write_csv(
        tmp_path / "past.csv",
        *(f"u1,mug,view,{at_ms},,,," for at_ms in range(PAST_MS, PAST_MS + 5)),
    )
    commit, n_commits = SqliteEventStore.commit, iter([True, False])

    def commit_once(store: SqliteEventStore, batch: object) -> object:
        if not next(n_commits):
            raise CapacityError("the disk is full")
        return commit(store, batch)  # type: ignore[arg-type]  # handed on as it came

    with monkeypatch.context() as patch:
        patch.setattr(SqliteEventStore, "commit", commit_once)
        with pytest.raises(StoreError, match="run the import again"):
            run(tmp_path, source)
    assert reconcile(open_event_database(tmp_path)).is_balanced
    assert counts(run(tmp_path, source)) == (5, 3, 2, 0)


@pytest.mark.parametrize(
    ("row", "reason", "step"),
    [
        ("Jos\xe9,mug,view,2025-01-01,,,,", "user_id_not_utf8", "iconv"),
        ("u1,\xc4001,view,2025-01-01,,,,", "item_id_not_utf8", "iconv"),
        ("u1,mug,view,2025-01-01,,,,Visite \xe9", "session_id_not_utf8", "iconv"),
        ("u1,mug,view,20250101,,,,", "timestamp_before_1980", "multiply seconds by 1000"),
        ("u1,mug,view,1735689600,,,,", "timestamp_before_1980", "multiply seconds by 1000"),
        ("u1,mug,view,2025-01-01,,,,s1,more", "row_has_extra_fields", "in quotes"),
    ],
)
def test_row_of_another_encoding_or_unit_is_refused_with_what_to_do(
    tmp_path: Path, row: str, reason: str, step: str
) -> None:
    """What the trainer rejects is not stored either, and the import says how to mend it."""
    source = tmp_path / "past.csv"
    source.write_bytes(f"{HEADER}\n{row}\nu1,mug,view,2025-01-01,,,,\n".encode("latin-1"))
    done = run(tmp_path, source)
    assert counts(done) == (2, 1, 0, 1)
    assert rejects(done) == [(1, reason)]
    assert [said.startswith(reason) and step in said for said in done.next_steps] == [True]


def test_lines_of_another_encoding_or_unit_are_refused_with_what_to_do(tmp_path: Path) -> None:
    """A line that is not UTF-8, an id that lost a letter before, and seconds are not stored."""
    event: dict[str, object] = {"event": "view", "item_id": "mug", "timestamp": PAST_MS}
    source = write_lines(
        tmp_path / "past.jsonl",
        {**event, "user_id": "u1"},
        {**event, "timestamp": PAST_MS // 1000},
        {**event, "user_id": "Jos\ufffd"},
    )
    latin = json.dumps({**event, "user_id": "José"}, ensure_ascii=False).encode("latin-1")
    source.write_bytes(source.read_bytes() + latin + b"\n")
    done = run(tmp_path, source)
    assert counts(done) == (4, 1, 0, 3)
    found = rejects(done)
    assert found[:2] == [(2, "timestamp_before_1980"), (3, "user_id_not_utf8")]
    assert found[2][1].startswith("$: a text is not UTF-8")
    assert "encode it anew" in found[2][1]
    assert len(done.next_steps) == 2
