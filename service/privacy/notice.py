"""What is captured and how long, in plain language: for a privacy page and those who write it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from models.plural import plural

INTERACTIONS = ("view", "click", "add_to_cart", "purchase", "refund")
EXPOSURES = {
    "exposure": "what was shown",
    "rendered": "that it was drawn",
    "viewable": "that it was seen",
}


class Captured(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of data."""

    what: str
    contains: str
    why: str
    kept: str


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What the service knows of people."""

    summary: str
    captured: list[Captured]
    without_consent: str
    rights: str


_NOTICE = Notice(
    summary=(
        "People are known by pseudonyms only: a keyed hash of the shop's user and visitor ids. No "
        "name, e-mail address, IP address or browser is stored. Nothing is sent to anybody else."
    ),
    captured=[
        Captured(
            what="interactions",
            contains="pseudonyms of user, visitor and session, item or banner, kind (view, click, "
            "cart, purchase, refund), time, quantity, price, order number, country, channel, "
            "platform",
            why="to choose what to show, and to measure whether that helped",
            kept="",
        ),
        Captured(
            what="exposures",
            contains="pseudonyms of user, visitor and session, what was shown and why, for which "
            "segment of customers, time, country, channel, platform, page",
            why="to measure what was shown, and to join clicks to it",
            kept="",
        ),
        Captured(
            what="archive of older days",
            contains="the same interactions and exposures, as files",
            why="to keep what is in daily use small, and to learn from",
            kept="as long as the interactions and exposures themselves",
        ),
        Captured(
            what="running sums",
            contains="pseudonym, first time seen, how often and in which variant; what was put "
            "into the basket, bought and sent back; begin and end of each visit",
            why="so that a report need not read everything again",
            kept="until erased; baskets, purchases and refunds as long as the interactions, begin "
            "and end of a visit for about six weeks",
        ),
        Captured(
            what="identities",
            contains="which visitor's pseudonym became which user's",
            why="so that signing in does not change what a person is shown",
            kept="until erased",
        ),
        Captured(
            what="forced units and uploaded lists",
            contains="pseudonyms that the operator put there",
            why="to show a variant to those who test it, and to choose audiences",
            kept="until the operator takes them out, or the person is erased",
        ),
        Captured(
            what="model versions",
            contains="pseudonym, newest items, purchased items, segments",
            why="to answer with the person's taste at once",
            kept="until the version is deleted, or the person erased",
        ),
    ],
    without_consent=(
        "With consent: false an answer uses nothing personal, and no pseudonym and no order number "
        "is stored."
    ),
    rights=(
        "The operator gives a copy with GET /v1/users/{id} and forgets a person with "
        "DELETE /v1/users/{id}, which answers with a receipt."
    ),
)


def notice(kept_days: Mapping[str, int]) -> Notice:
    """Say what is kept, and how long under these settings."""
    others = [kind for kind in INTERACTIONS if kind not in kept_days]
    interactions = [
        f"{kind.replace('_', ' ')} {plural(kept_days[kind], 'day')}"
        for kind in INTERACTIONS
        if kind in kept_days
    ]
    if others:
        interactions.append(f"{', '.join(others).replace('_', ' ')} until erased")
    kept = {
        "interactions": "; ".join(interactions),
        "exposures": "; ".join(
            f"{name} {plural(kept_days[kind], 'day')}"
            if kind in kept_days
            else f"{name} until erased"
            for kind, name in EXPOSURES.items()
        ),
    }
    return msgspec.structs.replace(
        _NOTICE,
        captured=[
            msgspec.structs.replace(each, kept=kept.get(each.what, each.kept))
            for each in _NOTICE.captured
        ],
    )
