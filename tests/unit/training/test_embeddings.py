"""Exported embeddings are those that scores are made of, with the ids they belong to."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from models.errors import InputError
from models.histories import Histories
from models.scoring import score_parts
from models.snapshot import Snapshot
from tests.snapshots import tiny_snapshot
from tests.unit.models.small_snapshot import make_snapshot
from training.embeddings import FileFormat, item_embeddings, user_embeddings, write_table


def matrix(table: pa.Table, name: str) -> np.ndarray:
    """Read a column of vectors."""
    return np.array(table[name].to_pylist(), dtype=np.float32)


def factor_part(snapshot: Snapshot, user: int) -> np.ndarray:
    """Return what the factors add to the score of each item for a user."""
    users, until_ms = snapshot.users, snapshot.manifest.data_until_ms
    histories = Histories(users.history, users.history_kinds, users.history_at_ms, until_ms)
    rows = np.arange(len(snapshot.items.ids), dtype=np.int32)
    return score_parts(snapshot, histories.one(user), until_ms, rows)[1]


def test_users_times_items_is_the_factor_part_of_the_score() -> None:
    """With the weight `a` = 0.5 of the blend, for a user with two items and one with none."""
    snapshot = make_snapshot()
    users, items = user_embeddings(snapshot), item_embeddings(snapshot)
    parts = 0.5 * matrix(users, "factor") @ matrix(items, "factor").T
    for user in range(2):
        np.testing.assert_allclose(parts[user], factor_part(snapshot, user), atol=1e-6)
    assert parts[0].any()
    assert not parts[1].any()


def test_embeddings_have_their_ids() -> None:
    """Items by their own ids, users by pseudonym."""
    snapshot = make_snapshot()
    items, users = item_embeddings(snapshot), user_embeddings(snapshot)
    assert items["item_id"].to_pylist() == ["mug", "köpek", "lamp"]
    assert matrix(items, "content")[1].tolist() == [0, 1, 0]
    assert users["user_key"].to_pylist() == ["u1", "u2"]
    assert users["n_items"].to_pylist() == [2, 0]


def test_a_model_without_factors_exports_what_it_has() -> None:
    """No column rather than empty vectors."""
    assert user_embeddings(tiny_snapshot()).column_names == ["user_key", "n_items"]
    assert item_embeddings(tiny_snapshot()).column_names == ["item_id", "n_interactions", "content"]


@pytest.mark.parametrize(
    ("kind", "read"), [("parquet", pq.read_table), ("arrow", feather.read_table)]
)
def test_files_hold_the_tables(tmp_path: Path, kind: FileFormat, read: object) -> None:
    """Written and read again, types included."""
    assert callable(read)
    table = item_embeddings(make_snapshot())
    write_table(table, tmp_path / "items", kind)
    assert read(tmp_path / "items").equals(table)
    assert [path.name for path in tmp_path.iterdir()] == ["items"]


def test_unwritable_file_is_named(tmp_path: Path) -> None:
    """A folder that does not exist is an error with the path."""
    with pytest.raises(InputError, match="cannot write"):
        write_table(item_embeddings(make_snapshot()), tmp_path / "no" / "items", "parquet")
