"""What a request may look like."""

import msgspec
import pytest

from service.serve.request import ServeRequest

DECODER = msgspec.json.Decoder(ServeRequest)


def test_example_of_the_design_decodes() -> None:
    """The body in the documentation, with `preview` null."""
    body = b"""
    {"user": {"user_id": "u1", "anonymous_id": "a1", "session_id": "s1", "consent": true},
     "context": {"channel": "web", "platform": "ios", "country": "AE", "page": "product",
                 "item_ids": ["p9"]},
     "placements": [{"id": "home_hero"},
                    {"id": "home_recs", "count": 12, "exclude_item_ids": ["p3"]}],
     "options": {"deadline_ms": 50, "explain": false, "preview": null}}"""
    request = DECODER.decode(body)
    assert request.placements[1].exclude_item_ids == ("p3",)
    assert request.options.deadline_ms == 50


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "placements"),
        ({"placements": []}, "$.placements"),
        ({"placements": [{"id": "p"}] * 51}, "$.placements"),
        ({"placements": [{"id": ""}]}, "$.placements[0].id"),
        ({"placements": [{"id": "p"}, {"id": "x" * 257}]}, "$.placements[1].id"),
        ({"placements": [{"id": "p", "count": 0}]}, "$.placements[0].count"),
        ({"placements": [{"id": "p", "count": 10_000}]}, "$.placements[0].count"),
        ({"placements": [{"id": "p", "count": "12"}]}, "$.placements[0].count"),
        ({"placements": [{"id": "p", "exclude_item_ids": ["x"] * 501}]}, "exclude_item_ids"),
        ({"placements": [{"id": "p"}], "user": {"user_id": "a\0b"}}, "$.user"),
        ({"placements": [{"id": "p"}], "user": {"anonymous_id": "é" * 129}}, "$.user"),
        ({"placements": [{"id": "p"}], "context": {"item_ids": ["a", "b\0"]}}, "$.context"),
        ({"placements": [{"id": "p"}], "context": {"page": "x" * 65}}, "$.context.page"),
        ({"placements": [{"id": "p"}], "context": {"page": "x\0"}}, "$.context"),
        ({"placements": [{"id": "p"}], "context": {"country": "\0"}}, "$.context"),
        ({"placements": [{"id": "p"}], "options": {"deadline_ms": 0}}, "$.options.deadline_ms"),
        (
            {"placements": [{"id": "p"}], "options": {"preview": {"at": "now"}}},
            "$.options.preview.at",
        ),
        ({"placements": [{"id": "p"}], "optoins": {}}, "optoins"),
    ],
)
def test_bad_request_names_the_place(body: dict[str, object], path: str) -> None:
    """Every rule that is broken names the field."""
    with pytest.raises(msgspec.ValidationError) as caught:
        DECODER.decode(msgspec.json.encode(body))
    assert path in str(caught.value)


def test_ids_are_measured_in_bytes() -> None:
    """128 letters of two bytes are allowed, 129 are not."""
    body = {"placements": [{"id": "p"}], "user": {"user_id": "é" * 128}}
    assert DECODER.decode(msgspec.json.encode(body)).user.user_id == "é" * 128
