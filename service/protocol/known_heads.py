"""Heads of requests that were read before: a client sends the same one with every page.

A head is the request line and the headers. One that the parser has read, of a request that was
answered, need not be read again: the same bytes mean the same. The address of a `GET` may differ,
as long as it is made of nothing but letters, digits and the usual signs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:  # it loads far more than the supervisor of workers needs
    from service.protocol.sender import Sender

MAX_HEADS = 512
"""A full memory is emptied; it then takes 1.3 MB."""
MAX_HEAD_BYTES = 2_048

EVENTS = b"/v1/events"
_POSTS = {b"POST %b HTTP/1.1" % target: target for target in (b"/v1/serve", EVENTS)}
_GET = re.compile(rb"GET (/v1/placements/[A-Za-z0-9._~%&=?+:,@!-]*) HTTP/1\.1")
_LINE_END, _HEAD_END = b"\r\n", b"\r\n\r\n"


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request for a page, or one with events, all of it."""

    method: bytes
    target: bytes
    sender: Sender
    body: bytes


class _Rest(NamedTuple):
    """What is known of the head of a method, but for its request line."""

    method: bytes
    n_body: int
    sender: Sender


class KnownHeads:
    """What was read from the heads of requests that were answered."""

    __slots__ = ("_rests",)

    def __init__(self) -> None:
        self._rests: dict[bytes, _Rest] = {}

    def __len__(self) -> int:
        return len(self._rests)

    def read(self, data: bytes) -> Request | None:
        """Read exactly one request with a known head, or nothing if it is anything else."""
        line_end = data.find(_LINE_END)
        head_end = data.find(_HEAD_END, line_end) + len(_HEAD_END)
        rest = self._rests.get(data[line_end:head_end])
        if rest is None or len(data) - head_end != rest.n_body:
            return None
        target = _target_of(rest.method, data[:line_end])
        if target is None:
            return None
        return Request(rest.method, target, rest.sender, data[head_end:])

    def keep(self, data: bytes, request: Request) -> None:
        """Remember the head of what the parser made one whole request of, and nothing else.

        Whatever was written so that it does not begin with the head and end with the body is not
        remembered: lines before the request, a body in chunks, lines behind it.
        """
        line_end = data.find(_LINE_END)
        head_end = data.find(_HEAD_END, line_end) + len(_HEAD_END)
        if (
            head_end <= MAX_HEAD_BYTES
            and data[head_end:] == request.body
            and data[line_end:head_end].endswith(_HEAD_END)
            and _target_of(request.method, data[:line_end]) == request.target
        ):
            if len(self._rests) >= MAX_HEADS:
                self._rests.clear()
            rest = _Rest(request.method, len(request.body), request.sender)
            self._rests[data[line_end:head_end]] = rest


def _target_of(method: bytes, line: bytes) -> bytes | None:
    """Read the address in a request line that is surely right."""
    if method == b"POST":
        return _POSTS.get(line)
    found = _GET.fullmatch(line)
    return None if found is None else found[1]
