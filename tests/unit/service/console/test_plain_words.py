"""What a document's rules say, as people read it."""

import msgspec
import pytest

from service.console.plain_words import in_plain_words
from service.control.documents import Banner, Placement
from service.control.rule import Rule
from service.rollouts.definition import Rollout
from service.rollouts.json_place import split_message


@pytest.mark.parametrize(
    ("kind", "document", "said"),
    [
        (Placement, {"kind": "items", "name": "n" * 201}, "this has at most 200 characters"),
        (Placement, {"kind": "items", "count": 0}, "a whole number at least 1 is wanted here"),
        (Placement, {"kind": "plants"}, "“plants” is none of the choices"),
        (Placement, {"kind": "items", "count": "x"}, "a whole number is wanted here, not text"),
        (Banner, {"title": ""}, "this is empty; write something"),
        (
            Banner,
            {"title": "t", "image_url": "/i", "link_url": "/", "weight": -1},
            "a number at least 0 is wanted here",
        ),
        (
            Rule,
            {"action": "hide", "select": {"item_ids": ["a"]}, "audience": {"op": "in"}},
            "“attribute” is missing here",
        ),
        (
            Rule,
            {"action": "hide"},
            "a hide that selects nothing in particular would be about every item; "
            "say below which are meant",
        ),
        (
            Rollout,
            {"share": 0.1, "variants": [{"key": "a b"}]},
            "letters, digits, _ . : - only, and a letter or a digit first",
        ),
        (Rollout, {"share": 0.1, "colour": 1}, "nothing is called “colour” here"),
    ],
)
def test_rule_is_said_in_plain_words(
    kind: type[msgspec.Struct], document: dict[str, object], said: str
) -> None:
    """Each as the library says it today, and none in the words of Python."""
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(document, kind)
    told = in_plain_words(split_message(str(refused.value))[0])
    assert told.startswith(said)
    assert "`" not in told


def test_what_is_plain_stays() -> None:
    """A sentence of ours is nobody's to rewrite."""
    text = "ends_at 2026-01-01 is not after starts_at 2026-02-01; swap them or leave one out"
    assert in_plain_words(text) == text
