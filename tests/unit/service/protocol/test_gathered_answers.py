"""Answers of one turn of the event loop are written together, in their order."""

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.protocol.event_protocol import EventProtocol
from service.protocol.gathered_answers import GatheredAnswers, gathered_answers
from tests.unit.service.protocol.connections import EchoApp, Transport, connect

HEAD = b"POST /v1/serve HTTP/1.1\r\nHost: shop\r\nX-API-Key: k\r\nContent-Length: 4\r\n\r\n"
PAGE = HEAD + b"body"
OTHER = PAGE.replace(b"/v1/serve", b"/v1/other")


class Noted(Transport):
    """Notes what is written to any of them, one after the other."""

    def __init__(self, name: str, noted: list[tuple[str, bytes]]) -> None:
        super().__init__()
        self._name, self._noted = name, noted

    def write(self, data: Any) -> None:
        """Note it, if it is still open."""
        super().write(data)
        if not self.is_closed:
            self._noted.append((self._name, data))


def gather(
    act: Callable[[GatheredAnswers, list[Noted], list[tuple[str, bytes]]], None],
    now_s: list[float] | None = None,
) -> list[tuple[str, bytes]]:
    """Let three connections be written to in one turn; return what was written after the next."""
    noted: list[tuple[str, bytes]] = []
    clock = now_s or [0.0]

    async def run() -> None:
        answers = GatheredAnswers(lambda: clock[0])
        act(answers, [Noted(name, noted) for name in "abc"], noted)
        await asyncio.sleep(0)

    asyncio.run(run())
    return noted


def test_first_answer_is_written_at_once_and_the_others_at_the_end_of_the_turn() -> None:
    """Who comes alone waits for nobody."""

    def act(answers: GatheredAnswers, ways: list[Noted], noted: list[tuple[str, bytes]]) -> None:
        for way, data in zip(ways, (b"1", b"2", b"3"), strict=True):
            answers.write(way, data)
        assert noted == [("a", b"1")]

    assert gather(act) == [("a", b"1"), ("b", b"2"), ("c", b"3")]


def test_no_answer_waits_for_long() -> None:
    """One that comes late in a turn takes all before it along; then it begins anew."""
    now_s = [5.0]

    def act(answers: GatheredAnswers, ways: list[Noted], noted: list[tuple[str, bytes]]) -> None:
        answers.write(ways[0], b"1")
        now_s[0] += 0.0009
        answers.write(ways[1], b"2")
        assert len(noted) == 1
        now_s[0] += 0.0002
        answers.write(ways[2], b"3")
        assert len(noted) == 3
        answers.write(ways[0], b"4")
        assert len(noted) == 3

    assert [data for _, data in gather(act, now_s)] == [b"1", b"2", b"3", b"4"]


def test_who_went_away_gets_nothing_and_the_others_theirs() -> None:
    """A connection may close between its answer and the end of the turn."""

    def act(answers: GatheredAnswers, ways: list[Noted], _: list[tuple[str, bytes]]) -> None:
        for way in ways:
            answers.write(way, b"1")
        ways[1].close()

    assert gather(act) == [("a", b"1"), ("c", b"1")]


def test_each_turn_begins_anew() -> None:
    """The first answer of the next one is written at once, too."""
    noted: list[tuple[str, bytes]] = []

    async def run() -> None:
        answers, way = GatheredAnswers(), Noted("a", noted)
        for n in range(1, 4):
            answers.write(way, b"1")
            assert len(noted) == n
            await asyncio.sleep(0)

    asyncio.run(run())


def test_event_loop_that_is_gone_is_not_kept() -> None:
    """What it gathered goes with it."""
    loop, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    assert gathered_answers(loop) is gathered_answers(loop)
    assert gathered_answers(loop) is not gathered_answers(other)
    kept = weakref.ref(loop)
    loop.close()
    other.close()
    del loop
    assert kept() is None


def _end(protocol: EventProtocol) -> None:
    protocol.eof_received()
    protocol.transport.close()  # as the transport does then


@pytest.mark.parametrize(
    "then",
    [
        lambda protocol: protocol.shutdown(),
        _end,
        lambda protocol: protocol.data_received(b"nonsense\r\n\r\n"),
    ],
    ids=["the server stops", "the client has sent all", "the client sends nonsense"],
)
def test_answer_that_waits_is_written_before_the_connection_closes(
    then: Callable[[EventProtocol], None],
) -> None:
    """In the turn in which it was made, whatever ends the connection."""
    app = EchoApp()
    written = _second_of_two(app, then)
    assert written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"body" in written


@pytest.mark.parametrize("behind", [[OTHER], [PAGE, OTHER], [PAGE + PAGE, OTHER, PAGE]])
def test_answers_of_one_connection_stay_in_order(behind: list[bytes]) -> None:
    """Those that need no parser, those that do, and those that need a task."""
    app = EchoApp()

    def then(protocol: EventProtocol) -> None:
        for part in behind:
            protocol.data_received(part)

    written = _second_of_two(app, then)
    usual = asyncio.run(connect(EventProtocol, EchoApp(), [PAGE, *behind], turns=40))
    assert written == usual.written
    assert written.count(b"HTTP/1.1 200 OK") == 1 + b"".join(behind).count(b"POST ")


def _second_of_two(app: EchoApp, then: Callable[[EventProtocol], None]) -> bytes:
    """Answer a page on each of two connections in one turn, go on with the second; return its."""

    async def run() -> bytes:
        await connect(EventProtocol, app, [PAGE], turns=12)  # so that the head is known
        config = uvicorn.Config(app, http=EventProtocol, log_config=None, date_header=False)
        config.load()
        transports = Transport(), Transport()
        protocols = []
        for transport in transports:
            protocol = EventProtocol(config=config, server_state=ServerState(), app_state={})
            protocol.connection_made(transport)
            protocols.append(protocol)
        for protocol in protocols:
            protocol.data_received(PAGE)
        assert transports[0].written
        assert not transports[1].written  # it waits for the end of the turn
        then(protocols[1])
        for _ in range(60):
            await asyncio.sleep(0)
        for protocol in protocols:
            protocol.connection_lost(None)
        return transports[1].written

    return asyncio.run(run())
