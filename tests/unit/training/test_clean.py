"""Reading and cleaning: every row is kept, dropped by a rule, or rejected with a reason."""

import gzip
import json
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError, InputError, RejectedShareError
from models.events import InteractionKind
from training.clean_interactions import judge_interactions
from training.load import Loaded, load_dataset
from training.mapping import (
    InteractionColumns,
    InteractionMapping,
    ItemRules,
    Mapping,
    load_mapping,
)
from training.marks import BLANK, EXTRA_FIELDS, FILE, MALFORMED
from training.read import scan_files
from training.verdicts import count_rows, kept_rows

EXAMPLE = Path(__file__).resolve().parents[3] / "docs" / "examples" / "online-retail.toml"

ROWS: list[dict[str, str | None]] = [
    {"user_id": "u1", "item_id": "a", "event": "view", "timestamp": "2026-01-02T03:04:05Z"},
    {"user_id": None, "item_id": "a", "event": "view", "timestamp": "2026-01-02T03:04:05Z"},
    {"user_id": "u1", "item_id": "", "event": "view", "timestamp": "2026-01-02T03:04:05Z"},
    {"user_id": "u1", "item_id": "b" * 257, "event": "view", "timestamp": "2026-01-02"},
    {"user_id": "u1", "item_id": "a", "event": "stare", "timestamp": "2026-01-02"},
    {"user_id": "u1", "item_id": "a", "event": "view", "timestamp": "yesterday"},
    {"user_id": "u1", "item_id": "a", "event": "view", "timestamp": None},
    {
        "user_id": "u1",
        "item_id": "a",
        "event": "purchase",
        "timestamp": "1700000000001",
        "quantity": "0",
    },
    {
        "user_id": "u1",
        "item_id": "a",
        "event": "purchase",
        "timestamp": "1700000000001",
        "price": "-1",
    },
]
MARKS = {FILE: "f", MALFORMED: False, EXTRA_FIELDS: False, BLANK: False}
REASONS = {
    "event_unknown": 1,
    "item_id_invalid": 1,
    "item_id_missing": 1,
    "price_invalid": 1,
    "quantity_invalid": 1,
    "timestamp_invalid": 1,
    "timestamp_missing": 1,
    "user_id_missing": 1,
}


def load(path: Path, mapping: Mapping, rejects: Path | None = None) -> Loaded:
    """Load interactions without hiding user ids."""
    return load_dataset([str(path)], [], mapping, pseudonym=lambda user: user, rejects=rejects)


def write(folder: Path, rows: Sequence[MappingType[str, object]]) -> Path:
    """Write rows as JSON Lines."""
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "name", ["log.jsonl", "log.jsonl.gz", "log.JSONL.GZ", "log.csv", "log.csv.gz", "log.parquet"]
)
def test_every_format_gives_the_same_counts(tmp_path: Path, name: str) -> None:
    """The same rows as JSON Lines, CSV or Parquet, plain or compressed, are judged alike."""
    path = tmp_path / name
    frame = pl.DataFrame(ROWS, infer_schema_length=None)
    if ".parquet" in name:
        frame.write_parquet(path)
    else:
        text = frame.write_csv() if ".csv" in name else frame.write_ndjson()
        is_packed = name.lower().endswith(".gz")
        path.write_bytes(gzip.compress(text.encode()) if is_packed else text.encode())
    loaded = load(path, Mapping(max_reject_share=1.0))
    assert loaded.rows["interactions"].rejected == REASONS
    assert loaded.rows["interactions"].kept == 1


