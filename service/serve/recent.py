"""What serving asks of the store of events: a shopper's newest interactions, and who they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from models.events import InteractionKind
from service.rollouts.visitor import Person, person_of


class RecentEvent(Protocol):
    """One interaction of a shopper."""

    @property
    def item_id(self) -> str:
        """The item, by its external id."""
        ...

    @property
    def kind(self) -> InteractionKind:
        """What the shopper did."""
        ...

    @property
    def at_ms(self) -> int:
        """When, in epoch ms."""
        ...


class RecentSource(Protocol):
    """Newest interactions by pseudonym, oldest first; what is the same answer is equal."""

    def cached(
        self, user_key: str | None, anonymous_key: str | None
    ) -> Sequence[RecentEvent] | None:
        """Return them if that takes no time to speak of; nothing if they have to be read."""
        ...

    async def read(self, user_key: str | None, anonymous_key: str | None) -> Sequence[RecentEvent]:
        """Return the interactions, reading the store if need be; the caller may give up waiting."""
        ...


class PersonSource(Protocol):
    """Whom rollouts deal a visitor as."""

    def cached(self, user_key: str | None, anonymous_key: str | None) -> Person | None:
        """Return it if that takes no time to speak of; nothing if it has to be read."""
        ...

    async def person(
        self, user_key: str | None, anonymous_key: str | None, timeout_s: float
    ) -> Person:
        """Return it, at once where it is known; it never takes longer, and never fails."""
        ...


class Strangers:
    """Knows nobody: a user is the user, else the anonymous visitor."""

    def cached(self, user_key: str | None, anonymous_key: str | None) -> Person | None:
        """Return it."""
        return person_of(user_key, anonymous_key)

    async def person(
        self, user_key: str | None, anonymous_key: str | None, timeout_s: float
    ) -> Person:
        """Return it at once."""
        return person_of(user_key, anonymous_key)
