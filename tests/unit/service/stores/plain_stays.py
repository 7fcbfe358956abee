"""Works out in the plainest way how units came back: a loop over the rows of a log."""

from collections.abc import Sequence
from typing import NamedTuple

from service.exposure import Exposure
from service.stores.events import StoredEvent
from service.stores.rollup_visits import DAY_MS, FOLLOWED_MS, GAP_MS, WINDOWS_DAYS


class PlainStay(NamedTuple):
    """What a unit did after its first exposure in an epoch."""

    variant: str
    day: int
    """Of its first exposure."""
    n_visits: int
    dwell_s: int
    seen: tuple[bool, ...]
    """By window."""


def plain_stays(rows: Sequence[Exposure | StoredEvent]) -> dict[tuple[str, int], PlainStay]:
    """Return the stays by unit and epoch, where each unit is a user of that name."""
    moments: dict[str, set[int]] = {}
    first: dict[str, dict[int, tuple[int, str]]] = {}
    for row in rows:
        unit = row.user_key
        assert unit is not None
        moments.setdefault(unit, set()).add(row.at_ms)
        if isinstance(row, Exposure):
            assert row.epoch is not None
            assert row.variant is not None
            of_unit = first.setdefault(unit, {})
            mine = (row.at_ms, row.variant)
            of_unit[row.epoch] = min(mine, of_unit.get(row.epoch, mine))
    found = {}
    for unit, epochs in first.items():
        visits: list[list[int]] = []
        for at_ms in sorted(moments[unit]):
            if visits and at_ms - visits[-1][-1] <= GAP_MS:
                visits[-1].append(at_ms)
            else:
                visits.append([at_ms])
        for epoch, (first_ms, variant) in epochs.items():
            later = [at_ms for other, (at_ms, _) in epochs.items() if other > epoch]
            until_ms = min([first_ms + FOLLOWED_MS, *later])
            own = [one for one in visits if one[0] < until_ms and one[-1] >= first_ms]
            dwell_ms = sum(min(one[-1], until_ms) - max(one[0], first_ms) for one in own)
            seen = tuple(
                any(
                    first_ms + begin * DAY_MS <= at_ms < first_ms + end * DAY_MS
                    for one in own
                    for at_ms in one
                )
                for begin, end in WINDOWS_DAYS
            )
            found[unit, epoch] = PlainStay(
                variant, first_ms // DAY_MS, len(own), dwell_ms // 1000, seen
            )
    return found