def test_rejects_file_names_row_and_reason_but_no_user(tmp_path: Path) -> None:
    """Each rejected row is one line with file, row, reason and value; user ids stay out of it."""
    path = write(tmp_path, [{**ROWS[4], "user_id": "secret"}, ROWS[0]])
    rejects = tmp_path / "rejects.jsonl"
    load(path, Mapping(max_reject_share=1.0), rejects)
    assert [json.loads(line) for line in rejects.read_text().splitlines()] == [
        {
            "kind": "interactions",
            "file": str(path),
            "row": 1,
            "reason": "event_unknown",
            "value": "stare",
        }
    ]


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("timestamp", "anna@example.com", "xxxx@xxxxxxx.xxx"),
        ("timestamp", "17841", "99999"),
        ("timestamp", "31/02/2026 10:00", "31/02/2026 10:00"),
        ("event", "anna@example.com", "xxxx@xxxxxxx.xxx"),
        ("quantity", "K-17841", "x-99999"),
        ("quantity", "-3", "-3"),
        ("price", "1,99 €", "9,99 €"),
        ("item_id", "anna@example.com\0", "xxxx@xxxxxxx.xxx\0"),
    ],
)
def test_rejects_file_shows_the_form_of_what_may_be_a_person(
    tmp_path: Path, field: str, value: str, shown: str
) -> None:
    """Where columns are taken for each other, no e-mail address and no number of a customer."""
    path = write(tmp_path, [{**ROWS[0], field: value}, ROWS[0]])
    rejects = tmp_path / "rejects.jsonl"
    load(path, Mapping(max_reject_share=1.0), rejects)
    assert json.loads(rejects.read_text())["value"] == shown


def test_numbers_may_have_a_comma_before_the_decimals(tmp_path: Path) -> None:
    """If the mapping says so, prices and quantities of text are read as Excel writes them there."""
    bought = {**ROWS[0], "event": "purchase", "price": "1.299,50", "quantity": "2,0"}
    path = write(tmp_path, [bought, {**bought, "price": "12.95"}])
    mapping = Mapping(interactions=InteractionMapping(decimal_comma=True), max_reject_share=1.0)
    found = load(path, mapping)
    assert found.rows["interactions"].rejected == {"price_invalid": 1}
    rows = found.dataset.interactions
    assert (rows.price.tolist(), rows.quantity.tolist()) == ([1299.5], [2.0])


def test_key_that_comes_late_is_read(tmp_path: Path) -> None:
    """A log of JSON Lines begins with thousands of views, which have no price and no order."""
    views = [{**ROWS[0], "item_id": f"i{n}", "query": "price"} for n in range(1_500)]
    order = {**ROWS[0], "event": "purchase", "price": 5, "order_id": "o1"}
    path = write(tmp_path, [*views, order, {**order, "my channel": "app"}])
    wanted = ["item_id", "price", "order_id", "my channel", "query", "country"]
    rows = scan_files(str(path), wanted)[0].collect()
    assert rows.select("price", "order_id", "my channel").rows()[-3:] == [
        (None, None, None),
        ("5", "o1", None),
        ("5", "o1", "app"),
    ]
    assert "country" not in rows.columns


def test_malformed_lines_are_rejected_not_fatal(tmp_path: Path) -> None:
    """A line that is no JSON object costs itself only; blank lines are no rows."""
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(ROWS[0]) + '\n{"user_id": \n\n"text"\n')
    rows = load(path, Mapping(max_reject_share=1.0)).rows["interactions"]
    assert (rows.read, rows.kept, rows.rejected) == (3, 1, {"row_malformed": 2})


