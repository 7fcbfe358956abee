"""The four stages together: holdout, layer, enrolment, arm; then audience, prerequisites, kill."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from service.rollouts.bucketing import bucket, bucket_of, line
from service.rollouts.compiled import compile_rollout, compile_rollouts
from service.rollouts.definition import Rollout
from service.rollouts.evaluate import evaluate
from service.rollouts.layer import Holdout, Layer, ranges_of
from service.rollouts.visitor import Unit, Visitor

NOW_MS = int(datetime(2026, 1, 15, tzinfo=UTC).timestamp() * 1000)
HOLDOUT = Holdout(share=0.1)
LAYER = Layer(key="home", n_slots=10)
TWO_ARMS = [{"key": "a"}, {"key": "b"}]
N_UNITS = 200_000


def rollout(key: str = "r", share: float = 1.0, **fields: Any) -> Rollout:
    """Make a rollout from the fields of its JSON."""
    return msgspec.convert({"key": key, "share": share, **fields}, Rollout)


def someone(number: int = 1, **options: Any) -> Visitor:
    """Make the visitor of user number n."""
    return Visitor(f"u{number}", None, now_ms=NOW_MS, **options)


def outcome(assignment: Any) -> tuple[Any, ...]:
    """Shorten an assignment."""
    return assignment.variant, assignment.reason, assignment.detail


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("u1", [481928, 699512, 75104, 591175]), ("Zoë-東京-🛒", [961163, 954020, 739740, 142322])],
)
def test_stages_draw_buckets_of_their_own(unit: str, expected: list[int]) -> None:
    """One salt gives four unrelated buckets; no release changes them."""
    stages = ("holdout", "layer", "enrolment", "arm")
    drawn = [bucket(stage, "home_recs", "user_id", unit) for stage in stages]  # type: ignore[arg-type]
    assert drawn == expected


@given(st.text(min_size=1), st.text(max_size=8), st.sampled_from(["user_id", "anonymous_id"]))
def test_visitor_is_placed_where_the_formula_says(unit: str, salt: str, kind: Any) -> None:
    """The short way that evaluation takes gives the documented bucket, the first time and again."""
    visitor = Visitor(unit, unit, now_ms=NOW_MS)
    for stage in ("holdout", "layer", "enrolment", "arm"):
        expected = bucket(stage, salt, kind, unit)
        on = line(stage, salt, kind)
        assert bucket_of(visitor.digest(on, Unit(kind, unit))) == expected
        assert bucket_of(visitor.shared_digest(on, Unit(kind, unit))) == expected
        assert bucket_of(visitor.shared_digest(on, Unit(kind, unit))) == expected


def test_holdout_takes_its_share_and_no_ramp_touches_it() -> None:
    """Whoever is in the holdout is in control at every share of every rollout that minds it."""
    held = {
        number
        for number in range(5_000)
        if bucket("holdout", "global", "user_id", f"u{number}") < 100_000
    }
    for key, share in (("r", 0.01), ("r", 0.5), ("r", 1.0), ("other", 1.0)):
        compiled = compile_rollout(rollout(key, share), HOLDOUT)
        found = {n for n in range(5_000) if evaluate(compiled, someone(n)).detail == "HOLDOUT"}
        assert found == held
    # 10 % of 5,000, within 3.29 standard deviations of √(5000 · 0.1 · 0.9) = 21.2
    assert abs(len(held) - 500) < 70
    operational = compile_rollout(rollout(holdout=False), HOLDOUT)
    assert all(evaluate(operational, someone(n)).variant == "personal" for n in held)


def test_layer_gives_each_slot_to_one_rollout() -> None:
    """Of two rollouts that split a layer, every unit meets exactly one, and slots decide which."""
    compiled = compile_rollouts(
        [
            rollout("first", layer={"key": "home", "slots": [[0, 3]]}),
            rollout("second", layer={"key": "home", "slots": [[4, 9]]}),
        ],
        {"home": LAYER},
    )
    n_first = 0
    for number in range(2_000):
        visitor = someone(number)
        slot = bucket("layer", "home", "user_id", f"u{number}") * 10 // 1_000_000
        first, second = (evaluate(compiled[key], visitor) for key in ("first", "second"))
        assert outcome(first if slot < 4 else second) == ("personal", "SPLIT", None)
        assert outcome(second if slot < 4 else first) == ("control", "STATIC", "LAYER")
        n_first += slot < 4
    assert 700 < n_first < 900


def test_layer_that_is_gone_lets_nobody_in() -> None:
    """A rollout whose layer is not known treats nobody, rather than everybody."""
    compiled = compile_rollouts([rollout(layer={"key": "home", "slots": [[0, 9]]})])
    assert evaluate(compiled["r"], someone()).detail == "LAYER"


def test_audience_comes_before_the_stages() -> None:
    """Who is not meant is told so, in or out of the holdout; reports do not count them."""
    audience = {"op": "equals", "attribute": "country", "value": "AE"}
    compiled = compile_rollout(rollout(audience=audience), Holdout(share=1.0))
    assert outcome(evaluate(compiled, someone())) == ("control", "STATIC", "AUDIENCE")
    here = someone(attributes={"country": "AE"})
    assert outcome(evaluate(compiled, here)) == ("control", "STATIC", "HOLDOUT")
    assert evaluate(compiled, here).logged_reason == "HOLDOUT"


def test_prerequisite_needs_its_variant() -> None:
    """A rollout on top of another reaches exactly those who have the variant there."""
    below = rollout("below", 0.5, variants=TWO_ARMS)
    above = rollout("above", prerequisites=[{"rollout": "below", "variants": ["b"]}])
    compiled = compile_rollouts([above, below])
    seen = set()
    for number in range(200):
        variant = evaluate(compiled["below"], someone(number)).variant
        expected = (
            ("personal", "SPLIT", None)
            if variant == "b"
            else ("control", "DISABLED", "PREREQUISITE")
        )
        assert outcome(evaluate(compiled["above"], someone(number))) == expected
        seen.add(variant)
    assert seen == {"control", "a", "b"}


def test_prerequisite_that_is_gone_or_goes_round_is_never_met() -> None:
    """A configuration that should not exist treats nobody and does not hang."""
    gone = compile_rollouts([rollout(prerequisites=[{"rollout": "x", "variants": ["control"]}])])
    assert evaluate(gone["r"], someone()).detail == "PREREQUISITE"
    circle = compile_rollouts(
        [
            rollout("x", prerequisites=[{"rollout": "y", "variants": ["control"]}]),
            rollout("y", prerequisites=[{"rollout": "x", "variants": ["personal"]}]),
        ]
    )
    assert evaluate(circle["x"], someone()).key == "x"


def test_killed_rollout_is_control_for_everyone() -> None:
    """A kill beats forced units, share and audience."""
    killed = rollout(killed=True, forced={"user_key:u1": "personal"})
    assignment = evaluate(compile_rollout(killed), someone())
    assert outcome(assignment) == ("control", "DISABLED", "KILLED")


def test_local_schedule_follows_its_time_zone() -> None:
    """Midnight in Dubai is 20:00 UTC the day before."""
    compiled = compile_rollout(rollout(starts_at="2026-01-15T00:00:00", time_zone="Asia/Dubai"))
    assert compiled.starts_at_ms == NOW_MS - 4 * 3_600_000
    with pytest.raises(msgspec.ValidationError, match="has no offset"):
        rollout(starts_at="2026-01-15T00:00:00")
    with pytest.raises(msgspec.ValidationError, match="is not known"):
        rollout(time_zone="Asia/Atlantis")


def test_two_rollouts_with_two_arms_are_independent() -> None:
    """On 200,000 units the variant of one rollout says nothing of another's: χ² at 99.9 %."""
    first, second = (
        compile_rollout(rollout(key, 0.6, variants=TWO_ARMS)) for key in ("first", "second")
    )
    names = ["control", "a", "b"]
    table = [[0] * 3 for _ in names]
    for number in range(N_UNITS):
        visitor = someone(number)
        row = names.index(evaluate(first, visitor).variant)
        column = names.index(evaluate(second, visitor).variant)
        table[row][column] += 1
    rows = [sum(row) for row in table]
    columns = [sum(column) for column in zip(*table, strict=True)]
    statistic = sum(
        (table[i][j] - rows[i] * columns[j] / N_UNITS) ** 2 / (rows[i] * columns[j] / N_UNITS)
        for i in range(3)
        for j in range(3)
    )
    assert statistic < chi2.ppf(0.999, 4)


