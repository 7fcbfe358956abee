"""Evaluation: reasons, ramps that move nobody, arms that stay."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rollouts.assignment import Assignment
from service.rollouts.bucketing import bucket
from service.rollouts.compiled import compile_rollout
from service.rollouts.definition import Rollout, Variant, opens_epoch
from service.rollouts.evaluate import evaluate
from service.rollouts.visitor import Unit, Visitor

NOW_MS = int(datetime(2026, 1, 15, tzinfo=UTC).timestamp() * 1000)
U1 = Unit("user_id", "u1")
TWO_ARMS = (Variant(key="personal"), Variant(key="trending", recipe="trending"))

shares = st.floats(0, 1, allow_nan=False)
units = st.builds(Unit, st.sampled_from(["user_id", "anonymous_id"]), st.text(min_size=1))


def rollout(share: float = 0.5, **fields: object) -> Rollout:
    """Make a rollout `home_recs` in epoch 3."""
    return Rollout(key="home_recs", share=share, epoch=3, **fields)  # type: ignore[arg-type]


def assign(definition: Rollout, unit: Unit | None = U1, now_ms: int = NOW_MS) -> Assignment:
    """Compile and evaluate."""
    return evaluate(compile_rollout(definition), visitor_of(unit, now_ms))


def visitor_of(unit: Unit | None, now_ms: int = NOW_MS) -> Visitor:
    """Make the visitor who has this unit's key and no other."""
    user_key, anonymous_key = None, None
    if unit is not None and unit.kind == "user_id":
        user_key = unit.key
    elif unit is not None:
        anonymous_key = unit.key
    return Visitor(user_key, anonymous_key, now_ms=now_ms)


def test_evaluate_compares_the_bucket_with_the_share() -> None:
    """Bucket 75,104 is outside a share of 0.075104 and inside one of a ppm more."""
    assert bucket("enrolment", "home_recs", "user_id", "u1") == 75_104
    assert assign(rollout(0.075104)) == Assignment(
        "home_recs", "control", "SPLIT", 3, "NOT_ENROLLED"
    )
    assert assign(rollout(0.075105)) == Assignment("home_recs", "personal", "SPLIT", 3)


def test_evaluate_chooses_the_arm_by_weight() -> None:
    """The unit u1 is at 0.591175 of the arms: above weights 59 of 100, below 60 of 100."""
    for weight, expected in ((59, "b"), (60, "a")):
        arms = (Variant(key="a", weight=weight), Variant(key="b", weight=100 - weight))
        assert assign(rollout(1.0, variants=arms)).variant == expected


def test_evaluate_without_unit_is_control() -> None:
    """Nothing is drawn for a visitor without an id, whatever the share."""
    expected = Assignment("home_recs", "control", "NO_UNIT", 3, "NO_UNIT")
    assert assign(rollout(1.0), None) == expected


def test_evaluate_disabled_is_control() -> None:
    """A switched-off rollout treats nobody, not even a forced unit."""
    off = rollout(1.0, enabled=False, forced={"user_key:u1": "personal"})
    assert assign(off) == Assignment("home_recs", "control", "DISABLED", 3)


@pytest.mark.parametrize(("day", "is_treated"), [(9, False), (10, True), (19, True), (20, False)])
def test_evaluate_keeps_the_schedule(day: int, is_treated: bool) -> None:
    """A schedule holds from its start up to, not including, its end."""
    scheduled = rollout(
        1.0,
        starts_at=datetime(2026, 1, 10, tzinfo=UTC),
        ends_at=datetime(2026, 1, 20, tzinfo=UTC),
    )
    assigned = assign(scheduled, now_ms=int(datetime(2026, 1, day, tzinfo=UTC).timestamp() * 1000))
    assert (assigned.variant, assigned.detail) == (
        ("personal", None) if is_treated else ("control", "SCHEDULE")
    )


def test_evaluate_forced_unit_gets_its_variant() -> None:
    """A forced unit gets its variant at share 0; the same id of another kind does not."""
    forced = rollout(0.0, forced={"user_key:u1": "personal"})
    assert assign(forced) == Assignment("home_recs", "personal", "TARGETING_MATCH", 3, "FORCED")
    assert assign(forced, Unit("anonymous_id", "u1")).variant == "control"


def test_unit_is_the_user_else_the_visitor() -> None:
    """A rollout by user_id falls back to the anonymous id; one by anonymous_id does not."""
    by_user, by_visitor = (
        compile_rollout(rollout(unit=unit)) for unit in ("user_id", "anonymous_id")
    )
    both, anonymous, user = (
        Visitor(user_key, anonymous_key, now_ms=NOW_MS)
        for user_key, anonymous_key in (("u", "a"), (None, "a"), ("u", None))
    )
    assert by_user.unit(both) == Unit("user_id", "u")
    assert by_user.unit(anonymous) == Unit("anonymous_id", "a")
    assert by_visitor.unit(both) == Unit("anonymous_id", "a")
    assert by_visitor.unit(user) is None


@given(st.lists(shares, min_size=2, max_size=2), units)
def test_wider_share_removes_nobody(two: list[float], unit: Unit) -> None:
    """Whoever is treated at a share is treated, in the same arm, at every larger one."""
    narrow, wide = (
        assign(rollout(share, variants=TWO_ARMS), unit).variant for share in sorted(two)
    )
    assert narrow in ("control", wide)


def test_ramp_flips_no_arm() -> None:
    """Over 1→5→25→50→10→25 % with two treatments no unit ever changes from one arm to the other."""
    seen: dict[str, set[str]] = {}
    for share in (0.01, 0.05, 0.25, 0.5, 0.1, 0.25):
        compiled = compile_rollout(rollout(share, variants=TWO_ARMS))
        for number in range(5_000):
            variant = evaluate(compiled, Visitor(f"u{number}", None, now_ms=NOW_MS)).variant
            if variant != "control":
                seen.setdefault(f"u{number}", set()).add(variant)
    assert {len(variants) for variants in seen.values()} == {1}
    assert set.union(*seen.values()) == {"personal", "trending"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "Spring"}, False),
        ({"forced": {"user_key:u1": "personal"}}, False),
        ({"share": 0.6}, True),
        ({"share": 0.5000000001}, False),
        ({"variants": TWO_ARMS}, True),
        ({"enabled": False}, True),
        ({"salt": "other"}, True),
        ({"salt": "home_recs"}, False),
        ({"ends_at": datetime(2027, 1, 1, tzinfo=UTC)}, True),
    ],
)
def test_epoch_opens_only_when_the_assignment_changes(
    change: dict[str, Any], expected: Any
) -> None:
    """A change of who is treated how opens an epoch; a name, or less than a ppm, does not."""
    before = rollout()
    assert opens_epoch(before, msgspec.structs.replace(before, **change)) is expected