def test_too_many_rejects_stop_the_run(tmp_path: Path) -> None:
    """One bad row in four is more than 20 %; a row dropped by rule is not among the four."""
    good = {"user_id": "u1", "item_id": "a", "event": "view", "timestamp": "1700000000001"}
    bad, nobody = {**good, "timestamp": "x"}, {**good, "user_id": "0"}
    path = write(tmp_path, [good, good, good, bad, *[nobody] * 6])
    rules = InteractionMapping(drop_users=("0",))
    with pytest.raises(RejectedShareError, match=r"1 of 4 rows .*25\.0%"):
        load(path, Mapping(interactions=rules, max_reject_share=0.2))
    rows = load(path, Mapping(interactions=rules, max_reject_share=0.25)).rows["interactions"]
    assert (rows.kept, rows.dropped, rows.n_rejected) == (3, {"drop_users": 6}, 1)


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    """A file whose every row is dropped cannot be learnt from."""
    path = write(tmp_path, [{**ROWS[0], "user_id": "0"}])
    with pytest.raises(InputError, match="no row of the interactions is left of 1"):
        load(path, Mapping(interactions=InteractionMapping(drop_users=("0",))))


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "user_id": st.sampled_from([None, "", "0", "u1", "ü2", "n\0ul", "\ufffd2"]),
                "item_id": st.sampled_from([None, "a", " A ", "POST", "x" * 300, "\ufffd"]),
                "event": st.sampled_from([None, "view", "purchase", "refund", "?"]),
                "timestamp": st.sampled_from(
                    [None, "0", "2026-01-01", "20260101", "soon", "99999999999999"]
                ),
                "quantity": st.sampled_from([None, "1", "-2", "0", "many"]),
                "price": st.sampled_from([None, "1.5", "-1", "NaN", "free"]),
            }
        ),
        min_size=1,
        max_size=30,
    )
)
def test_counts_add_up_to_the_rows_read(rows: list[dict[str, str | None]]) -> None:
    """Whatever the rows are: read = kept + dropped + rejected, and each is counted once."""
    mapping = Mapping(
        items=ItemRules(normalise=("strip", "upper"), not_products=("POST",)),
        interactions=InteractionMapping(
            drop_users=("0",), drop_duplicates=True, refund_negative_quantity=True
        ),
    )
    frame = pl.LazyFrame(rows, schema=dict.fromkeys(rows[0], pl.String)).with_row_index("__row")
    frame = frame.with_columns(pl.lit(value).alias(name) for name, value in MARKS.items())
    judged = judge_interactions([frame], mapping)
    counts = count_rows(judged)
    dropped, rejected = sum(counts.dropped.values()), counts.n_rejected
    assert counts.read == len(rows) == counts.kept + dropped + rejected
    kept = kept_rows(judged)
    assert kept.height == counts.kept
    assert set(kept["item_id"]) <= {"A"}
    assert (kept["quantity"] > 0).all()


@pytest.mark.parametrize(
    ("text", "zone", "at_ms"),
    [
        ("2026-01-01T00:00:00Z", "UTC", 1_767_225_600_000),
        ("2026-01-01 00:00:00", "UTC", 1_767_225_600_000),
        ("2026-01-01T02:00:00.250+02:00", "UTC", 1_767_225_600_250),
        ("2026-01-01", "UTC", 1_767_225_600_000),
        ("1767225600000", "UTC", 1_767_225_600_000),
        ("1767225600000.0", "UTC", 1_767_225_600_000),
        ("2026-01-01 02:00:00+02", "UTC", 1_767_225_600_000),
        ("2025-12-31T19:00-05", "UTC", 1_767_225_600_000),
        ("2026-01-01 00:00:00.250 UTC", "Europe/London", 1_767_225_600_250),
        ("2026-07-01T01:00", "Europe/London", 1_782_864_000_000),
    ],
)
def test_timestamps_become_utc(tmp_path: Path, text: str, zone: str, at_ms: int) -> None:
    """ISO 8601 with and without an offset, and epoch ms, mean one moment.

    PostgreSQL writes offsets of hours alone, BigQuery the name of the zone, a data frame with gaps
    whole floats.
    """
    path = write(tmp_path, [{**ROWS[0], "timestamp": text}])
    loaded = load(path, Mapping(interactions=InteractionMapping(timezone=zone)))
    assert loaded.dataset.interactions.at_ms.tolist() == [at_ms]


def test_whole_floats_are_ids_without_a_point(tmp_path: Path) -> None:
    """A customer column that became float because of its gaps gives "13085", not "13085.0"."""
    path = tmp_path / "log.parquet"
    pl.DataFrame(
        {**{k: [v] * 2 for k, v in ROWS[0].items()}, "user_id": [13085.0, None]}
    ).write_parquet(path)
    rules = InteractionMapping(drop_missing_users=True)
    assert list(load(path, Mapping(interactions=rules)).dataset.user_ids) == ["13085"]


