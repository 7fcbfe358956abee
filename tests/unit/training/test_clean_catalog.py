"""The catalogue of a shop's files: one row an item, in whatever shape attributes and words come."""

import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.clean_catalog import judge_catalog, merge_items
from training.mapping import CatalogMapping, Mapping
from training.read import scan_files
from training.verdicts import REASON, kept_rows


def _judged(folder: Path, rows: list[dict[str, object]], mapping: Mapping) -> pl.DataFrame:
    path = folder / "catalog.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    wanted = [
        getattr(mapping.catalog.columns, f) for f in mapping.catalog.columns.__struct_fields__
    ]
    return judge_catalog(scan_files(str(path), wanted), mapping)


def _catalog(folder: Path, rows: list[dict[str, object]], mapping: Mapping) -> pl.DataFrame:
    return merge_items(kept_rows(_judged(folder, rows, mapping)))


def test_catalog_newest_non_empty_title_wins(tmp_path: Path) -> None:
    """Of repeated rows each column keeps its newest value; an empty one does not overwrite."""
    rows: list[dict[str, object]] = [
        {"item_id": "a", "title": "new", "price": 1, "updated_at": "2026-03-01"},
        {"item_id": "a", "title": "old", "price": 2, "updated_at": "2026-01-01", "brand": "B"},
        {"item_id": "a", "title": " ", "price": 3, "updated_at": "2026-04-01"},
    ]
    items = _catalog(tmp_path, rows, Mapping())
    assert items.select("item_id", "title", "price", "brand").rows() == [("a", "new", 3.0, "B")]


def test_catalog_attributes_in_every_shape(tmp_path: Path) -> None:
    """A JSON list, a JSON object, and text with bars become lists of text."""
    rows: list[dict[str, object]] = [
        {"item_id": "a", "attributes": ["red", "big"]},
        {"item_id": "b", "attributes": {"colour": "red"}},
        {"item_id": "c", "attributes": "red | big", "available": False, "vector": [1, 0.5]},
    ]
    items = _catalog(tmp_path, rows, Mapping())
    assert items["attributes"].to_list() == [["red", "big"], ["colour=red"], ["red", "big"]]
    assert items["available"].to_list() == [None, None, False]
    assert items["vector"].to_list()[2] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r'["gr\u00fcn", "5\" wide"]', ["grün", '5" wide']),
        ('{"colour": "red", "size": 42, "new": true}', ["colour=red", "size=42", "new=true"]),
        ('{"colour": ["red", "blue"], "none": null}', ["colour=red", "colour=blue"]),
        ('[{"fit": "slim"}, "big", ""]', ["fit=slim", "big"]),
    ],
)
def test_catalog_attributes_are_read_as_json_says(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    """Escaped letters are letters, and a number or a list belongs to its name."""
    items = _catalog(tmp_path, [{"item_id": "a", "attributes": text}], Mapping())
    assert items["attributes"].to_list() == [words]


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (
            pa.map_(pa.string(), pa.string()),
            [("fit", "slim"), ("size", "4")],
            ["fit=slim", "size=4"],
        ),
        (
            pa.struct({"fit": pa.list_(pa.string())}),
            {"fit": ["slim", "wide"]},
            ["fit=slim", "fit=wide"],
        ),
        (
            pa.list_(pa.struct({"name": pa.string(), "value": pa.int64()})),
            [{"name": "size", "value": 4}],
            ["size=4"],
        ),
        (pa.list_(pa.int64()), [4, None], ["4"]),
    ],
)
def test_catalog_attributes_of_a_warehouse(
    tmp_path: Path, kind: pa.DataType, value: object, words: list[str]
) -> None:
    """A map, a struct of lists or a list of structs gives each value behind its name."""
    path = tmp_path / "catalog.parquet"
    pq.write_table(
        pa.table({"item_id": ["a", "b"], "attributes": pa.array([value, None], kind)}), path
    )
    judged = judge_catalog(scan_files(str(path), ["item_id", "attributes"]), Mapping())
    assert merge_items(kept_rows(judged))["attributes"].to_list() == [words, None]


@pytest.mark.parametrize(
    ("text", "is_available"),
    [
        ("out of stock", False),
        ("Out_Of_Stock", False),
        ("in_stock", True),
        ("Yes", True),
        ("0.0", False),
        ("-2", False),
        ("17", True),
        ("1", True),
        ("f", False),
    ],
)
def test_catalog_stock_is_read_as_feeds_write_it(
    tmp_path: Path, text: str, is_available: bool
) -> None:
    """What cannot be bought is told by a word of a product feed, or by how many there are."""
    items = _catalog(tmp_path, [{"item_id": "a", "available": text}], Mapping())
    assert items["available"].to_list() == [is_available]


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("10.95 EUR", 10.95),
        (" 1299 USD ", 1299.0),
        ("EUR 10.95", 10.95),
        ("10.95 €", 10.95),
        ("$10.95", 10.95),
        ("10.95", 10.95),
        (10.95, 10.95),
        (None, None),
    ],
)
def test_catalog_price_may_name_its_currency(tmp_path: Path, text: object, price: float) -> None:
    """As Google's Merchant Center wants it, with the code first, or by its sign."""
    items = _catalog(tmp_path, [{"item_id": "a", "price": text}], Mapping())
    assert items["price"].to_list() == [price]


@pytest.mark.parametrize(
    "text", ["10,95 EUR", "EUR", "10.95 euro", "EUR 10.95 EUR", "1 2 EUR", "€"]
)
def test_catalog_price_that_is_no_number_is_rejected(tmp_path: Path, text: str) -> None:
    """A comma before the cents, a word, or no number at all."""
    assert _verdicts(tmp_path, [{"item_id": "a", "price": text}]) == ["price_invalid"]


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("1.299,00 €", 1299.0),
        ("€ 1.299", 1299.0),
        ("1\u202f299,5 EUR", 1299.5),
        ("1'234'567,8", 1_234_567.8),
        ("12,95", 12.95),
        ("-3", None),
        ("12.95", None),
        ("1,299.00", None),
        ("1.29,00", None),
    ],
)
def test_catalog_price_may_have_a_comma_before_the_cents(
    tmp_path: Path, text: str, price: float | None
) -> None:
    """If the mapping says so; a point before the cents is then rejected, and not multiplied."""
    mapping = Mapping(catalog=CatalogMapping(decimal_comma=True))
    [row] = _judged(tmp_path, [{"item_id": "a", "price": text}], mapping).to_dicts()
    assert (row["price"] if row[REASON] is None else row[REASON]) == (price or "price_invalid")


def test_catalog_price_of_another_currency_is_rejected(tmp_path: Path) -> None:
    """Prices are compared with each other; most rows say in what."""
    prices = ["5 USD", "1 EUR", "2 EUR", None, "4"]
    rows: list[dict[str, object]] = [
        {"item_id": f"i{n}", "price": price} for n, price in enumerate(prices)
    ]
    assert _verdicts(tmp_path, rows) == ["price_currency", None, None, None, None]


def _verdicts(folder: Path, rows: list[dict[str, object]]) -> list[str | None]:
    return _judged(folder, rows, Mapping())[REASON].to_list()
