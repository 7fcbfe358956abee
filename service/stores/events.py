"""What the log of events and exposures takes, and the port that each store of it fills.

`service.intake.writer` commits groups to it; which store stands behind it, it cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import msgspec

from models.errors import CapacityError, StoreError
from service.exposure import Exposure

Counter = Literal[
    "received", "accepted", "duplicate", "rejected", "served", "assigned", "stored", "dropped"
]

Counts = dict[Counter, int]


class StoredEvent(NamedTuple):
    """One event as it is stored: a tuple in the order of the columns, with pseudonyms for ids."""

    event_id: str
    kind: int
    at_ms: int
    received_ms: int
    user_key: str | None = None
    anonymous_key: str | None = None
    session_key: str | None = None
    item_id: str | None = None
    banner_id: str | None = None
    exposure_id: str | None = None
    quantity: float | None = None
    price: float | None = None
    order_id: str | None = None
    country: str | None = None
    channel: str | None = None
    platform: str | None = None
    flags: int = 0
    variant: str | None = None
    """Of an exposure's report: what the client says it drew."""


class NumberedEvent(NamedTuple):
    """A stored event with its place in the order of commits."""

    seq: int
    event: StoredEvent


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes."""

    events: Sequence[StoredEvent] = ()
    exposures: Sequence[Exposure] = ()
    counts: Counts = field(default_factory=dict)
    """What the store cannot know itself: received, rejected, served, assigned, dropped, and repeats
    that the caller left out of `events`."""
    packed: Sequence[msgspec.Raw] = ()
    """Further exposures, as `PackedExposures` writes them; for a store in another process only."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What one transaction found."""

    is_new: list[bool]
    """Per event of the batch: false for a repeated ``event_id``."""
    added: list[NumberedEvent]
    """The new ones."""
    n_exposures: int


def number_events(
    events: Sequence[StoredEvent], is_new: Sequence[bool], first_seq: int
) -> list[NumberedEvent]:
    """Give the new ones of a batch their places, which follow each other."""
    fresh = [event for event, new in zip(events, is_new, strict=True) if new]
    return [NumberedEvent(seq, event) for seq, event in enumerate(fresh, first_seq)]


class StoreBusyError(CapacityError):
    """The store did not answer in time; the same batch may be committed again and counts once."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step
        """For whoever runs the service, should it go on."""


class StoreSilentError(StoreError):
    """Nothing was heard of the store for too long; whether the events get in is open."""

    code = "store_silent"


class EventStore(Protocol):
    """The writing side of one process; used by one thread at a time."""

    def commit(self, batch: Batch) -> Committed:
        """Write a batch and return once it is on disk; all of it or, on any error, nothing.

        Raises
        ------
        StoreBusyError
            If others hold the store. Whether the batch gets in is open until the same object is
            given again; it is stored once, and the answer is that of the first time.
        CapacityError
            If there is no room.
        StoreError
            If the store cannot be written.
        Exception
            Any other: a value cannot be stored. Take the batch apart to find which.
        """

    def close(self, closed_ms: int) -> None:
        """Note that this writer drained, if it ever wrote, and let go of the store.

        Raises
        ------
        CapacityError, StoreError
            If the note cannot be written; the store is let go all the same.
        """

    def abandon(self) -> None:
        """Let go of the store without the note: something was left unwritten."""
