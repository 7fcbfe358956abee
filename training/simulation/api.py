"""The service as a shop's frontend sees it: typed calls over HTTP, each one timed and counted.

The structs name only what a shopper's page reads, so a new field of an answer breaks nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import httpx
import msgspec

from training.simulation.counters import Counters

Body = dict[str, Any]
"""A JSON object on its way out."""


class ServedRollout(msgspec.Struct, frozen=True):
    """Which arm a slate was served in."""

    key: str
    variant: str
    reason: str
    epoch: int


class Served(msgspec.Struct, frozen=True):
    """One position of a slate."""

    id: str


class Slate(msgspec.Struct, frozen=True):
    """A filled placement."""

    id: str
    kind: Literal["items", "banners"]
    exposure_id: str
    tier: str
    degraded: str | None = None
    rollout: ServedRollout | None = None
    items: tuple[Served, ...] = ()
    banners: tuple[Served, ...] = ()

    @property
    def shown_ids(self) -> list[str]:
        """Ids in their order, of items or banners."""
        return [one.id for one in (*self.items, *self.banners)]


class Page(msgspec.Struct, frozen=True):
    """The answer to a page."""

    model_version: str | None
    placements: tuple[Slate, ...]

    def slate(self, placement_id: str) -> Slate | None:
        """Find one placement's slate."""
        return next((slate for slate in self.placements if slate.id == placement_id), None)


class Verdicts(msgspec.Struct, frozen=True):
    """The answer to a batch of events: how many became what."""

    accepted: int
    duplicate: int
    rejected: int


_PAGE = msgspec.json.Decoder(Page)
_VERDICTS = msgspec.json.Decoder(Verdicts)
_FAILED = "no answer"


class Storefront:
    """What shoppers call, under a publishable key. A failed call is counted, never repeated.

    There is a client for every visit that may go on at one time: a client of httpx looks through
    all its connections for each call, so one that holds many spends its time on that.
    """

    def __init__(
        self,
        clients: list[httpx.AsyncClient],
        counters: Counters,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._idle = clients
        self._counters = counters
        self._timer = timer

    async def serve(self, body: Body) -> Page | None:
        """Ask for a page; nothing where the call failed."""
        answer = await self._post("/v1/serve", msgspec.json.encode(body), "serve")
        if answer is None:
            return None
        page = _PAGE.decode(answer)
        self._counters.count_page(page.model_version, [slate.tier for slate in page.placements])
        return page

    async def send(self, events: list[Body]) -> None:
        """Report what happened on a page in one batch."""
        answer = await self._post("/v1/events", msgspec.json.encode(events), "events")
        if answer is not None:
            self._counters.verdicts.update(msgspec.structs.asdict(_VERDICTS.decode(answer)))

    async def _post(self, path: str, body: bytes, name: str) -> bytes | None:
        client = self._idle.pop()
        begin = self._timer()
        try:
            response = await client.post(
                path, content=body, headers={"content-type": "application/json"}
            )
        except httpx.HTTPError as error:
            self._counters.count_error(name, f"{_FAILED}: {type(error).__name__}")
            return None
        finally:
            self._idle.append(client)
        self._counters.count_call(name, (self._timer() - begin) * 1000.0)
        if response.is_error:
            self._counters.count_error(name, str(response.status_code), response.text[:300])
            return None
        return response.content
