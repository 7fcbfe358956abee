"""Starts the server: one process, or a supervisor with workers that share the port.

SIGTERM and SIGINT drain: no new connections, requests in flight finish, queues are flushed, exit 0.
Where that takes too long and something is killed, the code is `KILLED_CODE`.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import uvicorn

from models.errors import ConfigError
from models.heaps import KEPT_FREE_BYTES, share_heaps
from service.processes.forked_workers import fork_workers
from service.processes.kept_process import KeptProcess
from service.processes.log_process import log_process
from service.processes.run_folder import run_folder
from service.processes.scorer_process import common_ground
from service.processes.stop_limit import KILLED_CODE, PunctualServer
from service.processes.supervisor import Supervisor
from service.protocol.event_protocol import EventProtocol
from service.settings import SUPERVISOR_VARIABLE, Settings, to_environment

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
BACKLOG = 2048
KEEP_ALIVE_S = 75
"""Longer than clients and proxies, 5 to 60 s, so that they close an idle connection and not the
server: a request on a connection that the server is just closing would fail."""
APP = "service.app:app_from_environment"
SHARED = "service.app:prepare_app", "scipy.special"
"""What workers use, at the start or for the first report; SciPy's functions take 20 MB."""
LEAST_FILES = 192
"""A worker holds about 130, and keeps a quarter of few back for its own work."""
_NOT_STARTED = "the server could not start; the log lines above say why"


def run(settings: Settings, on_listening: Callable[[str], None]) -> None:
    """Serve until a signal; `on_listening` gets the address as soon as connections queue up.

    Raises
    ------
    ConfigError
        If the address cannot be listened on, or the process may open too few files.
    """
    _check_files()
    share_heaps(1, KEPT_FREE_BYTES)
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    with listener, run_folder(settings.home) as folder:
        os.environ.update(to_environment(settings))
        os.environ[SUPERVISOR_VARIABLE] = str(os.getpid())
        if settings.workers > 1:
            os.environ[METRICS_VARIABLE] = str(folder)
        on_listening(address)
        with ExitStack() as stack:
            beside: list[KeptProcess] = []
            if isinstance(settings.event_log, Path):  # a database server shares its flushes itself
                beside.append(stack.enter_context(log_process(settings.event_log, folder)))
            scorer = stack.enter_context(
                common_ground(settings.home, settings.workers, scores=not settings.no_scorer)
            )
            _serve(settings, listener, beside if scorer is None else [*beside, scorer])


def server_config(settings: Settings, app: str) -> uvicorn.Config:
    """Configure the server under an app factory, which is named as ``module:function``."""
    return uvicorn.Config(
        app,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http=EventProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.drain_s,
    )


def _serve(settings: Settings, listener: socket.socket, beside: Sequence[KeptProcess]) -> None:
    config = server_config(settings, APP)
    if settings.workers > 1:
        fork_workers(*SHARED)
        supervisor = Supervisor(config, [listener], beside)
        supervisor.run()
        if supervisor.could_not_start:
            raise ConfigError(_NOT_STARTED)
        if supervisor.has_killed:
            sys.exit(KILLED_CODE)
        return
    for process in beside:
        process.keep_by_itself()
    # After draining, uvicorn raises the signal it caught again; it ends here instead of killing us.
    for caught in (signal.SIGTERM, signal.SIGINT):
        signal.signal(caught, lambda *_: None)
    # Whoever closes the terminal means a stop, too, unless nohup has said that it is none.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    server = PunctualServer(config)
    # A start that fails makes uvicorn exit with a code of its own.
    with suppress(SystemExit):
        server.run(sockets=[listener])
    if not server.started:
        raise ConfigError(_NOT_STARTED)


def _check_files() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < LEAST_FILES:
        raise ConfigError(
            f"this process may open {limit} files, and a worker needs {LEAST_FILES} before it "
            "takes connections; let it open 1,024 or more: ulimit -n, LimitNOFILE of systemd"
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error}; "
            "stop what listens there, or choose another --port or --host"
        ) from error
    listener.set_inheritable(True)
    return listener
