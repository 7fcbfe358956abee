"""A rollout as a form and back: only what was changed is in the patch."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from service.console.audience_words import audience_of, audience_words, simple_fields
from service.console.form import Form, FormError
from service.console.rollout_form import fields_of, overlaid, patch_from
from service.control.merge_patch import merge_patch
from service.rollouts.conditions import Condition
from service.rollouts.definition import Rollout

FULL: dict[str, Any] = {
    "name": "Home",
    "share": 0.25,
    "variants": [
        {"key": "a", "weight": 2, "recipe": "for_you"},
        {"key": "b", "banner_ids": ["sale"]},
    ],
    "audience": {
        "op": "all",
        "of": [
            {"op": "in", "attribute": "country", "values": ["AE", "SA"]},
            {"op": "segment", "segment": "vip"},
        ],
    },
    "starts_at": "2026-01-05T09:00:00+04:00",
    "ramp": {
        "steps": [
            {"share": 0.25, "min_hours": 24, "min_units": 100},
            {"share": 0.5, "min_hours": 1},
        ],
        "guardrails": [
            {"type": "outcome", "metric": "conversion", "max_drop": 0.05},
            {"type": "latency", "max_p99_ms": 40},
        ],
    },
    "forced": {"user_key:0123456789abcdef0123456789abcdef": "a"},
}


def rollout(**changes: Any) -> Rollout:
    """Make the full rollout, changed."""
    return msgspec.convert({**FULL, **changes}, Rollout)


def typed(base: Rollout, **fields: Any) -> Form:
    """Fill the form in as it was drawn, but for some fields."""
    changed = {
        name: (value,) if isinstance(value, str) else tuple(value) for name, value in fields.items()
    }
    return Form({**fields_of(base), **changed}, {})


@pytest.mark.parametrize("base", [rollout(), msgspec.convert({"share": 0.5}, Rollout)])
def test_form_that_nobody_touched_changes_nothing(base: Rollout) -> None:
    """Also with spare rows, other line ends and space around."""
    assert patch_from(typed(base), base) == {}
    spare = typed(
        base, variant_key=(*fields_of(base)["variant_key"], "", ""), name=f" {base.name or ''} "
    )
    assert patch_from(spare, base) == {}


def test_patch_holds_the_changed_parts_only() -> None:
    """A variant keeps what the form does not show; a removed ramp is null."""
    base = rollout()
    patch = patch_from(
        typed(
            base,
            variant_weight=("3", "1"),
            ramp_share=(),
            ramp_hours=(),
            ramp_units=(),
            guard_metric=(),
            guard_limit=(),
        ),
        base,
    )
    assert patch == {
        "variants": [
            {**msgspec.to_builtins(base.variants[0]), "weight": 3},
            {**msgspec.to_builtins(base.variants[1]), "weight": 1},
        ],
        "ramp": None,
    }
    assert patch["variants"][1]["banner_ids"] == ("sale",)


def test_patch_makes_what_was_typed() -> None:
    """Merged into the document, it is the rollout that the form shows."""
    base = rollout()
    form = typed(
        base,
        audience_country="AE",
        audience_segment="",
        starts_at="2026-02-01T08:00",
        time_zone="Asia/Dubai",
        ramp_share=("30", "60"),
        guard_metric=("click_through", "errors"),
        guard_limit=("10", "1"),
        approval="1",
        forced_add="u9 = b",
        forced_remove="user_key:0123456789abcdef0123456789abcdef",
    )
    merged = merge_patch(msgspec.to_builtins(base), patch_from(form, base))
    after = msgspec.convert(merged, Rollout)
    assert audience_words(after.audience) == "country is AE"
    assert (after.starts_at, after.time_zone) == (datetime(2026, 2, 1, 8), "Asia/Dubai")
    assert after.ramp is not None
    assert [(step.share, step.min_hours) for step in after.ramp.steps] == [(0.3, 24), (0.6, 1)]
    assert [type(one).__name__ for one in after.ramp.guardrails] == [
        *("OutcomeGuardrail", "ErrorGuardrail"),
    ]
    assert (after.approval, after.forced) == (True, {"u9": "b"})


@pytest.mark.parametrize(
    ("field", "typed_value"),
    [("ramp_share", "-5"), ("ramp_share", "101"), ("ramp_share", "nan"), ("guard_limit", "-1")],
)
def test_percentage_of_a_ramp_is_between_0_and_100(field: str, typed_value: str) -> None:
    """Of a step as of a guardrail; a p99 is none."""
    base = rollout()
    fields = {"ramp_share": ("30",), "guard_metric": ("errors",), "guard_limit": ("1",)}
    with pytest.raises(FormError, match=f"{typed_value} % is not between 0 and 100 %"):
        patch_from(typed(base, **{**fields, field: (typed_value,)}), base)
    slow = typed(base, ramp_share="30", guard_metric="p99", guard_limit="250")
    assert patch_from(slow, base)["ramp"]["guardrails"][0]["max_p99_ms"] == 250


def test_units_of_a_ramp_are_written_without_a_comma() -> None:
    """1,000 of them are not one: a step that waits for one unit would not wait at all."""
    base = rollout()
    with pytest.raises(FormError, match=r"'1,000' may be 1000 or 1\.000"):
        patch_from(typed(base, ramp_units=("1,000", "0")), base)
    apart = patch_from(typed(base, ramp_units=("1 000", "0")), base)
    assert apart["ramp"]["steps"][0]["min_units"] == 1000


def test_moment_with_an_offset_is_shown_in_utc() -> None:
    """Nine in Dubai is five in UTC."""
    fields = fields_of(rollout())
    assert (fields["starts_at"], fields["time_zone"]) == (("2026-01-05T05:00",), ("UTC",))
    assert rollout().starts_at == datetime(2026, 1, 5, 5, tzinfo=UTC)


def test_local_time_beside_a_moment_with_an_offset_is_of_its_zone() -> None:
    """And not of the machine's: noon in Dubai is eight in UTC."""
    fields = fields_of(rollout(ends_at="2026-02-01T12:00:00", time_zone="Asia/Dubai"))
    assert (fields["starts_at"], fields["ends_at"]) == (
        ("2026-01-05T05:00",),
        ("2026-02-01T08:00",),
    )


