"""What a page is measured against: an empty typed Litestar handler under the same server settings.

It decodes a small JSON body and answers 200 bytes. Run as a program it serves until SIGTERM.
"""

from __future__ import annotations

import socket
import sys

import msgspec
import uvicorn
from litestar import Litestar, post

from service.run import server_config
from service.settings import Settings

ANSWER_BYTES = 200


class Asked(msgspec.Struct):
    """A small body."""

    user_id: str
    count: int


class Answer(msgspec.Struct):
    """An answer of `ANSWER_BYTES`."""

    user_id: str
    filling: str


_FILLING = "x" * (ANSWER_BYTES - len('{"user_id":"shopper-00000001","filling":""}'))


@post("/empty", status_code=200)
async def empty(data: Asked) -> Answer:
    """Answer without doing anything."""
    return Answer(data.user_id, _FILLING)


def make_app() -> Litestar:
    """Make the app as a beginner would."""
    return Litestar([empty], logging_config=None)


def main() -> None:
    """Listen on a free port, print it, serve."""
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = server_config(Settings(), "tests.benchmarks.serve.empty:make_app")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
