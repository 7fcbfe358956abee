"""From a decoded request to the bytes of a page; the exposures go to the queue on the way."""

from __future__ import annotations

from time import sleep as give_way

import msgspec

from service.exposure import Exposure
from service.intake.robots import is_robot
from service.middleware.access import Headers
from service.protocol.sender import Sender, user_agent_of
from service.serve.page import Page
from service.serve.request import ServeRequest
from service.services import Services
from service.telemetry.stages import Stopwatch

_encode = msgspec.json.Encoder().encode


ROBOT = "ROBOT"
"""The reason of an exposure to a crawler, of a rollout or not: nothing that learns counts it."""

GIVE_WAY_S = 0.0001
"""How long a page lets the thread that stores exposures work, once half of what may wait does."""


async def answer_page(
    services: Services, asked: ServeRequest, watch: Stopwatch, headers: Headers = ()
) -> bytes:
    """Decide a page, encode it, queue its exposures and count it.

    `watch` has ended the stage of decoding. A crawler gets what a visitor would, and its exposures
    are stored as its own.

    Raises
    ------
    NotFoundError
        If no placement of the request is configured.
    """
    page, exposures = await services.engine.serve(asked, watch, as_text=True)
    return _write(services, page, exposures, watch, is_robot(user_agent_of(headers)))


def answer_page_at_once(
    services: Services, asked: ServeRequest, watch: Stopwatch, sender: Sender
) -> bytes | None:
    """Do what `answer_page` does, or nothing if it would have to wait.

    Raises
    ------
    NotFoundError
        If no placement of the request is configured.
    """
    found = services.engine.serve_at_once(asked, watch)
    return None if found is None else _write(services, *found, watch, sender.is_robot)


def _write(
    services: Services,
    page: Page,
    exposures: list[Exposure],
    watch: Stopwatch,
    by_robot: bool,
) -> bytes:
    body = _encode(page)
    if by_robot:
        exposures = [msgspec.structs.replace(exposure, reason=ROBOT) for exposure in exposures]
    queue = services.intake.exposures
    queue.put_all(exposures)
    if queue.is_crowded:  # else the event loop would have the interpreter to itself, and rows drop
        give_way(GIVE_WAY_S)
    watch.lap()
    services.metrics.count_page(exposures, watch)
    if len(exposures) < len(page.placements):
        services.metrics.count_unknown(
            [one.id for one in page.placements if one.degraded == "not_configured"]
        )
    return body