@given(
    shares=st.lists(st.floats(0, 1), min_size=2, max_size=6),
    unit=st.text(min_size=1, max_size=64),
    in_layer=st.booleans(),
)
def test_ramp_moves_nobody_between_arms(shares: list[float], unit: str, in_layer: bool) -> None:
    """Whatever the ramp, with holdout and layer, a unit is in one arm or in control, never in two.

    And a wider share keeps everyone whom a narrower one had.
    """
    layer = {"layer": {"key": "home", "slots": [[0, 6]]}} if in_layer else {}
    visitor = Visitor(unit, None, now_ms=NOW_MS)
    by_share = {}
    for share in shares:
        compiled = compile_rollouts(
            [rollout("r", share, variants=TWO_ARMS, **layer)], {"home": LAYER}, HOLDOUT
        )
        by_share[share] = evaluate(compiled["r"], visitor).variant
    treated = {variant for variant in by_share.values() if variant != "control"}
    assert len(treated) <= 1
    in_order = [by_share[share] != "control" for share in sorted(by_share)]
    assert in_order == sorted(in_order)


@given(st.sets(st.integers(0, 200)))
def test_ranges_cover_exactly_their_slots(slots: set[int]) -> None:
    """Slots written as ranges are the same slots, in order and without a gap inside a range."""
    ranges = ranges_of(slots)
    assert [slot for first, last in ranges for slot in range(first, last + 1)] == sorted(slots)


