"""Starts the server: one process, or a supervisor with workers that share the port.

SIGTERM and SIGINT drain: no new connections, requests in flight finish, queues are flushed, exit 0.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from models.errors import ConfigError
from models.heaps import KEPT_FREE_BYTES, share_heaps
from service.event_protocol import EventProtocol
from service.forked_workers import fork_workers
from service.kept_process import KeptProcess
from service.log_process import log_process
from service.scorer_process import common_ground
from service.settings import SUPERVISOR_VARIABLE, Settings, to_environment

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
BACKLOG = 2048
KEEP_ALIVE_S = 75
"""Longer than clients and proxies, 5 to 60 s, so that they close an idle connection and not the
server: a request on a connection that the server is just closing would fail."""
APP = "service.app:app_from_environment"
SHARED_MODULES = APP.partition(":")[0], "scipy.special"
"""What workers import, at the start or for the first report; SciPy's functions take 20 MB."""
_log = structlog.get_logger(__name__)
_NOT_STARTED = "the server could not start; the log lines above say why"


def run(settings: Settings, on_listening: Callable[[str], None]) -> None:
    """Serve until a signal; `on_listening` gets the address as soon as connections queue up.

    Raises
    ------
    ConfigError
        If the address cannot be listened on.
    """
    share_heaps(1, KEPT_FREE_BYTES)
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    with listener, _scratch_folder(settings) as folder:
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


class _Supervisor(Multiprocess):
    """Keeps the processes beside its workers as it keeps them, and says when one of them died."""

    beside: Sequence[KeptProcess]

    def keep_subprocess_alive(self) -> None:
        """Start whatever has died."""
        if not self.should_exit.is_set():
            for process in self.beside:
                process.keep()
        before = tuple(self.processes)
        super().keep_subprocess_alive()
        for old, new in zip(before, self.processes, strict=True):
            if old is not new:
                _log.error("worker_ended", pid=old.pid, exit_code=old.exitcode, started=new.pid)
                # Else what it said of itself last would be said for ever.
                _forget_metrics(old.pid)

    def terminate_all(self) -> None:
        """Tell all workers to stop, and let go of the socket that they no longer accept from.

        Else new connections would queue up there for as long as one of them drains, unanswered.
        """
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def _forget_metrics(pid: int | None) -> None:
    # Whether it is for several processes is decided when it is imported.
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(pid)  # type: ignore[no-untyped-call]  # the library has none there


def _serve(settings: Settings, listener: socket.socket, beside: Sequence[KeptProcess]) -> None:
    config = server_config(settings, APP)
    if settings.workers > 1:
        fork_workers(*SHARED_MODULES)
        supervisor = _Supervisor(config, sockets=[listener])
        supervisor.beside = beside
        supervisor.run()
        if any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes):
            raise ConfigError(_NOT_STARTED)
        return
    for process in beside:
        process.keep_by_itself()
    # After draining, uvicorn raises the signal it caught again; it ends here instead of killing us.
    for caught in (signal.SIGTERM, signal.SIGINT):
        signal.signal(caught, lambda *_: None)
    # Whoever closes the terminal means a stop, too, unless nohup has said that it is none.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    server = uvicorn.Server(config)
    # A start that fails makes uvicorn exit with a code of its own.
    with suppress(SystemExit):
        server.run(sockets=[listener])
    if not server.started:
        raise ConfigError(_NOT_STARTED)


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


@contextmanager
def _scratch_folder(settings: Settings) -> Iterator[Path]:
    """Make `home/run/<pid>` for the metrics of this run's workers; clear what dead runs left."""
    runs = settings.home / "run"
    folder = runs / str(os.getpid())
    try:
        for left in runs.iterdir() if runs.is_dir() else ():
            if left.name.isdigit() and not _is_alive(int(left.name)):
                shutil.rmtree(left, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(f"cannot write to --home {settings.home}: {error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
