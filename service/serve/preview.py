"""Preview: a page as somebody would see it, at another time, with a variant or unsaved documents.

It goes the way of every page; only what it is decided from is replaced, and nothing is logged.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from models.errors import InputError
from models.ids import list_known
from models.pseudonym import Pseudonymiser
from service.control.configuration import Configuration
from service.control.drafts import Drafts, with_drafts
from service.rollouts.definition import CONTROL
from service.rollouts.visitor import Members
from service.serve.profile import Profile
from service.serve.request import Preview
from service.serve.shelf import Shelf
from service.serve.visit import Visit


class _Everyone:
    """A segment that the shopper of a preview is in."""

    def has(self, user_key: str | None, anonymous_key: str | None) -> bool:
        """Say yes."""
        return True


def preview_shelf(
    shelf: Shelf, preview: Preview, pseudonymiser: Pseudonymiser, now_ms: int
) -> Shelf:
    """Return the shelf, or one of its own for drafts; for a thread, as it may take a while.

    Raises
    ------
    InputError
        If a variant is asked for that no rollout has.
    """
    drafts = preview.drafts
    if drafts == Drafts():
        _check_variants(shelf.configuration, preview.variants)
        return shelf
    configuration = with_drafts(shelf.configuration, drafts, pseudonymiser)
    _check_variants(configuration, preview.variants)
    drafted = Shelf(shelf.stock, configuration, None if drafts.banners else shelf.banners)
    drafted.warm_up(now_ms)
    return drafted


def as_previewed(visit: Visit, preview: Preview) -> Visit:
    """Put a visit where and when the preview says."""
    now_ms = visit.now_ms if preview.at is None else int(preview.at.timestamp() * 1000)
    profile = visit.profile
    if profile is not None and now_ms < visit.now_ms:
        then = tuple(event for event in profile.recent if event.at_ms <= now_ms)
        profile = Profile(profile.stock, profile.user_row, then)
    segments: Mapping[str, Members] = visit.segments
    if preview.segments is not None:
        segments = {key: _Everyone() for key in preview.segments}
    return msgspec.structs.replace(
        visit,
        now_ms=now_ms,
        profile=profile,
        segments=segments,
        as_segments=preview.segments,
        forced=preview.variants,
        is_preview=True,
        is_late=lambda: False,
    )


def _check_variants(configuration: Configuration, variants: Mapping[str, str]) -> None:
    for key, variant in variants.items():
        rollout = configuration.rollouts.get(key)
        if rollout is None:
            raise InputError(
                f"rollout {key[:80]!r} at $.options.preview.variants is not configured; "
                f"{list_known(configuration.rollouts)}"
            )
        known = [one.key for one in rollout.definition.variants]
        if variant != CONTROL and variant not in known:
            raise InputError(
                f"variant {variant[:80]!r} at $.options.preview.variants is none of rollout "
                f"{key!r}; {list_known([*known, CONTROL])}"
            )
