"""Reads what a report needs from both stores; blocking, for a thread or the command line."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec

from models.vocabulary import Vocabulary
from service.reports.epochs import Opened, epoch_ends
from service.reports.report import Report, make_report
from service.rollouts.definition import Rollout
from service.stores.control import ControlStore
from service.stores.event_log import EventLog
from service.stores.outcomes import read_outcomes


def report_rollout(
    events: EventLog,
    control: ControlStore,
    key: str,
    *,
    at_ms: int,
    max_new: int | None = None,
    catalogue: Vocabulary | None = None,
    is_caught_up: bool = False,
) -> Report:
    """Report a rollout from the event store at `events`, which is open to writers meanwhile.

    With `max_new` no more than so many stored rows are added to the running sums before, and the
    report tells how many it does not count yet. `catalogue` has the items that arms may cover.
    After `service.stores.caught_up` what is left has come since: the next report's, and not told.

    Raises
    ------
    NotFoundError
        If nothing is known of the rollout.
    StoreError
        If a store cannot be read.
    """
    with control.transaction() as transaction:
        epochs = transaction.list_epochs(key)
    opened = {
        each.epoch: Opened(
            at_ms=each.opened_at_ms, rollout=msgspec.json.decode(each.body, type=Rollout)
        )
        for each in epochs
    }
    return report_epochs(
        events,
        key,
        opened,
        at_ms=at_ms,
        max_new=max_new,
        catalogue=catalogue,
        is_caught_up=is_caught_up,
    )


def report_epochs(
    events: EventLog,
    key: str,
    opened: Mapping[int, Opened],
    *,
    at_ms: int,
    max_new: int | None = None,
    catalogue: Vocabulary | None = None,
    is_caught_up: bool = False,
) -> Report:
    """Report a rollout whose epochs are known, as `report_rollout` does; it raises the same."""
    find_ends = partial(epoch_ends, opened=opened, at_ms=at_ms)
    sums = read_outcomes(events, key, max_new=max_new, find_ends=find_ends)
    if is_caught_up:
        sums = sums._replace(n_waiting=0)
    return make_report(key, sums, opened, at_ms=at_ms, catalogue=catalogue)
