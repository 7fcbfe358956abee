"""What is counted and timed, for Prometheus at /metrics.

With several workers each writes its own files below ``home/run``, see
`service.telemetry.metric_files`, and any of them answers for all: ``PROMETHEUS_MULTIPROC_DIR`` is
set by `service.run` before a worker imports this module.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import Literal

import numpy as np
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.samples import Sample

from service.exposure import Exposure
from service.telemetry.metric_files import write_metric_files, write_rather_than_map
from service.telemetry.request_tally import RequestTally
from service.telemetry.stages import STAGES, Stopwatch
from service.telemetry.tally import FLUSH_S, CounterTally, HistogramTally

_log = structlog.get_logger(__name__)

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SHORT_SECONDS = (0.00002, 0.00005, 0.0001, 0.0002, *_SECONDS)

Over = Literal["livemax", "livesum", "livemin"]
"""How the values of workers that live are told as one."""
VERDICTS = ("accepted", "duplicate", "rejected")
MAX_TOLD = 100
"""So many unknown placements are named in the log; a client may make up any number."""
PAGE_COUNTS = frozenset({"served", "assigned"})
"""Counted for each page, in the event loop only."""


class Metrics:
    """Every metric, in a registry of its own, so that two apps in a process do not mix."""

    def __init__(self) -> None:
        write_rather_than_map()
        self._registry = CollectorRegistry()
        self._model_version: str | None = None
        self.pages = RequestTally()
        """Requests for pages, for guardrails."""
        self._count_pages()
        self._count_exposures()
        self._count_events()
        self._show_state()
        write_metric_files()

    def _count_pages(self) -> None:
        self._requests: dict[tuple[str, str, int], HistogramTally] = {}
        self.requests = self._histogram(
            "endcap_request_seconds",
            "Time from a request's arrival to the end of its answer.",
            ("method", "route", "status"),
            _SECONDS,
        )
        self.tiers = self._counter(
            "endcap_placements_served_total",
            "Placements answered, by how personal the answer was and why it was not more so.",
            ("tier", "degraded"),
        )
        self._placements = CounterTally[tuple[str, str | None]](
            lambda key: self.tiers.labels(key[0], key[1] or "")
        )
        self.placements_unknown = self._counter(
            "endcap_placements_unknown_total",
            "Placements that a page asked for beside others, and that are not configured.",
        )
        self._told: set[str] = set()
        """Unknown placements that the log names already."""
        self.stages = self._histogram(
            "endcap_serve_stage_seconds",
            "Time of each stage of serving a page.",
            ("stage",),
            _SHORT_SECONDS,
        )
        self.shared_candidates = self._counter(
            "endcap_shared_candidates_total",
            "Histories that another process was asked to score, or had no time for; that were "
            "found scored; that this one scored for all workers.",
            ("outcome",),
        )
        self._stages = [HistogramTally(self.stages.labels(one), _SHORT_SECONDS) for one in STAGES]
        self._timed: list[float] = []
        """When each page began and ended its stages, one page after the other."""

    def _count_exposures(self) -> None:
        self.exposures_served = self._counter(
            "endcap_exposures_served_total", "Exposures handed to the queue."
        )
        self.exposures_assigned = self._counter(
            "endcap_exposures_assigned_total", "Exposures the queue took."
        )
        self.exposures_stored = self._counter("endcap_exposures_stored_total", "Exposures on disk.")
        self.exposures_dropped = self._counter(
            "endcap_exposures_dropped_total", "Exposures lost to a full queue."
        )
        self.crossovers = self._counter(
            "endcap_crossovers_total",
            "Exposures of a person who, as another unit, is dealt another variant.",
        )
        self.identities_unread = self._counter(
            "endcap_identities_unread_total",
            "Visitors dealt as they came, because who they are could not be read in time.",
        )

    def _count_events(self) -> None:
        self.events_received = self._counter(
            "endcap_events_received_total", "Events received, right or wrong."
        )
        self.events = self._counter(
            "endcap_events_total",
            "Events received, by verdict: accepted, duplicate or rejected.",
            ("verdict",),
        )
        self.log_commits = self._histogram(
            "endcap_log_commit_seconds",
            "Time from a group of events and exposures to its being on disk.",
            (),
            _SECONDS,
        )
        self.log_waits = self._counter(
            "endcap_log_waits_total",
            "Times that a group found the event store locked, or its writer gone or silent.",
        )
        self.calls_ignored = self._counter(
            "endcap_calls_ignored_total",
            "Calls of client libraries that say nothing Endcap keeps.",
        )
        self._intake = {
            "served": self.exposures_served,
            "assigned": self.exposures_assigned,
            "dropped": self.exposures_dropped,
            "stored": self.exposures_stored,
            "received": self.events_received,
            **{verdict: self.events.labels(verdict) for verdict in VERDICTS},
        }
        self._exposures = CounterTally[str](self._intake.__getitem__)

    def _show_state(self) -> None:
        self.model = self._gauge(
            "endcap_model_info", "1 for the model version that answers.", "livemax", ("version",)
        )
        self.log_up = self._gauge(
            "endcap_event_log_up",
            "0 while the event store does not take what a worker has for it.",
            "livemin",
        )
        self.log_up.set(1)
        self.control_up = self._gauge(
            "endcap_control_plane_up",
            "0 while a worker cannot read the control plane.",
            "livemin",
        )
        self.control_up.set(1)
        self.connections_refused = self._counter(
            "endcap_connections_refused_total",
            "Connections refused because the worker needs its last file descriptors itself.",
        )
        self.change_clients = self._gauge(
            "endcap_change_clients", "Clients that listen for changes.", "livesum"
        )
        self.configuration_revision = self._gauge(
            "endcap_configuration_revision",
            "The oldest revision of the control plane that a worker answers with.",
            "livemin",
        )

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _histogram(
        self, name: str, text: str, labels: tuple[str, ...], seconds: tuple[float, ...]
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=seconds, registry=self._registry)

    def _gauge(
        self, name: str, text: str, over_workers: Over, labels: tuple[str, ...] = ()
    ) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry, multiprocess_mode=over_workers)

    def count_ignored(self, n: int) -> None:
        """Count calls of client libraries that were not kept."""
        if n:
            self.calls_ignored.inc(n)

    def count_intake(self, name: str, n: int) -> None:
        """Count events and exposures by the names of the store's ledger."""
        if name in PAGE_COUNTS:
            self._exposures.count(name, n)
        elif n:
            self._intake[name].inc(n)

    def count_page(self, exposures: Iterable[Exposure], watch: Stopwatch) -> None:
        """Count the placements of a page, and how long its stages took."""
        for exposure in exposures:
            self._placements.count((exposure.tier, exposure.degraded))
            if exposure.crossover:
                self.crossovers.inc()
        self._timed += (watch.started_s, *watch.laps_s)

    def count_unknown(self, placement_ids: Iterable[str]) -> None:
        """Count placements that a page asked for and nobody configured; each is told once."""
        for placement_id in placement_ids:
            self.placements_unknown.inc()
            if placement_id not in self._told and len(self._told) < MAX_TOLD:
                self._told.add(placement_id)
                _log.warning(
                    "placement_not_configured",
                    placement=placement_id[:80],
                    next_step="add it with PUT /v1/placements/ID, or take it out of the page",
                )

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request by one of the routes that are asked most."""
        self.pages.count(method, route, status, seconds)
        labels = (method, route, status)
        tally = self._requests.get(labels)
        if tally is None:
            series = self.requests.labels(*map(str, labels))
            tally = self._requests[labels] = HistogramTally(series, _SECONDS)
        tally.observe(seconds)

    def flush(self) -> None:
        """Hand the tallies over; call it in the event loop."""
        self._placements.flush()
        self._exposures.flush()
        self.pages.settle()
        for tally in self._requests.values():
            tally.flush()
        if self._timed:
            durations = np.diff(np.array(self._timed).reshape(-1, 1 + len(STAGES)), axis=1)
            self._timed.clear()
            for tally, seconds in zip(self._stages, durations.T, strict=True):
                tally.observe_all(seconds)
        write_metric_files()

    async def flush_regularly(self) -> None:
        """Flush until cancelled, so that other workers see it too."""
        try:
            while True:
                await asyncio.sleep(FLUSH_S)
                self.flush()
        finally:
            self.flush()

    def show_model(self, version: str) -> None:
        """Make `version` the one that answers."""
        if self._model_version is not None:
            self.model.labels(self._model_version).set(0)
        self.model.labels(version).set(1)
        self._model_version = version

    def show_log(self, is_up: bool) -> None:
        """Say whether the event store takes what this worker has for it."""
        self.log_up.set(is_up)

    def render(self) -> bytes:
        """Write all metrics of all workers in Prometheus' text format."""
        return generate_latest(self._everyone())

    def samples(self) -> Iterable[Sample]:
        """Read all metrics of all workers."""
        return [one for metric in self._everyone().collect() for one in metric.samples]

    def _everyone(self) -> CollectorRegistry:
        if MULTIPROCESS_VARIABLE not in os.environ:
            return self._registry
        write_metric_files()
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]  # the library has none there
        return everyone