def test_end_of_a_day_keeps_its_last_second() -> None:
    """Where only the start of the schedule is changed."""
    base = rollout(starts_at=None, ends_at="2026-02-01T23:59:59", time_zone="Asia/Dubai")
    patch = patch_from(typed(base, starts_at="2026-01-01T00:00"), base)
    assert (patch["starts_at"], patch["ends_at"]) == ("2026-01-01T00:00:00", "2026-02-01T23:59:59")


def test_second_editor_keeps_what_they_typed_over_the_state_of_now() -> None:
    """Where the first one changed something else, that is kept too."""
    base, current = rollout(), rollout(name="Changed by another", holdout=False)
    fields = overlaid(current, typed(base, audience_country="SA"), base)
    assert fields["name"] == ("Changed by another",)
    assert fields["holdout"] == ()
    assert fields["audience_country"] == ("SA",)


@pytest.mark.parametrize(
    ("fields", "part", "message"),
    [
        ({"variant_weight": ("x", "1")}, "variants", "weight of 'a' is 'x'"),
        ({"ramp_share": ("x", "50")}, "ramp", "write a number"),
        ({"audience_json": "{"}, "audience", "not JSON"),
        ({"starts_at": "soon"}, "starts_at", "no date"),
        ({"forced_add": "u9"}, "forced_add", "USER_ID = VARIANT"),
        ({"ramp_share": (), "ramp_hours": (), "ramp_units": ()}, "ramp", "give it a step"),
    ],
)
def test_what_cannot_be_read_names_its_field(
    fields: dict[str, Any], part: str, message: str
) -> None:
    """And says how to write it."""
    base = rollout()
    with pytest.raises(FormError, match=message) as raised:
        patch_from(typed(base, **fields), base)
    assert raised.value.field == part


def test_audience_beyond_the_fields_is_kept_as_json() -> None:
    """And may be changed so; an inner object is replaced whole."""
    audience = {"op": "not", "of": {"op": "in", "attribute": "country", "values": ["AE"]}}
    base = rollout(audience=audience)
    assert '"not"' in fields_of(base)["audience_json"][0]
    other = '{"op": "not", "of": {"op": "exists", "attribute": "page"}}'
    patch = patch_from(typed(base, audience_json=other), base)
    after = msgspec.convert(merge_patch(msgspec.to_builtins(base), patch), Rollout)
    assert audience_words(after.audience) == "not (page is known)"


@pytest.mark.parametrize(
    ("audience", "words"),
    [
        ({"op": "equals", "attribute": "page", "value": "home"}, "page is home"),
        (
            {"op": "not_in", "attribute": "country", "values": ["AE", "SA", "US"]},
            "country is not AE, SA or US",
        ),
        (
            {"op": "range", "attribute": "age", "at_least": 18, "below": 30},
            "age is at least 18.0 and below 30.0",
        ),
        ({"op": "starts_with", "attribute": "page", "values": ["/a"]}, "page begins with /a"),
        ({"op": "ends_with", "attribute": "page", "values": ["/a"]}, "page ends with /a"),
        ({"op": "after", "at": "2026-01-01T00:00:00Z"}, "now is not before 2026-01-01 00:00 UTC"),
        (
            {"op": "before", "at": "2026-01-01T03:00:00+04:00"},
            "now is before 2025-12-31 23:00 UTC",
        ),
        (
            {
                "op": "all",
                "of": [
                    {
                        "op": "any",
                        "of": [
                            {"op": "segment", "segment": "a"},
                            {"op": "segment", "segment": "b"},
                        ],
                    },
                    {"op": "exists", "attribute": "x"},
                ],
            },
            "(in segment a or in segment b) and x is known",
        ),
    ],
)
def test_audience_is_told_in_words(audience: Any, words: str) -> None:
    """Every kind of condition, nested ones in brackets."""
    assert audience_words(msgspec.convert(audience, Condition)) == words


def test_simple_audience_goes_through_its_fields_unchanged() -> None:
    """Countries, channels and any of some segments; what is more has no fields."""
    fields = {"country": ["AE"], "platform": [], "channel": ["app"], "segment": ["a", "b"]}
    audience = msgspec.convert(audience_of(fields), Condition)
    assert simple_fields(audience) == fields
    assert audience_of({}) is None
    twice = {
        "op": "all",
        "of": [{"op": "segment", "segment": "a"}, {"op": "segment", "segment": "b"}],
    }
    assert simple_fields(msgspec.convert(twice, Condition)) is None
