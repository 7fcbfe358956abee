"""The event store: what is written to it, what is read of visitors, and its running sums."""

from __future__ import annotations

import os

from service.intake.opening import Intake, open_intake
from service.opening.ground import Ground
from service.reports.rollup_keeper import RollupKeeper
from service.stores.log_wire import SOCKET_VARIABLE


def open_events(ground: Ground) -> Intake:
    """Begin to write, and to follow what other processes write."""
    settings, metrics = ground.settings, ground.metrics
    intake = open_intake(
        ground.home,
        address=ground.settings.events_address,
        now_ms=ground.now_ms,
        count=metrics.count_intake,
        max_events=settings.event_queue_size,
        max_exposures=settings.exposure_queue_size,
        poll_s=settings.event_poll_ms / 1000,
        wait_s=settings.event_wait_s,
        show_log=metrics.show_log,
        count_unread=metrics.identities_unread.inc,
        observe_commit=metrics.log_commits.observe,
        count_wait=metrics.log_waits.inc,
    )
    intake.start()
    ground.stack.push_async_callback(intake.close, settings.drain_s)
    if SOCKET_VARIABLE not in os.environ:  # else the log process does it
        keeper = RollupKeeper(ground.events, attribution_days=settings.attribution_days)
        keeper.start()
        ground.stack.callback(keeper.close)
    return intake
