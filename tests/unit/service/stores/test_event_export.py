"""Stored interactions as the trainer's columns."""

from pathlib import Path

import polars as pl
import pytest

from models.errors import StoreError
from service.stores.event_export import export_interactions
from service.stores.event_log import EventLog
from service.stores.event_schema import RENDERED, EventFlag
from service.stores.events import Batch, StoredEvent
from service.stores.opening import open_event_store
from tests.unit.service.intake.samples import view


def test_export_has_the_trainers_columns(event_log: EventLog, tmp_path: Path) -> None:
    """Two interactions are written; a banner's click, a report, a bot and a stranger are not."""
    path = event_log
    store = open_event_store(path, opened_ms=1)
    bought = StoredEvent(
        "b", 3, 2_000, 2_000, anonymous_key="v", item_id="p2", quantity=2.0, price=1.5, order_id="o"
    )
    store.commit(
        Batch(
            [
                view("a"),
                bought,
                StoredEvent("c", 1, 1, 1, user_key="u", banner_id="banner"),
                view("d", kind=RENDERED),
                view("e", flags=int(EventFlag.BOT)),
                view("f", user_key=None),
            ]
        )
    )
    store.close(2)
    output = tmp_path / "interactions.parquet"
    assert export_interactions(path, output) == 2
    rows = pl.read_parquet(output).select(
        "user_key", "item_id", "event", pl.col("timestamp").dt.epoch("ms"), "quantity", "order_id"
    )
    assert rows.rows() == [
        ("u", "p1", "view", 1_000, None, None),
        ("v", "p2", "purchase", 2_000, 2.0, "o"),
    ]
    assert list(tmp_path.glob(".*.part")) == []


def test_export_of_nothing_is_an_empty_table(event_log: EventLog, tmp_path: Path) -> None:
    """A new store gives a file with columns and no row."""
    output = tmp_path / "interactions.parquet"
    assert export_interactions(event_log, output) == 0
    assert pl.read_parquet(output).is_empty()


def test_export_to_a_folder_that_is_not_there_is_refused(
    event_log: EventLog, tmp_path: Path
) -> None:
    """The message names the file and what to look at."""
    with pytest.raises(StoreError, match="choose a folder that exists"):
        export_interactions(event_log, tmp_path / "no" / "f.parquet")