@pytest.mark.parametrize(
    ("written", "users"),
    [
        (["17841.0", "", "13085.0"], ["13085", "17841"]),
        (["17841.0", "", "v1.0"], ["17841.0", "v1.0"]),
    ],
)
def test_whole_floats_of_a_csv_are_ids_without_a_point(
    tmp_path: Path, written: list[str], users: list[str]
) -> None:
    """A gap makes a data frame write numbers as floats; one other id, and they are left alone."""
    path = tmp_path / "log.csv"
    rows = [f"{user},a,view,2026-01-02" for user in written]
    path.write_text("\n".join(["user_id,item_id,event,timestamp", *rows, ""]))
    found = load(path, Mapping(interactions=InteractionMapping(drop_missing_users=True)))
    assert sorted(found.dataset.user_ids) == users


def test_keys_of_the_service_are_taken_as_they_are(tmp_path: Path) -> None:
    """A pseudonym from the service's own log is one user with the raw id that it hides."""
    rows = [
        ROWS[0],
        {**ROWS[0], "user_id": None, "user_key": "hidden u1", "timestamp": "1700000000005"},
    ]
    rows.append({**ROWS[0], "user_id": None, "timestamp": "1700000000006"})
    path = write(tmp_path, rows)
    loaded = load_dataset([str(path)], [], Mapping(), pseudonym="hidden {}".format, rejects=None)
    assert list(loaded.dataset.user_ids) == ["hidden u1"]
    assert loaded.rows["interactions"].dropped == {"without_user_key": 1}
    assert len(loaded.dataset.interactions) == 2


def test_log_of_the_service_is_read_beside_files_of_the_shop(tmp_path: Path) -> None:
    """A mapping names the shop's columns and events; the export beside them has its own."""
    sold, log = tmp_path / "sold.csv", tmp_path / "log.csv"
    sold.write_text("customer,code,day\nu1,A,02.01.2026\n")
    log.write_text(
        "user_key,anonymous_key,session_key,item_id,event,timestamp,quantity\n"
        "hidden u1,,,b ,view,2026-01-03,\nhidden u1,,,post,view,2026-01-03,\n"
    )
    columns = InteractionColumns(user_id="customer", item_id="code", timestamp="day")
    rules = InteractionMapping(event="purchase", timestamp_format="%d.%m.%Y", columns=columns)
    mapping = Mapping(
        items=ItemRules(normalise=("strip", "upper"), not_products=("POST",)), interactions=rules
    )
    found = load_dataset(
        [str(sold), str(log)], [], mapping, pseudonym="hidden {}".format, rejects=None
    )
    assert list(found.dataset.user_ids) == ["hidden u1"]
    assert found.rows["interactions"].dropped == {"not_products": 1}
    rows = found.dataset.interactions
    assert found.dataset.item_ids.ids(rows.item_rows) == ["A", "B"]
    assert rows.kinds.tolist() == [InteractionKind.PURCHASE, InteractionKind.VIEW]


