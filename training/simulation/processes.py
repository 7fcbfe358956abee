"""The other processes of the demo: one server, and `endcap` commands that run to their end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from models.errors import EndcapError

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
_POLL_S = 0.1
_LINE_LIMIT = 1 << 20
# The trainer's linear algebra would take every core, and wait for those that the server has.
_THREADS = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 2) // 2))}
SHARED_STORES = ("ENDCAP_CONTROL_URL", "ENDCAP_EVENTS_URL", "ENDCAP_DATABASE_URL")
"""A demo stays in its home, also on a machine that shares databases with others."""


class DemoError(EndcapError):
    """A part of the demo did not start or failed."""

    code = "demo"


def _command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "endcap", *arguments]


async def run_endcap(
    *arguments: str, on_line: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Run a command with ``--json`` to its end and return the object it prints.

    `on_line` sees each line of its progress.

    Raises
    ------
    DemoError
        If it fails, with the last thing it said.
    """
    process = await asyncio.create_subprocess_exec(
        *_command((*arguments, "--json")),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        limit=_LINE_LIMIT,
        start_new_session=True,
        env={**_THREADS, **os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        output, said = await asyncio.gather(process.stdout.read(), _follow(process.stderr, on_line))
        status = await process.wait()
    finally:
        await _end(process)
    if status != 0:
        why = said.removeprefix("endcap: ") or f"it ended with status {status}"
        raise DemoError(f"'endcap {' '.join(arguments[:2])}' failed: {why}")
    try:
        answer: dict[str, Any] = msgspec.json.decode(output, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise DemoError(
            f"'endcap {' '.join(arguments)} --json' printed {output[:80]!r}, no JSON object"
        ) from error
    return answer


async def _follow(stream: asyncio.StreamReader, on_line: Callable[[str], None] | None) -> str:
    """Read lines to the end and return the last one that says something."""
    last = ""
    async for raw in stream:
        line = raw.decode(errors="replace").strip()
        if any(map(str.isalnum, line)):  # and not the frame that a usage error is drawn in
            last = line.strip("│ ")
            if on_line is not None:
                on_line(line)
    return last


class _KeyInfo(msgspec.Struct, frozen=True):
    scope: str


class NewKey(msgspec.Struct, frozen=True):
    """A key, as it is shown once."""

    key: str
    info: _KeyInfo


class _Announced(msgspec.Struct, frozen=True):
    address: str
    keys: list[NewKey]


@dataclass(slots=True)
class Server:
    """A running `endcap serve`."""

    url: str
    log: Path
    process: Process
    keys: dict[str, str]
    """Keys by scope, which it made because there was none."""

    @property
    def is_running(self) -> bool:
        """Tell whether it still runs."""
        return self.process.returncode is None

    async def stop(self) -> int:
        """Ask it to drain and end, wait for that, and return its exit status."""
        return await _end(self.process)


async def start_server(home: Path, port: int, n_workers: int) -> Server:
    """Start `endcap serve` and wait until it is ready.

    Raises
    ------
    DemoError
        If it ends or is not ready within `READY_WITHIN_S`; its log says why.
    """
    log = home / "serve.log"
    where = ("--home", str(home), "--port", str(port), "--workers", str(n_workers))
    arguments = ("serve", *where, "--storefront")
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            *_command((*arguments, "--json")),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=sink,
            env={name: value for name, value in os.environ.items() if name not in SHARED_STORES},
            # Ctrl-C goes to the demo alone, which then lets the server drain.
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            announced = await _read_announcement(process, log)
            keys = {made.info.scope: made.key for made in announced.keys}
            server = Server(announced.address, log, process, keys)
            await _ready(server)
    except TimeoutError as error:
        await _end(process)
        raise DemoError(f"the server was not ready in {READY_WITHIN_S:.0f} s; see {log}") from error
    except BaseException:
        await _end(process)
        raise
    return server


async def _read_announcement(process: Process, log: Path) -> _Announced:
    """Read the one line it prints: where it listens, and the first keys."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        await process.wait()
        raise DemoError(f"the server did not start: {_last_line(log)}; see {log}")
    return msgspec.json.decode(line, type=_Announced)


async def _ready(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=2.0) as client:
        while True:
            if not server.is_running:
                raise DemoError(
                    f"the server ended with status {server.process.returncode}: "
                    f"{_last_line(server.log)}; see {server.log}"
                )
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get("/health/ready")).status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(_POLL_S)


async def _end(process: Process) -> int:
    """End a child: a polite signal first, a hard one for its whole group if it does not listen."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            return await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return await process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port of this machine; 0 always is."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
