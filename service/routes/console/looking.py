"""Looking at slates as somebody: what was typed into the form, and the request that it makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from models.ids import check_id
from service.console.audience_form import SEGMENT, show_audience
from service.console.form import FormError, words
from service.control.configuration import Configuration
from service.control.drafts import Drafts
from service.rollouts.conditions import Condition
from service.rollouts.definition import CONTROL, Variant
from service.serve.request import (
    Context,
    Options,
    PlacementRequest,
    Preview,
    ServeRequest,
    User,
)

AS_DEALT = ""
"""The variant that the rollout itself gives."""
FIELDS = (
    "as_user",
    "as_anonymous",
    "as_segments",
    "as_country",
    "as_channel",
    "as_platform",
    "as_page",
    "as_items",
    "as_at",
    "as_variant",
    "as_why",
)


@dataclass(frozen=True, slots=True)
class Look:
    """As whom, where and when to look; every field as it was typed."""

    user: str = ""
    anonymous: str = ""
    segments: str = ""
    country: str = ""
    channel: str = ""
    platform: str = ""
    page: str = ""
    items: str = ""
    at: str = ""
    variant: str = AS_DEALT
    why: str = ""

    @classmethod
    def read(cls, text: Callable[[str], str]) -> Look:
        """Read the fields, named ``as_…``, with a function that returns the text of one."""
        return cls(**{name.removeprefix("as_"): text(name).strip() for name in FIELDS})

    @classmethod
    def into(cls, audience: Condition | None, starts_at_ms: int, now_ms: int) -> Look:
        """Look as somebody of an audience, once a schedule has begun."""
        at = ""
        if starts_at_ms > now_ms:
            at = datetime.fromtimestamp(starts_at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M")
        wanted = {
            row.attribute: words(row.values)[0]
            for row in show_audience(audience).rows
            if row.verb == "is" and words(row.values)
        }
        return cls(
            segments=wanted.get(SEGMENT, ""),
            country=wanted.get("country", ""),
            channel=wanted.get("channel", ""),
            platform=wanted.get("platform", ""),
            page=wanted.get("page", ""),
            at=at,
        )

    def to_request(
        self,
        configuration: Configuration,
        placement_ids: Sequence[str],
        drafts: Drafts | None = None,
    ) -> ServeRequest:
        """Make the request.

        Raises
        ------
        FormError
            If a field holds what it cannot hold.
        """
        try:
            return ServeRequest(
                placements=tuple(PlacementRequest(id=one) for one in placement_ids),
                user=User(user_id=self.user or None, anonymous_id=self.anonymous or None),
                context=Context(
                    country=self.country or None,
                    channel=self.channel or None,
                    platform=self.platform or None,
                    page=self.page or None,
                    item_ids=tuple(words(self.items)),
                ),
                options=Options(
                    explain=True,
                    why=tuple(_checked(words(self.why)[:20])),
                    preview=Preview(
                        at=self._moment(),
                        variants=self._variants(configuration, placement_ids, drafts),
                        segments=tuple(words(self.segments)) or None,
                        drafts=drafts or Drafts(),
                    ),
                ),
            )
        except ValueError as error:
            raise FormError("as_user", str(error)) from error

    def _moment(self) -> datetime | None:
        if not self.at:
            return None
        try:
            moment = datetime.fromisoformat(self.at)
        except ValueError:
            raise FormError(
                "as_at", f"{self.at!r} is no date and time; write 2026-12-24T18:00"
            ) from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def _variants(
        self, configuration: Configuration, placement_ids: Sequence[str], drafts: Drafts | None
    ) -> dict[str, str]:
        """Force the chosen variant in each rollout of the page that has it."""
        if self.variant == AS_DEALT:
            return {}
        drafted = {} if drafts is None else {one.id: one for one in drafts.placements}
        chosen: dict[str, str] = {}
        for placement_id in placement_ids:
            placement = drafted.get(placement_id) or configuration.placements.get(placement_id)
            rollout = None if placement is None else configuration.rollout_of(placement)
            if rollout is not None and self.variant in variants_of(rollout.definition.variants):
                chosen[rollout.key] = self.variant
        return chosen


def variants_of(variants: Sequence[Variant]) -> list[str]:
    """List the variants of a rollout, control last."""
    return [*(one.key for one in variants), CONTROL]


def all_variants(configuration: Configuration) -> list[str]:
    """List every variant that some rollout of a placement has."""
    found: dict[str, None] = {}
    for placement in configuration.placements.values():
        rollout = configuration.rollout_of(placement)
        if rollout is not None:
            found |= dict.fromkeys(variants_of(rollout.definition.variants))
    return list(found)


def _checked(ids: Sequence[str]) -> list[str]:
    return [check_id(one, "an id") for one in ids]
