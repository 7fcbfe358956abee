"""One visitor's newest interactions, packed: some 30 bytes each, where objects take 280.

A process keeps a hundred thousand of them, and few are looked at twice: a page asks whether there
is anything new, and that is told by the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Protocol, overload

import msgspec

from models.events import InteractionKind

MAX_RECENT = 100

_MARK = Struct("<qqb")
"""Time, number of the commit, kind."""
_SEQ = Struct("<q")
_BETWEEN_IDS = "\0"
"""No id has it."""
_KINDS = tuple(InteractionKind)


class RecentEvent(msgspec.Struct, frozen=True, gc=False):
    """An interaction as scoring reads it; a struct is made in a third of a named tuple's time."""

    item_id: str
    kind: InteractionKind
    at_ms: int


class Row(Protocol):
    """An interaction as the store has it; `seq` orders those of one time, and tells a repeat."""

    @property
    def seq(self) -> int: ...
    @property
    def kind(self) -> int: ...
    @property
    def item_id(self) -> str: ...
    @property
    def at_ms(self) -> int: ...


class Interactions(Sequence[RecentEvent]):
    """Oldest first; what it says never changes."""

    __slots__ = ("_ids", "_marks", "_met")

    def __init__(self, marks: bytes = b"", ids: str = "") -> None:
        """Take both in one order; `of` makes them."""
        self._marks = marks
        self._ids = ids
        self._met: tuple[Interactions, Interactions] | None = None
        """What these were merged with last, and what came of it."""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Interactions:
        """Pack rows that come in any order, each once."""
        return cls._packed(sorted((row.at_ms, row.seq, row.kind, row.item_id) for row in rows))

    @classmethod
    def _packed(cls, entries: Sequence[tuple[int, int, int, str]]) -> Interactions:
        marks = b"".join([_MARK.pack(*entry[:3]) for entry in entries])
        return cls(marks, _BETWEEN_IDS.join([entry[3] for entry in entries]))

    def __len__(self) -> int:
        return len(self._marks) // _MARK.size

    def __iter__(self) -> Iterator[RecentEvent]:
        return iter(
            [
                RecentEvent(item_id, _KINDS[kind], at_ms)
                for at_ms, _, kind, item_id in self._entries()
            ]
        )

    @overload
    def __getitem__(self, place: int) -> RecentEvent: ...
    @overload
    def __getitem__(self, place: slice) -> Interactions: ...
    def __getitem__(self, place: int | slice) -> RecentEvent | Interactions:
        if not isinstance(place, slice):
            at = range(len(self))[place]
            return next(iter(self[at : at + 1]))
        begin, end, step = place.indices(len(self))
        if step != 1:
            raise ValueError(f"interactions are cut with a step of 1, not {step}")
        if end <= begin:
            return Interactions()
        ids = _first(self._ids, end, len(self) - end)
        ids = _last(ids, end - begin, begin)
        return Interactions(self._marks[begin * _MARK.size : end * _MARK.size], ids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Interactions):
            return NotImplemented
        return self._marks == other._marks and self._ids == other._ids

    def __hash__(self) -> int:
        return hash((self._marks, self._ids))

    def with_row(self, row: Row) -> Interactions:
        """Return these and another one, the newest 100; the same where it is known already."""
        mark = _MARK.pack(row.at_ms, row.seq, row.kind)
        if not self._marks:
            return Interactions(mark, row.item_id)
        if self._has(row.seq):
            return self
        last_ms, last_seq, _ = _MARK.unpack_from(self._marks, len(self._marks) - _MARK.size)
        if (row.at_ms, row.seq) < (last_ms, last_seq):
            entry = row.at_ms, row.seq, row.kind, row.item_id
            return Interactions._packed(sorted([*self._entries(), entry])[-MAX_RECENT:])
        marks, ids = self._marks + mark, f"{self._ids}{_BETWEEN_IDS}{row.item_id}"
        if len(marks) > MAX_RECENT * _MARK.size:
            return Interactions(marks[_MARK.size :], ids.partition(_BETWEEN_IDS)[2])
        return Interactions(marks, ids)

    def merged(self, other: Interactions) -> Interactions:
        """Return the newest 100 of both; what is in both counts once."""
        if not other or self == other:
            return self
        if not self:
            return other
        if self._met is None or self._met[0] is not other:
            entries = sorted({*self._entries(), *other._entries()})[-MAX_RECENT:]
            self._met = other, Interactions._packed(entries)
        return self._met[1]

    def _has(self, seq: int) -> bool:
        # To look for its bytes costs next to nothing, and nearly always says no.
        return _SEQ.pack(seq) in self._marks and any(
            known == seq for _, known, _ in _MARK.iter_unpack(self._marks)
        )

    def _entries(self) -> list[tuple[int, int, int, str]]:
        if not self._marks:
            return []
        marks, item_ids = _MARK.iter_unpack(self._marks), self._ids.split(_BETWEEN_IDS)
        return [(*mark, item_id) for mark, item_id in zip(marks, item_ids, strict=True)]


def _first(ids: str, n: int, n_others: int) -> str:
    """Take the first `n` ids, cutting on the side where there are fewer."""
    if not n_others:
        return ids
    if n < n_others:
        return _BETWEEN_IDS.join(ids.split(_BETWEEN_IDS, n)[:n])
    return ids.rsplit(_BETWEEN_IDS, n_others)[0]


def _last(ids: str, n: int, n_others: int) -> str:
    """Take the last `n` ids, cutting on the side where there are fewer."""
    if not n_others:
        return ids
    if n < n_others:
        return _BETWEEN_IDS.join(ids.rsplit(_BETWEEN_IDS, n)[-n:])
    return ids.split(_BETWEEN_IDS, n_others)[-1]
