"""Times without seconds, and the places that messages name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from service.control.documents import Banner
from service.rollouts.conditions import Condition
from service.rollouts.json_place import find_place, split_message
from service.rollouts.short_times import MAX_TIMES, TIME_RULE, convert

LINKS = {"title": "2026-11-27T09:00", "image_url": "/a.png", "link_url": "/a"}


def test_time_to_the_minute_is_taken() -> None:
    """With an offset, with Z, or local to a zone; a text that looks like a time stays."""
    times = {"starts_at": "2026-11-27T09:00", "ends_at": "2026-11-27 10:30+04:00"}
    banner = convert({**LINKS, **times, "time_zone": "Asia/Dubai"}, Banner)
    assert banner.starts_at == datetime(2026, 11, 27, 9)
    assert banner.ends_at == datetime(2026, 11, 27, 6, 30, tzinfo=UTC)
    assert banner.title == "2026-11-27T09:00"


def test_time_deep_inside_is_taken() -> None:
    """In a condition of an audience, whichever of a list."""
    after = {"op": "after", "at": "2026-11-27T09:00Z"}
    target: Any = Condition
    found = convert({"op": "all", "of": [after, after]}, target)
    assert [one.at.hour for one in found.of] == [9, 9]


@pytest.mark.parametrize("text", ["tomorrow", "2026-11-27", "2026-11-27T9:00", "2026-13-27T09:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """As before, and without going round for ever."""
    with pytest.raises(msgspec.ValidationError, match=TIME_RULE):
        convert({**LINKS, "starts_at": text}, Banner)


def test_thousands_of_times_are_not_mended_one_by_one() -> None:
    """For each of them all is decoded again; as many as any document has are mended."""
    after = {"op": "after", "at": "2026-11-27T09:00Z"}
    target: Any = Condition
    found = convert({"op": "all", "of": [dict(after) for _ in range(MAX_TIMES)]}, target)
    assert len(found.of) == MAX_TIMES
    with pytest.raises(msgspec.ValidationError, match=f"^more than {MAX_TIMES} times lack seconds"):
        convert({"op": "all", "of": [dict(after) for _ in range(MAX_TIMES + 1)]}, target)


def test_place_is_found_or_not() -> None:
    """The holder and the last step; nothing for the whole, for any key and what is not there."""
    value = {"a": [{"b": 7}]}
    assert find_place(value, "$.a[0].b") == ({"b": 7}, "b")
    assert find_place(value, "$.a[0]") == ([{"b": 7}], 0)
    for path in ("$", "$.a[...].b", "$.a[1].b", "$.c", "$.a.b"):
        assert find_place(value, path) is None
    assert split_message("Expected `int` - at `$.a[0]`") == ("Expected `int`", "$.a[0]")
    assert split_message("no place") == ("no place", "$")
