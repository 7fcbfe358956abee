"""What the items of a history say of others: the lists of the graph end to end, by compiled loops.

A candidate is found in every list that names it. The place where it stands last is its slot: so
nothing is sorted, and nothing but one number per item is of the length of the catalogue.
"""

from __future__ import annotations

from threading import local
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.ragged import Neighbours

Number = TypeVar("Number", bound=np.generic)

_KEPT = local()


class Spoken(NamedTuple):
    """Lists of the graph, end to end; n entries of s speakers."""

    rows: NDArray[np.int32]
    """(n,) the item that is spoken for."""
    weights: NDArray[np.float32]
    """(n,) how loudly."""
    parts: NDArray[np.float32]
    """(n,) the weight times the share of the speaker."""
    ends: NDArray[np.int64]
    """(s,) where each speaker's list ends."""


def lay_out(graph: Neighbours, speakers: NDArray[np.int32], shares: NDArray[np.float32]) -> Spoken:
    """Lay the neighbour lists of `speakers`, of whom there is at least one, end to end."""
    begins = graph.offsets.take(speakers)
    lengths = graph.offsets.take(speakers + 1)
    lengths -= begins
    each, ends = lengths.tolist(), lengths.cumsum()
    if each[0] and each.count(each[0]) == len(each):
        weights = _windows(graph.weights, each[0])[begins]
        parts = weights * shares[:, np.newaxis]
        rows = _windows(graph.rows, each[0])[begins]
        return Spoken(rows.ravel(), weights.ravel(), parts.ravel(), ends)
    places = np.arange(int(ends[-1]))
    places += (begins - ends + lengths).repeat(lengths)
    some = graph.weights.take(places)
    return Spoken(graph.rows.take(places), some, some * shares.repeat(lengths), ends)


def slots_of(rows: NDArray[np.intp], n_items: int) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return the place where each of `rows` stands last, shape (n,), and the distinct places."""
    last, places = _room(n_items), np.arange(len(rows), dtype=np.int32)
    last[rows] = places
    slots = last.take(rows)
    return slots, (slots == places).nonzero()[0]


def loudest(
    spoken: Spoken,
    speakers: NDArray[np.int32],
    slots: NDArray[np.int32],
    asked: NDArray[np.intp],
    n_slots: int,
) -> NDArray[np.int32]:
    """Return who gave most to each slot that is `asked` for, of equals the last; -1 for nobody."""
    is_asked = np.zeros(n_slots, dtype=np.bool_)
    is_asked[asked] = True
    heard = is_asked.take(slots).nonzero()[0]
    parts = spoken.parts.take(heard)
    if np.count_nonzero(parts) < len(parts):
        some = parts.nonzero()[0]
        heard, parts = heard.take(some), parts.take(some)
    whose = speakers.take(spoken.ends.searchsorted(heard, side="right"))
    by_part = parts.argsort(kind="stable")  # what is written last stays
    because = np.full(n_slots, -1, dtype=np.int32)
    because[slots.take(heard.take(by_part))] = whose.take(by_part)
    return because.take(asked)


def _windows(values: NDArray[Number], width: int) -> NDArray[Number]:
    """Return `width` values from each place on, without copying; so a list is copied as a block."""
    shape, stride = (len(values) - width + 1, width), values.itemsize
    return np.ndarray(shape, values.dtype, values, strides=(stride, stride))


def _room(n: int) -> NDArray[np.int32]:
    """Return room for a number per item; what stands there is of no meaning.

    A thread keeps it, for new memory of this size costs a page fault every thousand items.
    """
    room: NDArray[np.int32] | None = getattr(_KEPT, "room", None)
    if room is None or len(room) < n:
        room = _KEPT.room = np.empty(n, dtype=np.int32)
    return room
