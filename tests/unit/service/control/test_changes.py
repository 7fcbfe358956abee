"""The stream of changes: what is sent when, to how many, and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from models.errors import CapacityError
from service.control.changes import ChangeHub, revision_of
from service.control.configuration import Configuration
from service.control.tickets import DAY_MS, Tickets
from service.rollouts.definition import Rollout

START = datetime(2026, 1, 15, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)


class World:
    """A configuration and a clock that are set by hand."""

    def __init__(self) -> None:
        self.configuration = Configuration.compile(3, [], flags_revision=3)
        self.now_ms = START_MS - 1
        self.hub = ChangeHub(lambda: self.configuration, lambda: self.now_ms, max_clients=2)

    def change(self, revision: int, *rollouts: Rollout) -> None:
        """Put another configuration in effect."""
        self.configuration = Configuration.compile(revision, rollouts, flags_revision=revision)
        self.hub.wake()


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test in an event loop of its own."""
    asyncio.run(work)


async def next_event(stream: AsyncIterator[bytes]) -> dict[str, Any]:
    """Read one event; fail rather than wait for the keep-alive."""
    async with asyncio.timeout(5):
        text = (await anext(stream)).decode()
    event_id, data = text.removesuffix("\n\n").split("\n")
    decoded: dict[str, Any] = msgspec.json.decode(data.removeprefix("data: "))
    return {"id": event_id.removeprefix("id: "), **decoded}


async def opened(hub: ChangeHub, last_event_id: str | None = None) -> AsyncIterator[bytes]:
    """Open a stream and read its greeting."""
    stream = hub.open_stream(last_event_id)
    greeting = (await anext(stream)).decode()
    assert greeting.startswith("retry: ")
    return stream


def test_stream_begins_with_the_state() -> None:
    """Whoever connects is told once to fetch, with the tag and the time in seconds."""

    async def work() -> None:
        stream = await opened(World().hub)
        assert await next_event(stream) == {
            "id": "3-0",
            "type": "refetchEvaluation",
            "etag": "3-0",
            "lastModified": (START_MS - 1) // 1000,
        }

    run(work())


def test_stream_sends_each_change_once() -> None:
    """A change wakes every client; a wake without a change sends nothing."""

    async def work() -> None:
        world = World()
        streams = [await opened(world.hub, "3-0") for _ in range(2)]
        waiting = [asyncio.ensure_future(next_event(stream)) for stream in streams]
        await asyncio.sleep(0)
        world.hub.wake()
        await asyncio.sleep(0)
        assert not any(one.done() for one in waiting)
        world.change(4)
        assert [(await one)["id"] for one in waiting] == ["4-0", "4-0"]

    run(work())


def test_stream_goes_on_where_the_client_was() -> None:
    """A client that comes back after a change is told at once; one that missed nothing waits."""

    async def work() -> None:
        world = World()
        world.change(4)
        behind = await opened(world.hub, "3-0")
        assert (await next_event(behind))["id"] == "4-0"
        level = await opened(world.hub, "4-0")
        waiting = asyncio.ensure_future(next_event(level))
        await asyncio.sleep(0)
        assert not waiting.done()
        world.change(5)
        assert (await waiting)["id"] == "5-0"

    run(work())


def test_schedule_that_begins_is_a_change() -> None:
    """The start of a rollout, or a time in an audience, tells clients without any edit."""

    async def work() -> None:
        world = World()
        audience = {"op": "before", "at": datetime.fromtimestamp(START_MS / 1000 + 60, UTC)}
        fields = {"key": "r", "share": 1, "starts_at": START, "audience": audience}
        world.change(4, msgspec.convert(fields, Rollout))
        stream = await opened(world.hub, "4-0")
        for now_ms in (START_MS, START_MS + 60_000):
            waiting = asyncio.ensure_future(next_event(stream))
            await asyncio.sleep(0)
            world.now_ms = now_ms
            world.hub.wake()
            assert (await waiting)["id"] == f"4-{now_ms}"

    run(work())


def test_stream_of_too_many_clients_is_refused() -> None:
    """A worker has so many streams and no more; a client that leaves makes room."""

    async def work() -> None:
        hub = World().hub
        streams = [await opened(hub) for _ in range(2)]
        with pytest.raises(CapacityError, match="at most 2 do"):
            hub.open_stream(None)
        unread = World().hub
        unread.open_stream(None)
        assert unread.n_clients == 0
        await streams[0].aclose()  # type: ignore[attr-defined]  # it is a generator
        assert hub.n_clients == 1
        await opened(hub)

    run(work())


def test_streams_end_when_the_worker_stops() -> None:
    """Closing ends every stream that waits, and opens no other."""

    async def work() -> None:
        hub = World().hub
        stream = await opened(hub, hub.newest())
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        hub.close()
        with pytest.raises(StopAsyncIteration):
            await waiting
        assert hub.n_clients == 0
        with pytest.raises(CapacityError):
            hub.open_stream(None)

    run(work())


@pytest.mark.parametrize(
    ("event_id", "revision"),
    [("17-0", 17), ("17", 17), ("", 0), ("x-1", 0), ("²-1", 0), ("-5", 0), ("9" * 30, 0)],
)
def test_revision_is_read_out_of_an_event(event_id: str, revision: int) -> None:
    """What clients send back may be anything."""
    assert revision_of(event_id) == revision


def test_ticket_opens_until_the_next_day_is_over() -> None:
    """A ticket is the same all day, good for that day and the next, and for no other key."""
    tickets, other = Tickets(b"s" * 32), Tickets(b"t" * 32)
    ticket = tickets.issue("key_1", 5 * DAY_MS)
    assert ticket == tickets.issue("key_1", 6 * DAY_MS - 1)
    assert tickets.check(ticket, 7 * DAY_MS - 1) == "key_1"
    assert tickets.check(ticket, 7 * DAY_MS) is None
    assert other.check(ticket, 5 * DAY_MS) is None
    for forged in (
        "",
        "a.b",
        ticket.replace("key_1", "key_2"),
        ticket.replace(".6.", ".9."),
        "a.²." + "0" * 32,
    ):
        assert tickets.check(forged, 5 * DAY_MS) is None
