"""Takes users out of a snapshot, for those who ask to be forgotten."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.ragged import RowLists
from models.snapshot import Snapshot
from models.vocabulary import Vocabulary

Values = TypeVar("Values", bound=np.generic)


def without_users(snapshot: Snapshot, ids: Collection[str]) -> Snapshot | None:
    """Return the snapshot without these users, or nothing if it knows none of them."""
    users = snapshot.users
    gone = {each for each in ids if each in users.ids}
    if not gone:
        return None
    is_kept = np.array([each not in gone for each in users.ids], dtype=bool)
    of_history = np.repeat(is_kept, np.diff(users.history.offsets))
    return replace(
        snapshot,
        users=replace(
            users,
            ids=Vocabulary.from_ids(each for each in users.ids if each not in gone),
            history=_kept(users.history, is_kept),
            history_kinds=users.history_kinds[of_history],
            history_at_ms=users.history_at_ms[of_history],
            purchased=_kept(users.purchased, is_kept),
            segments=_kept(users.segments, is_kept),
        ),
    )


def _kept(lists: RowLists, is_kept: NDArray[np.bool_]) -> RowLists:
    lengths = np.diff(lists.offsets)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[is_kept])])
    return RowLists(offsets, lists.rows[np.repeat(is_kept, lengths)])
