"""Keeps file descriptors back for a worker's own work: no connection gets one of the last.

Without them it could take connections and open nothing more: no store, no file, no new model.
"""

from __future__ import annotations

import resource
import time
from asyncio import BaseTransport
from collections.abc import Callable

import structlog

N_SPARE = 64
TOLD_S = 10.0
_LEAST_SHARE = 4
"""A process that may have few keeps this part of them back."""
_BODY = (
    b'{"type":"about:blank","title":"Service Unavailable","status":503,'
    b'"code":"too_many_connections","detail":"this worker has as many connections '
    b'as its limit of open files allows; try again after 1 s"}'
)
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n"
    b"content-length: %d\r\nretry-after: 1\r\nconnection: close\r\n\r\n%b" % (len(_BODY), _BODY)
)
"""What a connection hears that is refused, whatever it would have asked."""

_log = structlog.get_logger(__name__)


class SpareDescriptors:
    """One worker's; the limit is read anew, for it may be moved while the worker runs."""

    def __init__(
        self,
        count: Callable[[], None],
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        limit: Callable[[], int] = lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    ) -> None:
        """`count` is called for each connection that is refused."""
        self._count = count
        self._monotonic_s = monotonic_s
        self._limit = limit
        self._n_untold = 0
        self._told_s = float("-inf")

    def refuses(self, transport: BaseTransport) -> bool:
        """Say whether a new connection has one of the last descriptors, and so is not wanted.

        The system gives the lowest that is free, so all below it are taken.
        """
        connection, limit = transport.get_extra_info("socket"), self._limit()
        if limit == resource.RLIM_INFINITY or connection is None:
            return False
        if connection.fileno() < limit - min(N_SPARE, limit // _LEAST_SHARE):
            return False
        self._count()
        self._n_untold += 1
        now_s = self._monotonic_s()
        if now_s - self._told_s >= TOLD_S:
            _log.warning(
                "connections_refused",
                n=self._n_untold,
                limit=limit,
                next_step="let the server open more files: ulimit -n, LimitNOFILE of systemd",
            )
            self._n_untold, self._told_s = 0, now_s
        return True
