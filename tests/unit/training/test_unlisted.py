"""Items that the catalogue does not list: told, not offered, and never all of them."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import InputError
from training.load import Loaded, load_dataset
from training.mapping import CatalogMapping, ItemRules, Mapping
from training.unlisted import Unlisted

LOG = "user_id,item_id,event,timestamp\nu1,a,view,2026-01-02\nu2,b,view,2026-01-02\n"
LOG += "u1,b,view,2026-01-03\nu3,b,view,2026-01-03\n"


def load(folder: Path, catalog: str | None, mapping: Mapping) -> Loaded:
    """Load the log, one interaction with `a` and three with `b`, and a catalogue or none."""
    log, items = folder / "log.csv", folder / "items.csv"
    log.write_text(LOG)
    items.write_text(catalog or "")
    files = [] if catalog is None else [str(items)]
    return load_dataset([str(log)], files, mapping, pseudonym=str, rejects=None)


def test_item_that_the_catalogue_no_longer_lists_cannot_be_bought(tmp_path: Path) -> None:
    """It has gone from the shop: it teaches, but is not offered, and the run says how much."""
    found = load(tmp_path, "item_id\na\nc\n", Mapping())
    assert list(found.dataset.item_ids) == ["a", "b", "c"]
    assert found.dataset.catalog.available.tolist() == [True, False, True]
    assert found.unlisted == Unlisted(items=1, share=0.75, example="b")
    told = found.unlisted.tell(is_offered=False)
    assert "1 item of 75.0% of the interactions, such as 'b'" in told


def test_shop_may_offer_what_its_catalogue_does_not_list(tmp_path: Path) -> None:
    """A catalogue of a part of the shop says so in the mapping; it is told all the same."""
    mapping = Mapping(catalog=CatalogMapping(only_listed=False))
    found = load(tmp_path, "item_id\na\n", mapping)
    assert found.dataset.catalog.available.tolist() == [True, True]
    assert found.unlisted is not None
    assert "only_listed" in found.unlisted.tell(is_offered=True)


@pytest.mark.parametrize("catalog", [None, "item_id\na\nb\n"])
def test_nothing_is_unlisted_without_a_catalogue_or_in_a_whole_one(
    tmp_path: Path, catalog: str | None
) -> None:
    """Where there is nothing to compare with, or all is there, everything is offered."""
    found = load(tmp_path, catalog, Mapping())
    assert found.unlisted is None
    assert found.dataset.catalog.available.all()


def test_catalogue_with_none_of_the_items_is_refused(tmp_path: Path) -> None:
    """Ids with a blank behind them match nothing: the run stops, and names how to make them one."""
    catalog = "item_id\na \nb \n"
    with pytest.raises(InputError, match=r"'b' is not.*lists 'b '.*normalise"):
        load(tmp_path, catalog, Mapping())
    rules = Mapping(items=ItemRules(normalise=("strip",)))
    assert load(tmp_path, catalog, rules).unlisted is None


def test_items_that_differ_in_blanks_or_case_are_told(tmp_path: Path) -> None:
    """`b` is listed as `B `: an id that is written in two ways, and the way to make it one."""
    found = load(tmp_path, "item_id\na\nB \n", Mapping())
    assert found.unlisted == Unlisted(items=1, share=0.75, example="b", alike=1)
    assert "normalise" in found.unlisted.tell(is_offered=False)


def test_items_that_nobody_met_do_not_count() -> None:
    """Only what interactions are about is counted: here the first and the third item."""
    rows = np.array([0, 0, 2], dtype=np.int32)
    assert Unlisted.find("abc", rows, np.array([False, False, True])) == Unlisted(
        items=1, share=0.666667, example="a"
    )
