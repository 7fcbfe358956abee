"""The tables of the event store: exposures, events, and the ledger that counts both.

Migrations in ``event_migrations`` lead to this schema; the hot path uses the driver itself.
"""

from __future__ import annotations

from enum import IntFlag

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from models.events import InteractionKind

RENDERED, VIEWABLE = 16, 17
"""Codes beside those of `InteractionKind`: a client's report of how far an exposure got."""

KIND_NAMES = {kind.value: kind.event for kind in InteractionKind} | {
    RENDERED: "rendered",
    VIEWABLE: "viewable",
}


class EventFlag(IntFlag):
    """What is to be known of a stored event; never renumber."""

    LATE = 1
    """Older than seven days on arrival."""
    FUTURE = 2
    """More than five minutes ahead of the service's clock."""
    BOT = 4
    PREVIEW = 8
    NO_CONSENT = 16
    BY_SERVER = 32
    """Not odd: told by the shop's own server, whose lines of an order go before a browser's."""


metadata = MetaData()
# Milliseconds need more than the four bytes that PostgreSQL's INTEGER has.
_WHOLE = Integer().with_variant(BigInteger(), "postgresql")

events = Table(
    "events",
    metadata,
    # Handed out under the write lock and never again: the order of commits, which readers follow.
    Column("seq", _WHOLE, primary_key=True, autoincrement=True),
    Column("event_id", Text, nullable=False, unique=True),
    Column("kind", _WHOLE, nullable=False),
    Column("at_ms", _WHOLE, nullable=False),
    Column("received_ms", _WHOLE, nullable=False),
    Column("user_key", Text),
    Column("anonymous_key", Text),
    Column("session_key", Text),
    Column("item_id", Text),
    Column("banner_id", Text),
    Column("exposure_id", Text),
    Column("quantity", Float),
    Column("price", Float),
    Column("order_id", Text),
    Column("country", Text),
    Column("channel", Text),
    Column("platform", Text),
    Column("flags", _WHOLE, nullable=False),
    # Which variant a client says it drew.
    Column("variant", Text),
    sqlite_autoincrement=True,
)
Index(
    "events_user",
    events.c.user_key,
    events.c.at_ms,
    sqlite_where=text("user_key IS NOT NULL AND item_id IS NOT NULL"),
    postgresql_where=text("user_key IS NOT NULL AND item_id IS NOT NULL"),
)
Index(
    "events_anonymous",
    events.c.anonymous_key,
    events.c.at_ms,
    sqlite_where=text("anonymous_key IS NOT NULL AND item_id IS NOT NULL"),
    postgresql_where=text("anonymous_key IS NOT NULL AND item_id IS NOT NULL"),
)

# Written most of all: an index in another order than the rows' own costs a page a row. So there is
# one such, and the ids of exposures rise with time.
exposures = Table(
    "exposures",
    metadata,
    Column("seq", _WHOLE, primary_key=True, autoincrement=True),
    Column("exposure_id", Text, nullable=False, unique=True),
    Column("request_id", Text, nullable=False),
    Column("at_ms", _WHOLE, nullable=False),
    Column("unit_kind", Text),
    Column("unit_key", Text),
    Column("user_key", Text),
    Column("anonymous_key", Text),
    Column("session_key", Text),
    Column("placement_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("recipe", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("degraded", Text),
    Column("rollout_key", Text),
    Column("variant", Text),
    Column("reason", Text),
    Column("epoch", _WHOLE),
    Column("model_version", Text),
    Column("country", Text),
    Column("channel", Text),
    Column("platform", Text),
    Column("page", Text),
    # 1 if the unit is known to be one person with another, who is dealt another variant.
    Column("crossover", _WHOLE, nullable=False, server_default="0"),
    # Of slates of banners: the segment whose click rates were read, and a JSON array of
    # `service.exposure.Candidate` where chance had a say.
    Column("segment", Text),
    Column("candidates", Text),
    # A JSON array of `service.exposure.Shown`.
    Column("shown", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index(
    "exposures_unit",
    exposures.c.unit_key,
    exposures.c.placement_id,
    exposures.c.at_ms,
    sqlite_where=text("unit_key IS NOT NULL"),
    postgresql_where=text("unit_key IS NOT NULL"),
)

# As which unit a signed-in user is dealt; the first write wins, for good.
identities = Table(
    "identities",
    metadata,
    Column("seq", _WHOLE, primary_key=True, autoincrement=True),
    Column("user_key", Text, nullable=False, unique=True),
    Column("unit_kind", Text, nullable=False),
    Column("unit_key", Text, nullable=False),
    Column("at_ms", _WHOLE, nullable=False),
    sqlite_autoincrement=True,
)
Index("identities_unit", identities.c.unit_key)

# Units that are one person, or one device, but were dealt apart; each pair stands both ways.
unit_links = Table(
    "unit_links",
    metadata,
    Column("seq", _WHOLE, primary_key=True, autoincrement=True),
    Column("unit_key", Text, nullable=False),
    Column("other_kind", Text, nullable=False),
    Column("other_key", Text, nullable=False),
    Column("at_ms", _WHOLE, nullable=False),
    UniqueConstraint("unit_key", "other_key"),
    sqlite_autoincrement=True,
)

# Erasures that worker processes follow. Pseudonyms stand there for a second, until all have read.
erasures = Table(
    "erasures",
    metadata,
    Column("seq", _WHOLE, primary_key=True, autoincrement=True),
    Column("at_ms", _WHOLE, nullable=False),
    # A JSON array.
    Column("keys", Text),
    sqlite_autoincrement=True,
)

writers = Table(
    "writers",
    metadata,
    Column("writer_id", _WHOLE, primary_key=True, autoincrement=True),
    Column("pid", _WHOLE, nullable=False),
    Column("opened_ms", _WHOLE, nullable=False),
    # Empty while the process runs; empty afterwards too if it was killed before it could drain.
    Column("closed_ms", _WHOLE),
    # Of a worker that another process writes for: which batch was written last, and the answer,
    # so that a batch that is sent again is not written again. In PostgreSQL it names the last
    # transaction.
    Column("token", Text),
    Column("last_batch", _WHOLE),
    Column("last_answer", LargeBinary),
    sqlite_autoincrement=True,
)

counters = Table(
    "counters",
    metadata,
    Column("writer_id", _WHOLE, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", _WHOLE, nullable=False),
    sqlite_with_rowid=False,
)
