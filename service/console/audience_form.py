"""An audience as rows of a form: every row must hold. What rows cannot say is written as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from service.console.form import Form, FormError, read_json, words
from service.rollouts.conditions import (
    MAX_CONDITIONS,
    All,
    AnyOf,
    Condition,
    Equals,
    In,
    InSegment,
    Not,
    NotIn,
)

SEGMENT = "segment"
N_SPARE = 2
"""Empty rows to write into."""

Verb = Literal["is", "is_not"]


@dataclass(frozen=True, slots=True)
class AudienceRow:
    """One test: an attribute, or the segment, is or is not one of some values."""

    attribute: str = ""
    verb: Verb = "is"
    values: str = ""


@dataclass(frozen=True, slots=True)
class AudienceFields:
    """What the form shows of an audience."""

    rows: list[AudienceRow]
    json: str = ""
    """The audience as JSON, where rows cannot say it."""


def show_audience(audience: Condition | None) -> AudienceFields:
    """Write an audience as rows, or as JSON."""
    rows = [] if audience is None else _rows_of(audience)
    if rows is None:
        text = msgspec.json.format(msgspec.json.encode(audience), indent=2).decode()
        return AudienceFields([AudienceRow()] * N_SPARE, text)
    return AudienceFields([*rows, *[AudienceRow()] * N_SPARE])


def read_audience(form: Form) -> Any:
    """Read an audience as it is written in a document; nothing for everybody.

    Raises
    ------
    FormError
        If the JSON is none, or a row lacks a part.
    """
    text = form.text("audience_json")
    if text:
        return read_json(text, "audience_json")
    tests = [test for row in typed_rows(form) if (test := _test(row)) is not None]
    if not tests:
        return None
    return tests[0] if len(tests) == 1 else {"op": "all", "of": tests}


def typed_rows(form: Form) -> list[AudienceRow]:
    """Return the rows as they were typed."""
    columns = [form.all(f"audience_{name}") for name in ("attribute", "verb", "values")]
    return [
        AudienceRow(attribute, "is_not" if verb == "is_not" else "is", values)
        for attribute, verb, values in list(zip(*columns, strict=False))[:MAX_CONDITIONS]
    ]


def typed_audience(form: Form) -> AudienceFields:
    """Return what was typed, to show it again."""
    rows = [row for row in typed_rows(form) if row.attribute or row.values]
    return AudienceFields([*rows, *[AudienceRow()] * N_SPARE], form.text("audience_json"))


def _test(row: AudienceRow) -> dict[str, Any] | None:
    values = words(row.values)
    if not values and not row.attribute:
        return None
    if not values:
        raise FormError(
            "audience_values", f"{row.attribute} has no value; write one, or several with commas"
        )
    if not row.attribute:
        raise FormError("audience_values", f"{row.values!r} of what? choose what is asked")
    if row.attribute != SEGMENT:
        op = "in" if row.verb == "is" else "not_in"
        return {"op": op, "attribute": row.attribute, "values": values}
    tests = [{"op": "segment", "segment": value} for value in values]
    test = tests[0] if len(tests) == 1 else {"op": "any", "of": tests}
    return test if row.verb == "is" else {"op": "not", "of": test}


def _rows_of(audience: Condition) -> list[AudienceRow] | None:
    """Return rows that say the same, or nothing if none do."""
    parts = audience.of if isinstance(audience, All) else (audience,)
    rows = [_row_of(part) for part in parts]
    return None if None in rows else [row for row in rows if row is not None]


def _row_of(test: Condition) -> AudienceRow | None:  # noqa: PLR0911  # one for each kind of row
    match test:
        case In(attribute=attribute, values=values) if _are_plain(values):
            return AudienceRow(attribute, "is", ", ".join(map(str, values)))
        case Equals(attribute=attribute, value=value) if _are_plain((value,)):
            return AudienceRow(attribute, "is", str(value))
        case NotIn(attribute=attribute, values=values) if _are_plain(values):
            return AudienceRow(attribute, "is_not", ", ".join(map(str, values)))
        case InSegment(segment=segment):
            return AudienceRow(SEGMENT, "is", segment)
        case AnyOf(of=of) if all(isinstance(each, InSegment) for each in of):
            names = [each.segment for each in of if isinstance(each, InSegment)]
            return AudienceRow(SEGMENT, "is", ", ".join(names))
        case Not(of=InSegment() | AnyOf() as inner):
            row = _row_of(inner)
            return None if row is None else AudienceRow(SEGMENT, "is_not", row.values)
    return None


def _are_plain(values: tuple[Any, ...]) -> bool:
    """Say whether values come out of a text as they went in."""
    return all(isinstance(value, str) and words(value) == [value] for value in values)
