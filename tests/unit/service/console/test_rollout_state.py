"""What a rollout does now, in a word; where its ramp stands, in a sentence."""

from typing import Any

import msgspec
import pytest

from service.console.rollout_state import HOUR_MS, is_treating, ramp_state, states_of
from service.rollouts.definition import Rollout

NOW_MS = 1_767_225_600_000  # 2026-01-01
RAMP = {
    "steps": [{"share": 0.1, "min_hours": 24, "min_units": 500}, {"share": 0.5, "min_hours": 1}]
}


def rollout(**fields: Any) -> Rollout:
    """Make one at 10 %."""
    return msgspec.convert({"share": 0.1, **fields}, Rollout)


@pytest.mark.parametrize(
    ("fields", "words", "treats"),
    [
        ({}, ["live"], True),
        ({"killed": True, "ramp": RAMP}, ["killed"], False),
        ({"enabled": False}, ["off"], False),
        ({"share": 0}, ["treats nobody"], False),
        ({"share": 1}, ["everyone"], True),
        ({"ramp": RAMP, "approval": True}, ["live", "ramping", "four eyes"], True),
        ({"starts_at": "2026-01-03T00:00:00Z"}, ["starts in 2 days"], False),
        ({"ends_at": "2025-12-31T00:00:00Z"}, ["ended"], False),
    ],
)
def test_state_is_told_in_a_word(fields: dict[str, Any], words: list[str], treats: bool) -> None:
    """The one that matters most comes first."""
    assert [state.word for state in states_of(rollout(**fields), NOW_MS)] == words
    assert is_treating(rollout(**fields), NOW_MS) is treats


def test_decided_rollout_is_told_so() -> None:
    """It could be taken out of the code."""
    assert [one.word for one in states_of(rollout(share=1), NOW_MS, is_stale=True)] == [
        *("everyone", "decided"),
    ]


@pytest.mark.parametrize(
    ("fields", "hours_ago", "n_units", "told"),
    [
        ({}, 20, 100, "after 4 hours more and 400 more units"),
        ({}, 30, 100, "after 400 more units"),
        ({}, 30, 499, "after 1 more unit,"),
        ({}, 30, 500, "goes on to 50 % within minutes"),
        ({"share": 0.5}, 30, 500, "reached its last step"),
        ({"killed": True}, 30, 500, "because the rollout is killed"),
        ({"enabled": False}, 30, 500, "because the rollout is off"),
        ({"share": 0.01}, 30, 0, "goes on to 10 % within minutes"),
    ],
)
def test_ramp_says_what_it_waits_for(
    fields: dict[str, Any], hours_ago: int, n_units: int, told: str
) -> None:
    """Hours and units of its step."""
    found = ramp_state(
        rollout(ramp=RAMP, **fields),
        opened_at_ms=NOW_MS - hours_ago * HOUR_MS,
        n_units=n_units,
        now_ms=NOW_MS,
    )
    assert found is not None
    assert told in found.sentence
    assert ramp_state(rollout(), opened_at_ms=None, n_units=0, now_ms=NOW_MS) is None
