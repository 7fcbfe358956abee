"""Requests with a head that was read before: whatever is sent, the answer is what it always was."""

import asyncio
import random

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.protocol.event_protocol import EventProtocol
from service.protocol.known_heads import MAX_HEAD_BYTES, MAX_HEADS, KnownHeads, Request
from service.protocol.sender import Sender
from tests.unit.service.protocol.connections import EchoApp, connect

HEAD = b"POST /v1/serve HTTP/1.1\r\nHost: shop\r\nX-API-Key: k\r\nContent-Length: 4\r\n\r\n"
PAGE = HEAD + b"body"
SLOT = b"GET /v1/placements/recs?user_id=a HTTP/1.1\r\nHost: shop\r\nX-API-Key: k\r\n\r\n"

NOBODY = Sender(None, is_robot=False, has_origin=False, user_agent=None)

EVENT_HEAD = HEAD.replace(b"serve", b"events")
EVENT = EVENT_HEAD + b"body"


def _with(*lines: bytes, body: bytes = b"body") -> bytes:
    """Write a page with other headers behind its key."""
    return b"\r\n".join([b"POST /v1/serve HTTP/1.1", b"X-API-Key: k", *lines, b"", b""]) + body


ODD = {
    "the same": PAGE,
    "another body": HEAD + b"else",
    "has to wait": HEAD + b"wait",
    "two in one read": PAGE + PAGE,
    "three, one has to wait": PAGE + HEAD + b"wait" + PAGE,
    "two and a half": PAGE + SLOT + PAGE[:40],
    "body too short": HEAD + b"bo",
    "body too long": HEAD + b"body and more",
    "lines before it": b"\r\n\r\n" + PAGE,
    "lines behind it": PAGE + b"\r\n\r\n",
    "a line between": PAGE + b"\r\n" + PAGE,
    "slot": SLOT,
    "another slot": SLOT.replace(b"recs", b"hero"),
    "slot with a body": SLOT.replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\nbody"),
    "slot without a body, which it says": SLOT.replace(
        b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"
    ),
    "space in the address": SLOT.replace(b"recs", b"re cs"),
    "tab in the address": SLOT.replace(b"recs", b"re\tcs"),
    "fragment": SLOT.replace(b"=a", b"=a#b"),
    "other script in the address": SLOT.replace(b"recs", "réc".encode()),
    "zero in the address": SLOT.replace(b"recs", b"re\0cs"),
    "no query behind the mark": SLOT.replace(b"?user_id=a", b"?"),
    "absolute address": PAGE.replace(b"POST /v1", b"POST http://shop/v1"),
    "absolute address of a slot": SLOT.replace(b"GET /v1", b"GET http://shop/v1"),
    "a query": PAGE.replace(b"serve", b"serve?a=b"),
    "longer path": PAGE.replace(b"serve", b"served"),
    "another method": PAGE.replace(b"POST", b"PUT"),
    "small letters": PAGE.replace(b"POST", b"post"),
    "no method": PAGE.replace(b"POST ", b""),
    "two spaces": PAGE.replace(b"POST ", b"POST  "),
    "head of a slot": SLOT.replace(b"GET", b"HEAD"),
    "old": PAGE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "old, kept": PAGE.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nConnection: keep-alive\r\n"),
    "new": PAGE.replace(b"HTTP/1.1", b"HTTP/2.0"),
    "no protocol": PAGE.replace(b" HTTP/1.1", b""),
    "last": _with(b"Content-Length: 4", b"Connection: close"),
    "last, and more": _with(b"Content-Length: 4", b"Connection: close") + PAGE,
    "kept": _with(b"Content-Length: 4", b"Connection: keep-alive"),
    "no length": _with(),
    "no length and no body": _with(body=b""),
    "length twice": _with(b"Content-Length: 4", b"Content-Length: 4"),
    "two lengths": _with(b"Content-Length: 4", b"Content-Length: 5"),
    "lengths in a list": _with(b"Content-Length: 4, 4"),
    "length with a sign": _with(b"Content-Length: +4"),
    "length with zeros": _with(b"Content-Length: 0004"),
    "length with a space": _with(b"Content-Length : 4"),
    "length below zero": _with(b"Content-Length: -4"),
    "length with a tab": _with(b"Content-Length:\t4\t"),
    "chunks": _with(b"Transfer-Encoding: chunked", body=b"4\r\nbody\r\n0\r\n\r\n"),
    "chunks and a length": _with(
        b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"4\r\nbody\r\n0\r\n\r\n"
    ),
    "no chunks and a length": _with(b"Content-Length: 4", b"Transfer-Encoding: identity"),
    "chunks that are a page": _with(
        b"Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(PAGE), PAGE)
    ),
    "page in a body": _with(b"Content-Length: %d" % len(PAGE), body=PAGE),
    "end of a head in a body": _with(b"Content-Length: 8", body=b"\r\n\r\nbody"),
    "asks first": _with(b"Content-Length: 4", b"Expect: 100-continue"),
    "upgrade": _with(b"Content-Length: 4", b"Connection: Upgrade", b"Upgrade: websocket"),
    "upgrade of the protocol": _with(b"Content-Length: 4", b"Connection: Upgrade", b"Upgrade: h2c"),
    "folded line": _with(b"A: b\r\n c", b"Content-Length: 4"),
    "line without a colon": _with(b"A", b"Content-Length: 4"),
    "zero in a header": _with(b"A: b\0c", b"Content-Length: 4"),
    "line feeds alone": PAGE.replace(b"\r\n", b"\n"),
    "line feeds at the end of the head": PAGE.replace(b"4\r\n\r\n", b"4\n\n"),
    "line feed and all": PAGE.replace(b"4\r\n\r\n", b"4\n\r\n"),
    "robot": _with(b"Content-Length: 4", b"User-Agent: Googlebot"),
    "origin": _with(b"Content-Length: 4", b"Origin: https://shop.example"),
    "another route": PAGE.replace(b"serve", b"track"),
    "events": EVENT,
    "other events": EVENT_HEAD + b"else",
    "events that are not stored": EVENT_HEAD + b"fail",
    "events that are not ordinary": EVENT_HEAD + b"wait",
    "events twice in one read": EVENT + EVENT,
    "a page behind events": EVENT + PAGE,
    "events behind a page": PAGE + EVENT,
    "events, and lines behind": EVENT + b"\r\n",
    "last events": EVENT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    "events of other bytes": EVENT.replace(b": 4", b": 5") + b"!",
    "events with a query": EVENT.replace(b"events", b"events?a=b"),
    "events by another method": EVENT.replace(b"POST", b"PUT"),
    "garbage": b"\0\1\2garbage\r\n\r\n",
    "nothing but lines": b"\r\n\r\n\r\n",
}


