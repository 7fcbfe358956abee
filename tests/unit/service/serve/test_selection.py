"""Which rows a rule selects by what cards say, however they are written."""

import json
from dataclasses import replace
from typing import Any

import pytest

from models.ragged import Texts
from service.control.rule import Selection
from service.serve.selection import DAY_MS, HOUR_MS, select_rows
from service.serve.stock import Stock
from tests.snapshots import ITEM_IDS, TRAINED_MS, tiny_snapshot

CARDS: dict[str, Any] = {
    "mug": {"title": "Mug", "attributes": {"colour": "Sky blue", "size": 5, "glazed": True}},
    "cup": {"title": "Tasse à thé", "attributes": ["linen", "sky blue", "rim=gold"]},
    "pan": {"title": 'The "big" one', "attributes": None},
    "pot": [1, 2],
    "rose": {"title": "ROSÉ rose"},
}


@pytest.fixture(params=[True, False], ids=["ascii", "utf8"])
def stock(request: pytest.FixtureRequest) -> Stock:
    """Make a stock with these cards, non-ASCII letters escaped or not."""
    snapshot = tiny_snapshot()
    cards = [
        json.dumps(CARDS.get(one, {}), ensure_ascii=request.param).encode() for one in ITEM_IDS
    ]
    return Stock(replace(snapshot, items=replace(snapshot.items, cards=Texts.of(cards))))


@pytest.mark.parametrize(
    ("attribute", "selected"),
    [
        ("sky blue", {"mug", "cup"}),
        ("colour:SKY BLUE", {"mug"}),
        ("colour", set()),
        ("size:5", {"mug"}),
        ("glazed:True", {"mug"}),
        ("thé", {"cup"}),
        ('"big"', {"pan"}),
        ("rosé", {"rose"}),
        ("ros", set()),
        ("linen ", {"cup"}),
        ("rim:Gold", {"cup"}),
        ("gold", {"cup"}),
        ("rim", set()),
    ],
)
def test_attribute_is_found_as_people_write_it(
    stock: Stock, attribute: str, selected: set[str]
) -> None:
    """A word of the title, an attribute, or `name:value`; whole, in any case."""
    rows = select_rows(Selection(attributes=(attribute,)), stock, TRAINED_MS)
    assert {ITEM_IDS[row] for row in rows.tolist()} == selected


def test_selection_is_worked_out_once_and_a_new_one_each_hour(stock: Stock) -> None:
    """Only what the time changes is looked at again."""
    brand, new = Selection(brands=("Acme",)), Selection(new_for_days=1)
    first = select_rows(brand, stock, TRAINED_MS)
    assert select_rows(brand, stock, TRAINED_MS + DAY_MS) is first
    today = select_rows(new, stock, TRAINED_MS)
    assert select_rows(new, stock, TRAINED_MS + HOUR_MS - 1) is today
    assert len(select_rows(new, stock, TRAINED_MS + 2 * DAY_MS)) == 0
