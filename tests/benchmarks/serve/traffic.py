"""The requests of a run, written to files: a line is ``METHOD PATH BODY``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from tests.benchmarks.serve.shop import COUNTRIES, item_id, user_id

UNKNOWN_SHARE = 0.2
ACTING_SHARE = 0.1
"""Share of the pages that come after a new event of their shopper."""
ZIPF_EXPONENT = 1.0
EVENT_ID = "@" * 20
"""Stands in a file for an id of an event; who sends it puts another one there each time."""
EMPTY_LINE = 'POST /empty {"user_id":"shopper-00000001","count":12}'

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Traffic:
    """Files of requests, each with how many of its lines are pages."""

    empty: Path
    placement: Path
    page_warm: Path
    page_quiet: Path
    page_new_user: Path
    n_new_users: int
    n_pages: int
    """Lines of `page_quiet`."""
    page_share: float
    """Share of the lines of `page_warm` that are pages; the others are events."""


def write_traffic(
    folder: Path, n_items: int, n_users: int, *, n_requests: int = 20_000, seed: int = 7
) -> Traffic:
    """Write the files of one size of shop."""
    rng = np.random.default_rng(seed)
    users = _zipf_users(rng, n_users, n_requests)
    warm = list(_with_events(rng, users, n_items))
    # A file is read in turns, so no shopper of it may come twice.
    fresh = [_page(user_id(user), user) for user in rng.permutation(n_users)]
    return Traffic(
        empty=_write(folder / "empty.txt", [EMPTY_LINE] * 100),
        placement=_write(folder / "placement.txt", [_placement(user) for user in users]),
        page_warm=_write(folder / "page_warm.txt", warm),
        page_quiet=_write(folder / "page_quiet.txt", [_page(user_id(u), u) for u in users]),
        page_new_user=_write(folder / "page_new_user.txt", fresh),
        n_new_users=len(fresh),
        n_pages=n_requests,
        page_share=n_requests / len(warm),
    )


def _zipf_users(rng: np.random.Generator, n_users: int, n: int) -> list[int]:
    """Draw shoppers by a Zipf law; numbers from `n_users` on are unknown to the model."""
    bounds = np.cumsum(1 / np.arange(1, n_users + 1) ** ZIPF_EXPONENT)
    ranks = np.searchsorted(bounds, rng.random(n) * bounds[-1])
    unknown = rng.random(n) < UNKNOWN_SHARE
    numbers: list[int] = np.where(unknown, ranks + n_users, ranks).tolist()
    return numbers


def _with_events(rng: np.random.Generator, users: Iterable[int], n_items: int) -> Iterator[str]:
    for user in users:
        if rng.random() < ACTING_SHARE:
            item = int(rng.integers(n_items))
            yield _event(user_id(user), item_id(item))
        yield _page(user_id(user), user)


def _event(user: str, item: str) -> str:
    body = {"event_id": EVENT_ID, "event": "view", "user_id": user, "item_id": item}
    return f"POST /v1/events {_encode(body).decode()}"


def _page(user: str, number: int) -> str:
    body = {
        "user": {"user_id": user, "anonymous_id": f"device-{user}", "session_id": f"s-{user}"},
        "context": {"channel": "web", "platform": "ios", "country": COUNTRIES[number % 4]},
        "placements": [{"id": "home_hero"}, {"id": "home_recs", "count": 12}],
    }
    return f"POST /v1/serve {_encode(body).decode()}"


def _placement(number: int) -> str:
    user, country = user_id(number), COUNTRIES[number % 4]
    query = f"user_id={user}&anonymous_id=device-{user}&country={country}"
    return f"GET /v1/placements/home_recs?{query} "


def _write(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path
