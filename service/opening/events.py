"""The event store: what is written to it, what is read of visitors, and its running sums."""

from __future__ import annotations

from service.intake.opening import Intake, open_intake
from service.opening.ground import Ground
from service.reports.rollup_keeper import RollupKeeper


def open_events(ground: Ground) -> Intake:
    """Begin to write, to follow what other processes write, and to add up."""
    settings, metrics = ground.settings, ground.metrics
    intake = open_intake(
        ground.home,
        address=ground.settings.events_address,
        now_ms=ground.now_ms,
        count=metrics.count_intake,
        max_events=settings.event_queue_size,
        max_exposures=settings.exposure_queue_size,
        poll_s=settings.event_poll_ms / 1000,
        count_unread=metrics.identities_unread.inc,
    )
    intake.start()
    ground.stack.push_async_callback(intake.close, settings.drain_s)
    keeper = RollupKeeper(ground.events)
    keeper.start()
    ground.stack.callback(keeper.close)
    return intake
