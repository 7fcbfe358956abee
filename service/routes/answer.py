"""From a decoded request to the bytes of a page; the exposures go to the queue on the way."""

from __future__ import annotations

import msgspec

from service.serve.request import ServeRequest
from service.serve.stages import Stopwatch
from service.services import Services

_encode = msgspec.json.Encoder().encode


async def answer_page(services: Services, asked: ServeRequest, watch: Stopwatch) -> bytes:
    """Decide a page, encode it, queue its exposures and count it.

    `watch` has ended the stage of decoding.

    Raises
    ------
    NotFoundError
        If a placement is not configured or not enabled.
    """
    page, exposures = await services.engine.serve(asked, watch)
    body = _encode(page)
    services.intake.exposures.put_all(exposures)
    watch.lap()
    services.metrics.count_page(exposures, watch)
    return body
