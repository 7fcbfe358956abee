"""Starts the log process of a server, and starts it again when it dies.

The supervisor holds the listening socket: while no log process is there, workers' connections wait.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.errors import ConfigError
from service.processes.kept_process import KeptProcess
from service.stores.log_wire import PID_FILE, SOCKET_VARIABLE

_BACKLOG = 128
_LONGEST_ADDRESS = 100
"""Bytes that the address of a socket may have on every system."""
_MODULE = "service.processes.log_server"


class LogProcess(KeptProcess):
    """The one of a server, which says beside its socket who it is."""

    def __init__(self, events: Path, listener: socket.socket) -> None:
        self._pid_file = Path(listener.getsockname()).with_name(PID_FILE)
        number = listener.fileno()
        super().__init__("log_process", (_MODULE, str(events), str(number)), (number,))

    def has_started(self, process: subprocess.Popen[bytes]) -> None:
        """Name the process for whoever looks."""
        with suppress(OSError):
            self._pid_file.write_text(f"{process.pid}\n")


@contextmanager
def log_process(events: Path, folder: Path) -> Iterator[LogProcess]:
    """Run a log process, whose socket is in `folder`, until the block ends.

    Raises
    ------
    ConfigError
        If the socket cannot be made.
    """
    with _listener(folder) as listener:
        process = LogProcess(events, listener)
        os.environ[SOCKET_VARIABLE] = listener.getsockname()
        process.keep()
        try:
            yield process
        finally:
            process.stop()
            del os.environ[SOCKET_VARIABLE]


@contextmanager
def _listener(folder: Path) -> Iterator[socket.socket]:
    address = folder.resolve() / "log.sock"
    elsewhere = None
    if len(os.fsencode(address)) > _LONGEST_ADDRESS:
        elsewhere = tempfile.mkdtemp(prefix="endcap-")
        address = Path(elsewhere) / "log.sock"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            try:
                listener.bind(str(address))
                address.chmod(0o600)
                listener.listen(_BACKLOG)
            except OSError as error:
                raise ConfigError(
                    f"no socket for the log process at {address}: {error}; "
                    "put --home where sockets can be made"
                ) from error
            yield listener
    finally:
        address.unlink(missing_ok=True)
        address.with_name(PID_FILE).unlink(missing_ok=True)
        if elsewhere is not None:
            shutil.rmtree(elsewhere, ignore_errors=True)
