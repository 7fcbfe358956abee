"""What is captured and how long, in plain language: for a privacy page and those who write it."""

from __future__ import annotations

import msgspec


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


NOTICE = Notice(
    summary=(
        "People are known by pseudonyms only: a keyed hash of the shop's user and visitor ids. No "
        "name, e-mail address, IP address or browser is stored. Nothing is sent to anybody else."
    ),
    captured=[
        Captured(
            what="interactions",
            contains="pseudonym, item or banner, kind (view, click, cart, purchase, refund), time, "
            "quantity, price, order number, country, channel, platform",
            why="to choose what to show, and to measure whether that helped",
            kept="until erased, or as many days as the operator keeps that kind",
        ),
        Captured(
            what="exposures",
            contains="pseudonym, what was shown and why, time, country, channel, platform, page",
            why="to measure what was shown, and to join clicks to it",
            kept="until erased, or as many days as the operator keeps them",
        ),
        Captured(
            what="identities",
            contains="which visitor's pseudonym became which user's",
            why="so that signing in does not change what a person is shown",
            kept="until erased",
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