def test_refund_rules_turn_rows_into_refunds(tmp_path: Path) -> None:
    """A C invoice or a negative quantity is a refund; what is wholly taken back is not bought."""
    row = {
        "user_id": "u",
        "item_id": "a",
        "event": "purchase",
        "timestamp": "1700000000001",
        "quantity": 2,
    }
    rows = [
        {**row, "order_id": "1"},
        {**row, "order_id": "C1", "timestamp": "1700000000002"},
        {**row, "item_id": "b", "quantity": 5, "order_id": "2"},
        {**row, "item_id": "b", "quantity": -3, "order_id": "3", "timestamp": "1700000000003"},
    ]
    rules = InteractionMapping(refund_orders=r"C\d+", refund_negative_quantity=True)
    loaded = load(write(tmp_path, rows), Mapping(interactions=rules))
    left = loaded.dataset.interactions
    assert loaded.dataset.item_ids.ids(left.item_rows) == ["b"]
    assert left.quantity.tolist() == [2.0]
    assert left.kinds.tolist() == [InteractionKind.PURCHASE]
    assert loaded.n_taken_back == 1


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "[items]\nnormalize = ['upper']\n",
        "[items]\nnot_products = ['(']\n",
        "[interactions]\ntimezone = 'Mars/Base'\n",
        "[interactions.events]\nbought = 'buy'\n",
        "max_reject_share = 2\n",
    ],
)
def test_wrong_mapping_is_a_config_error(tmp_path: Path, text: str) -> None:
    """No TOML, an unknown key, a bad pattern, zone, event or share: the file is named."""
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"mapping\.toml"):
        load_mapping(path)


def test_json_document_is_refused_as_a_whole(tmp_path: Path) -> None:
    """A pretty-printed array is no file of bad rows: the message says what to write instead."""
    path = tmp_path / "log.json"
    path.write_text(json.dumps(ROWS[:1], indent=2))
    with pytest.raises(InputError, match=r"one JSON document.*jq"):
        load(path, Mapping())


def test_open_quote_is_named(tmp_path: Path) -> None:
    """A quote that never ends is told, with how to end it."""
    path = tmp_path / "log.csv"
    rows = ["user_id,item_id,event,timestamp", 'u1,"a,view,2026-01-02', "u2,b,view,2026-01-02"]
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(InputError, match=r'begins with " it must end with one'):
        load(path, Mapping())


def test_pattern_that_the_reader_does_not_know_is_blamed_on_the_mapping(tmp_path: Path) -> None:
    """Python knows how to look ahead, the reader of files does not: the mapping is wrong."""
    path = tmp_path / "mapping.toml"
    path.write_text('[items]\nnot_products = ["(?=a)b"]\n')
    with pytest.raises(ConfigError, match=r"mapping.toml is wrong.*\(\?=a\)b"):
        load_mapping(path)


def test_missing_mapping_is_a_config_error(tmp_path: Path) -> None:
    """A mapping that is not there is named."""
    with pytest.raises(ConfigError, match="cannot read the mapping"):
        load_mapping(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "code", ["POST", "M", "ADJUST2", "gift_0001_20", "TEST001", "bank charges", "22016"]
)
def test_example_mapping_knows_what_is_no_product(tmp_path: Path, code: str) -> None:
    """Postage, fees, vouchers and tests of Online Retail are dropped, by rule."""
    mapping = load_mapping(EXAMPLE)
    row = {"Customer ID": 1, "Invoice": "1", "InvoiceDate": "2010-01-01 00:00:00", "Quantity": 1}
    rows: list[dict[str, object]] = [
        {**row, "StockCode": code, "Price": 1.0, "Country": "EIRE"},
        {**row, "StockCode": "15056bl ", "Price": 1.0, "Country": "EIRE"},
    ]
    loaded = load(write(tmp_path, rows), mapping)
    assert loaded.rows["interactions"].dropped == {"not_products": 1}
    assert list(loaded.dataset.item_ids) == ["15056BL"]


def test_platform_and_session_may_be_named(tmp_path: Path) -> None:
    """They are columns of an export as any other, and change nothing that is learned."""
    path = tmp_path / "mapping.toml"
    path.write_text('[interactions.columns]\nplatform = "App"\nsession_id = "Visit"\n')
    row = {"user_id": "u", "item_id": "p", "event": "view", "timestamp": 1_700_000_000_000}
    pl.DataFrame([{**row, "App": "ios", "Visit": "v1"}]).write_parquet(tmp_path / "log.parquet")
    loaded = load_dataset(
        [str(tmp_path / "log.parquet")], [], load_mapping(path), pseudonym=str, rejects=None
    )
    assert loaded.rows["interactions"].kept == 1
