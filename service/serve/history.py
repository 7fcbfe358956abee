"""A shopper's history: that of the snapshot, continued by their newest events one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.candidates import history_of
from models.events import InteractionKind
from models.scoring import History
from models.vocabulary import MISSING_ROW
from service.serve.recent import RecentEvent
from service.serve.stock import Stock

NO_HISTORY = History(
    np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int8), np.empty(0, dtype=np.int64)
)

T = TypeVar("T", bound=np.generic)

Met = tuple[int, int, int]
"""An item of a history: row, kind, time in ms."""

_VIEW = int(InteractionKind.VIEW)
_PURCHASE, _REFUND = int(InteractionKind.PURCHASE), int(InteractionKind.REFUND)
_FEW = 4
"""Events that are put behind a history one by one; of more, the whole is taken apart once."""


def merge_history(
    stock: Stock, user_row: int, recent: Sequence[RecentEvent]
) -> tuple[History, frozenset[int]]:
    """Put the newest events behind the history of the snapshot; return it and the rows bought.

    `user_row` is `MISSING_ROW` for someone the model does not know.
    """
    return add_events(
        stock, trained_history(stock, user_row), trained_purchases(stock, user_row), recent
    )


def trained_history(stock: Stock, user_row: int) -> History:
    """Return the history of the snapshot."""
    return NO_HISTORY if user_row == MISSING_ROW else history_of(stock.snapshot, user_row)


def trained_purchases(stock: Stock, user_row: int) -> frozenset[int]:
    """Return the rows of what was bought, as the snapshot knows it."""
    if user_row == MISSING_ROW:
        return frozenset()
    return frozenset(stock.snapshot.users.purchased[user_row].tolist())


def add_events(
    stock: Stock, history: History, purchased: frozenset[int], events: Sequence[RecentEvent]
) -> tuple[History, frozenset[int]]:
    """Put events behind a history; return it and the rows bought.

    An item keeps its strongest kind, moves to the end when it is met again, and a refund takes a
    purchase back. Of what came in two parts, adding both gives what adding all at once does.
    """
    known = [
        (row, int(event.kind), event.at_ms)
        for event in events
        if (row := stock.row(event.item_id)) != MISSING_ROW
    ]
    for row, kind, _ in known:
        if kind >= _PURCHASE:
            purchased = purchased - {row} if kind == _REFUND else purchased | {row}
    if len(known) > _FEW:
        return _with_many(history, known), purchased
    for one in known:
        history = _with_one(history, *one)
    return history, purchased


def continue_history(
    stock: Stock,
    user_row: int,
    merged: tuple[History, frozenset[int]],
    before: Sequence[RecentEvent],
    recent: Sequence[RecentEvent],
) -> tuple[History, frozenset[int]] | None:
    """Return what merging `recent` gives, from what merging `before` gave, if that is quicker.

    That is where there are only newer ones, or where one came and the oldest, of which only so
    many are known, is gone.
    """
    if recent[: len(before)] == before:
        return add_events(stock, *merged, recent[len(before) :])
    if len(recent) != len(before) or len(before) <= _FEW or recent[:-1] != before[1:]:
        return None
    history = _without_oldest(stock, user_row, merged[0], before)
    return None if history is None else add_events(stock, history, merged[1], recent[-1:])


def _without_oldest(
    stock: Stock, user_row: int, history: History, events: Sequence[RecentEvent]
) -> History | None:
    """Take the first of the events back; nothing where it left more behind than its item."""
    gone = events[0]
    row = stock.row(gone.item_id)
    if gone.kind >= _PURCHASE or gone.at_ms >= events[1].at_ms:
        return None
    if row == MISSING_ROW:
        return history
    if row in trained_history(stock, user_row).rows.tolist():
        return None
    place = history.rows.tolist().index(row)
    if history.at_ms[place] != gone.at_ms:  # it was met again
        return history if gone.kind == _VIEW else None
    others = np.arange(len(history.rows)) != place
    return History(history.rows[others], history.kinds[others], history.at_ms[others])


def _with_one(history: History, row: int, kind: int, at_ms: int) -> History:
    rows = history.rows.tolist()
    place = len(rows)
    if row in rows:
        place = rows.index(row)
        kind = _strongest(kind, int(history.kinds[place]))
        at_ms = max(at_ms, int(history.at_ms[place]))
    return History(
        _moved(history.rows, place, row),
        _moved(history.kinds, place, kind),
        _moved(history.at_ms, place, at_ms),
    )


def _moved(values: NDArray[T], place: int, last: int) -> NDArray[T]:
    """Leave out what stands at a place, if anything does, and put a value at the end."""
    n = len(values)
    if place == n:
        moved = np.empty(n + 1, dtype=values.dtype)
        moved[:n] = values
    else:
        moved = np.empty(n, dtype=values.dtype)
        moved[:place] = values[:place]
        moved[place:-1] = values[place + 1 :]
    moved[-1] = last
    return moved


def _with_many(history: History, known: list[Met]) -> History:
    rows = history.rows.tolist()
    trained = zip(rows, history.kinds.tolist(), history.at_ms.tolist(), strict=True)
    merged: dict[int, Met] = dict(zip(rows, trained, strict=True))
    for one in known:
        row = one[0]
        if row in merged:
            _, before, before_ms = merged.pop(row)
            merged[row] = row, _strongest(one[1], before), max(one[2], before_ms)
        else:
            merged[row] = one
    met = list(zip(*merged.values(), strict=True))
    return History(
        np.array(met[0], dtype=np.int32),
        np.array(met[1], dtype=np.int8),
        np.array(met[2], dtype=np.int64),
    )


def _strongest(kind: int, before: int) -> int:
    """Return what an item counts as after an event; a refund makes it begin anew."""
    return kind if _REFUND in (kind, before) else max(kind, before)
