"""The app that times every request, those too that match no route."""

from __future__ import annotations

from asyncio import BaseTransport
from time import perf_counter
from typing import Any, cast

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import HTTPScope, Receive, Scope, Send
from litestar.types.asgi_types import LifeSpanReceive, LifeSpanScope, LifeSpanSend
from prometheus_client import Histogram

from service.middleware.encoded_slashes import hold_slashes
from service.middleware.framework_memory import forget_requests
from service.middleware.head_requests import as_get, takes_head, without_body
from service.middleware.patience import PatientReceive, SlowBodyError
from service.protocol.event_protocol import Done
from service.protocol.known_heads import KnownHeads, Request
from service.protocol.page_protocol import Answer
from service.protocol.sender import Sender, read_sender
from service.protocol.spare_descriptors import SpareDescriptors
from service.routes.event_shortcut import EventShortcut
from service.routes.shortcut import PageShortcut
from service.routes.verdicts import note_failure
from service.telemetry.metrics import Metrics

UNMATCHED = "unmatched"
CLIENT_LEFT = 499


class MeasuredApp(Litestar):
    """A Litestar app with a histogram by method, route and status, and a shorter way to a page."""

    def measure_with(self, metrics: Metrics) -> None:
        """Count from now on, and remember nothing of before; it is called before each start."""
        self._metrics = metrics
        self._requests = metrics.requests
        self._series: dict[tuple[str, str, int], Histogram] = {}
        self.heads = KnownHeads()
        self._descriptors = SpareDescriptors(metrics.connections_refused.inc)
        has_cors = self.cors_config is not None
        self._shortcut = PageShortcut(self, has_cors=has_cors)
        self._events = EventShortcut(self, has_cors=has_cors)
        self._short_ways: dict[str, PageShortcut | EventShortcut] = {
            one.path: one for one in (self._shortcut, self._events)
        }

    def refuses(self, transport: BaseTransport) -> bool:
        """Say whether a new connection has to go; `PageProtocol` asks."""
        return self._descriptors.refuses(transport)

    def read_sender(self, headers: list[tuple[bytes, bytes]]) -> Sender:
        """Read what answering wants to know of the headers; `PageProtocol` asks."""
        return read_sender(headers)

    def answer_at_once(self, request: Request) -> tuple[bytes, bytes] | None:
        """Return headers and body of a page that needs no waiting; `PageProtocol` asks."""
        begin = perf_counter()
        found = self._shortcut.at_once(request)
        if found is None:
            return None
        self._metrics.count_request(found.method, found.route, 200, perf_counter() - begin)
        return found.lines, found.body

    def knows_events(self, request: Request) -> bool:
        """Say whether `begin_events` may take in a request with this head; see there."""
        return self._events.knows(request)

    def begin_events(self, request: Request, done: Done) -> bool:
        """Take in events; `EventProtocol` asks, and is `done` when they are on disk."""
        begin = perf_counter()

        def count(answer: Answer | None, failure: BaseException | None) -> None:
            if answer is not None:
                seconds = perf_counter() - begin
                self._metrics.count_request(
                    "POST", EventShortcut.path, EventShortcut.status, seconds
                )
            done(answer, failure)

        return self._events.begin(request, count)

    def note_failure(self, scope: HTTPScope, failure: BaseException) -> None:
        """Have the route of events say why they were not stored, instead of trying again."""
        note_failure(scope, failure)

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        """Answer one request and observe how long it took; a client that left counts as 499."""
        if scope["type"] != ScopeType.HTTP:
            await super().__call__(scope, receive, send)
            return
        begin = perf_counter()
        receive = cast("Receive", PatientReceive(cast("Receive", receive), perf_counter))
        http = cast("HTTPScope", scope)  # its type says so, which mypy does not follow
        short_way = self._short_ways.get(http["path"])
        if short_way is not None and http["method"] == "POST":
            left = await _take(short_way, http, receive, cast("Send", send))
            if left is None:
                seconds = perf_counter() - begin
                self._metrics.count_request("POST", short_way.path, short_way.status, seconds)
                return
            receive = left
        status = CLIENT_LEFT

        async def noting_status(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        answered, answer = hold_slashes(http), cast("Send", noting_status)
        if http["method"] == "HEAD" and takes_head(http["path"]):
            answered, answer = as_get(answered), without_body(answer)
        try:
            await super().__call__(answered, receive, answer)
        finally:
            forget_requests(self)
            route = str(answered.get("path_template") or UNMATCHED)
            method = str(scope.get("method"))
            self._observe((method, route, status), perf_counter() - begin)

    def _observe(self, labels: tuple[str, str, int], seconds: float) -> None:
        self._metrics.pages.count(*labels, seconds)
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = self._requests.labels(*map(str, labels))
        series.observe(seconds)


async def _take(
    short_way: PageShortcut | EventShortcut, http: HTTPScope, receive: Receive, send: Send
) -> Receive | None:
    try:
        return await short_way.take(http, receive, send)
    except SlowBodyError:
        return receive  # which says so again, where it becomes an answer