class Forgetful(KnownHeads):
    """Knows no head, so that every request goes through the parser."""

    def read(self, data: bytes) -> Request | None:
        """Read nothing."""
        return None


async def _check(app: EchoApp, *parts: bytes) -> None:
    """Send the same to three protocols, one of which knows heads that `app` has met."""
    known = await connect(EventProtocol, app, parts)
    parsed = await connect(EventProtocol, EchoApp(heads=Forgetful()), parts)
    assert known == parsed, parts
    usual = await connect(HttpToolsProtocol, app, parts)
    if b"400 Bad Request" in usual.written:
        # uvicorn forgets a right request in front of a wrong one in the same read.
        assert (parsed.is_closed, b"400 Bad Request" in parsed.written) == (True, True), parts
    else:
        assert known == usual, parts


@pytest.mark.parametrize("request_", ODD.values(), ids=ODD.keys())
def test_answer_is_that_of_uvicorn_wherever_a_request_is_cut(request_: bytes) -> None:
    """Alone, behind a known one, and cut at each place, when its own head has been met before."""

    async def run() -> None:
        app = EchoApp()
        for _ in range(2):
            await _check(app, PAGE, SLOT, EVENT, request_)
        await _check(app, request_, request_, PAGE)
        for cut in range(1, len(request_)):
            await _check(app, PAGE, request_[:cut], request_[cut:], SLOT)

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(4))
def test_answer_is_that_of_uvicorn_whatever_byte_is_wrong(seed: int) -> None:
    """Bytes are put in, left out and changed in known requests, by chance."""
    rng = random.Random(seed)
    telling = b"\r\n \t:;,?#%/\0\x7f\xff0149aZ-"

    def spoil(request: bytes) -> bytes:
        place, keep = rng.randrange(len(request)), rng.random() < 0.5
        put = bytes(rng.choices(telling, k=rng.randrange(3)))
        return request[:place] + put + request[place + (not keep) :]

    async def run() -> None:
        app = EchoApp()
        await connect(EventProtocol, app, [PAGE, SLOT, EVENT])
        sent = PAGE, SLOT, EVENT, PAGE + PAGE, SLOT + PAGE, EVENT + PAGE
        for _ in range(150):
            spoilt = spoil(rng.choice(sent))
            for _ in range(2):  # the second time its own head may be known
                await _check(app, PAGE, spoilt, PAGE)

    asyncio.run(run())


