"""Segments of the model in serving: as a tier, and as what audiences ask for."""

import msgspec

from service.rollouts.definition import Rollout
from service.serve.model_segments import all_segments
from tests.snapshots import ALICE, tiny_snapshot
from tests.unit.service.serve.pages import (
    TINY,
    decide,
    items_of,
    items_placement,
    make_shelf,
    make_visit,
)

REGULARS = {
    "key": "recs",
    "share": 1,
    "audience": {"op": "segment", "segment": "value:regular"},
}


def test_segment_prior_stands_in_before_popularity() -> None:
    """What `trending` does not fill comes from the shopper's segment, then from what is popular."""
    shelf = make_shelf(items_placement(recipe="trending", count=4))
    [known] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    [stranger] = decide(shelf, make_visit(shelf, user_key="b" * 32), "recs")
    assert items_of(stranger) == ["lamp", "bulb", "rose", "mug"]
    assert items_of(known) == ["lamp", "bulb", "rose", "mug"]
    shelf = make_shelf(items_placement(recipe="recently_viewed"))
    [known] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    assert items_of(known) == ["pan", "mug", "bulb"]
    assert known.exposure.shown[2].source == "segment"


def test_audience_asks_for_a_segment_of_the_model() -> None:
    """The rollout treats whom the trainer put into the segment, and nobody else."""
    rollout = msgspec.convert(REGULARS, Rollout)
    shelf = make_shelf(items_placement(static_ids=["spade"]), rollout)
    [known] = decide(shelf, make_visit(shelf, user_key=ALICE), "recs")
    other = make_visit(shelf, user_key="b" * 32)
    [stranger] = decide(shelf, other, "recs")
    assert known.exposure.variant == "personal"
    assert (stranger.exposure.variant, stranger.exposure.reason) == ("control", "AUDIENCE")


def test_uploaded_list_goes_before_its_namesake() -> None:
    """A list that somebody uploaded is what they mean by its name."""

    class Nobody:
        def has(self, user_key: str | None, anonymous_key: str | None) -> bool:
            return False

    users = tiny_snapshot().users
    assert all_segments({}, users)["value:regular"].has(ALICE, None)
    assert all_segments({}, users)["value:regular"].has(None, ALICE)
    assert not all_segments({}, users)["churn:at_risk"].has(ALICE, None)
    assert not all_segments({}, users)["value:regular"].has(None, None)
    assert not all_segments({"value:regular": Nobody()}, users)["value:regular"].has(ALICE, None)


def test_shelf_without_a_model_has_only_uploaded_lists() -> None:
    """Nothing is known of anybody before the first model."""
    assert make_shelf(snapshot=None).segments == {}
    assert set(make_shelf(snapshot=TINY).segments) == {"churn:at_risk", "value:regular"}