@pytest.mark.parametrize(
    ("value_type", "value", "expected"),
    [
        ("boolean", True, "true"),
        ("string", "é", '"é"'),
        ("integer", -3, "-3"),
        ("float", 1, "1.0"),
        ("float", 0.1, "0.1"),
        ("object", {"a": [1, None]}, '{"a":[1,null]}'),
    ],
)
def test_value_is_written_as_its_type(value_type: str, value: object, expected: str) -> None:
    """A whole number declared float goes out as 1.0; everything else as it came."""
    made = rollout(
        value_type=value_type, control_value=value, variants=[{"key": "a", "value": value}]
    )
    values = compile_rollout(made).values
    assert msgspec.json.encode(values["a"]).decode() == expected
    stored = msgspec.json.decode(msgspec.json.encode(made), type=Rollout)
    assert stored == made
    assert msgspec.json.encode(stored.control_value).decode() == expected


@pytest.mark.parametrize(
    ("value_type", "value"),
    [
        ("boolean", 1),
        ("boolean", None),
        ("string", True),
        ("integer", 1.0),
        ("integer", True),
        ("integer", 2**53),
        ("float", "1"),
        ("float", 10**400),
        ("object", []),
        ("object", {"a": "x" * 70_000}),
    ],
)
def test_value_of_another_type_is_refused(value_type: str, value: object) -> None:
    """A value that some client could not read as its type is refused when it is written."""
    with pytest.raises(msgspec.ValidationError):
        rollout(value_type=value_type, variants=[{"key": "a", "value": value}])


def test_flag_without_control_value_leaves_it_to_the_code() -> None:
    """Control may be left to the code's default; a rollout without a type answers its variant."""
    flag = rollout(value_type="boolean", variants=[{"key": "on", "value": True}])
    assert compile_rollout(flag).values == {"on": True}
    assert compile_rollout(rollout()).values == {"personal": "personal", "control": "control"}
    with pytest.raises(msgspec.ValidationError, match="needs value_type"):
        rollout(control_value=True)
    with pytest.raises(msgspec.ValidationError, match="has no value"):
        rollout(value_type="boolean")