def test_known_head_needs_no_parser() -> None:
    """The second page and the second slot are read without it, on whatever connection."""

    async def run() -> None:
        app = EchoApp()
        first = await connect(EventProtocol, app, [PAGE, SLOT])
        begun: list[bytes] = []

        class Watched(EventProtocol):
            def on_message_begin(self) -> None:
                begun.append(b"")
                super().on_message_begin()

        parts = [HEAD + b"else", SLOT.replace(b"recs?user_id=a", b"hero")]
        second = await connect(Watched, app, parts)
        assert begun == []
        assert (first.n_answered, second.n_answered) == (2, 2)
        assert [(one.target, one.body) for one in app.at_once[2:]] == [
            (b"/v1/serve", b"else"),
            (b"/v1/placements/hero", b""),
        ]

    asyncio.run(run())


def test_who_has_to_wait_is_asked_once() -> None:
    """A known head does not make the app work out twice that it cannot answer."""

    async def run() -> None:
        asked: list[Request] = []

        class Counting(EchoApp):
            def answer_at_once(self, request: Request) -> tuple[bytes, bytes] | None:
                asked.append(request)
                return super().answer_at_once(request)

        await connect(EventProtocol, Counting(), [PAGE, HEAD + b"wait", PAGE])
        assert [one.body for one in asked] == [b"body", b"wait", b"body"]

    asyncio.run(run())


def test_memory_of_heads_is_bounded() -> None:
    """Heads that never come again push the others out, and a long one is not kept."""
    heads = KnownHeads()

    def keep(line: bytes) -> bytes:
        data = _with(line, b"Content-Length: 4")
        heads.keep(data, Request(b"POST", b"/v1/serve", NOBODY, b"body"))
        return data

    for number in range(MAX_HEADS + 3):
        newest = keep(b"Traceparent: %d" % number)
        assert heads.read(newest) == Request(b"POST", b"/v1/serve", NOBODY, b"body")
    assert len(heads) == 3
    assert heads.read(keep(b"Cookie: " + b"x" * MAX_HEAD_BYTES)) is None


def test_idle_connection_is_closed_when_nothing_comes_for_so_long() -> None:
    """Its timer runs from the last answer, though it is not set anew for each."""

    async def run() -> None:
        closed: list[tuple[float, bool]] = []

        class Idle(EventProtocol):
            def timeout_keep_alive_handler(self) -> None:
                now_s = self.loop.time()
                super().timeout_keep_alive_handler()
                closed.append((now_s - self._answered_s, self.transport.is_closing()))

        app = EchoApp()
        await connect(Idle, app, [PAGE])
        protocols: list[Idle] = []

        class Kept(Idle):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                protocols.append(self)
                super().connection_made(transport)  # type: ignore[arg-type]  # as uvicorn has it

            def connection_lost(self, exc: Exception | None) -> None:
                """Stay."""

        await connect(Kept, app, [PAGE])
        protocol = protocols[0]
        assert protocol.timeout_keep_alive_task is not None
        protocol.timeout_keep_alive_handler()
        assert not protocol.transport.is_closing()
        protocol._answered_s -= protocol.timeout_keep_alive
        protocol.timeout_keep_alive_handler()
        assert protocol.transport.is_closing()
        assert [is_closed for _, is_closed in closed] == [False, True]
        protocol._unset_keepalive_if_required()

    asyncio.run(run())
