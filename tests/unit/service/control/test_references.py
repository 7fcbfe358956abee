"""Layers' slots, prerequisites and kills in the store: what one rollout has no other one gets."""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from models.errors import ConflictError, InputError
from service.control.documents import Banner, ItemStatus, Placement
from service.control.precondition import Precondition
from service.control.rule import Rule
from service.control.slots import DAY_MS, SlotError, use_of_slots
from service.control.writing import Change
from service.rollouts.definition import Rollout
from service.rollouts.layer import Holdout, Layer
from service.rollouts.segment import Segment
from tests.unit.service.control.samples import Worker, run_sql


@pytest.fixture
def worker(worker: Worker) -> Worker:
    """Open a control plane with a layer `home` of 100 slots whose slots rest for a day."""
    worker.put("layer", "home", Layer(n_slots=100, rest_days=1.0))
    return worker


def put(worker: Worker, key: str, **fields: Any) -> Any:
    """Put a rollout from the fields of its JSON."""
    return worker.put("rollout", key, msgspec.convert({"share": 0.5, **fields}, Rollout))


def test_placement_names_segments_that_there_are(worker: Worker) -> None:
    """An intent is spelt as it is, a list is uploaded, and stays while a placement asks it."""

    def placement(segment: str) -> Placement:
        audience = {"op": "segment", "segment": segment}
        fields = {"kind": "items", "recipes": [{"audience": audience, "recipe": "trending"}]}
        return msgspec.convert(fields, Placement)

    worker.put("placement", "recs", placement("intent:buying"))
    with pytest.raises(InputError, match=r"'intent:byuing' of the audience is no intent; known: "):
        worker.put("placement", "recs", placement("intent:byuing"))
    with pytest.raises(InputError, match="segment 'vip' of the audience is not uploaded"):
        worker.put("placement", "recs", placement("vip"))
    worker.put("segment", "vip", Segment(unit="user_id", n_members=0, content="0" * 32))
    worker.put("placement", "recs", placement("vip"))
    with pytest.raises(ConflictError, match="asked by the audience of placement 'recs'"):
        worker.delete("segment", "vip")


def in_layer(*slots: tuple[int, int], key: str = "home") -> dict[str, Any]:
    """Say which slots."""
    return {"key": key, "slots": [list(one) for one in slots]}


def owners(worker: Worker, now_ms: int = 0) -> list[tuple[int, int, str, bool]]:
    """List first slot, last slot, rollout, and whether they rest."""
    with worker.store.transaction() as transaction:
        use = use_of_slots(transaction, Layer(key="home", rest_days=1.0), now_ms)
    return [(one.first, one.last, one.rollout, one.rests_until is not None) for one in use]


def test_slot_belongs_to_one_rollout(worker: Worker) -> None:
    """Overlapping slots are refused with the owner's name; the store keeps what it had."""
    put(worker, "first", layer=in_layer((0, 49)))
    with pytest.raises(
        SlotError, match=r"slots 40 to 49 of layer 'home' belong to rollout 'first'"
    ):
        put(worker, "second", layer=in_layer((40, 60)))
    put(worker, "second", layer=in_layer((50, 99)))
    assert owners(worker) == [(0, 49, "first", False), (50, 99, "second", False)]
    assert set(worker.current.get().rollouts) == {"first", "second"}


def test_database_itself_keeps_slots_apart(worker: Worker) -> None:
    """Whoever writes past the program meets the primary key."""
    put(worker, "first", layer=in_layer((0, 49)))
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        run_sql(
            worker.store.place,
            "INSERT INTO layer_slots VALUES ('home', 49, 'other', 'other', NULL)",
        )


def test_freed_slot_rests(worker: Worker) -> None:
    """A slot given back is nobody's for the layer's rest, except for its last owner."""
    put(worker, "first", layer=in_layer((0, 49)))
    put(worker, "first", layer=in_layer((0, 9)))
    assert owners(worker) == [(0, 9, "first", False), (10, 49, "first", True)]
    with pytest.raises(SlotError, match=r"slots 10 to 20 of layer 'home' rest until"):
        put(worker, "second", layer=in_layer((10, 20)))
    put(worker, "first", layer=in_layer((0, 19)))
    assert owners(worker)[:2] == [(0, 19, "first", False), (20, 49, "first", True)]
    # The rest is over a day after the clock of the test, which has ticked a few ms past 1,000.
    assert owners(worker, now_ms=DAY_MS + 2_000) == [(0, 19, "first", False)]
    worker.patch("layer", "home", {"rest_days": 0})
    put(worker, "second", layer=in_layer((20, 30)))


def test_deleted_rollout_gives_its_slots_back(worker: Worker) -> None:
    """Deletion, or leaving the layer, frees every slot into its rest."""
    put(worker, "first", layer=in_layer((0, 9)))
    put(worker, "second", layer=in_layer((10, 19)))
    worker.delete("rollout", "first")
    worker.patch("rollout", "second", {"layer": None})
    assert owners(worker) == [(0, 9, "first", True), (10, 19, "second", True)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layer": in_layer((0, 9), key="nope")}, "layer 'nope' is not configured; known: home"),
        (
            {"layer": in_layer((90, 100))},
            "slot 100 is beyond layer 'home', which has the slots 0 to",
        ),
        ({"layer": in_layer((0, 9)), "unit": "anonymous_id"}, "hash the same unit"),
        (
            {"prerequisites": [{"rollout": "nope", "variants": ["a"]}]},
            "prerequisite 'nope' is not configured",
        ),
        (
            {"prerequisites": [{"rollout": "r", "variants": ["personal"]}]},
            "rollout 'r' is a prerequisite of itself; leave it out",
        ),
        ({"share": 4e-7}, "share 4e-07 is less than a millionth, the finest there is"),
        (
            {"ramp": {"steps": [{"share": 1e-9, "min_hours": 1}, {"share": 1, "min_hours": 1}]}},
            "share 1e-09 is less than a millionth",
        ),
    ],
)
def test_rollout_that_leans_on_nothing_is_refused(
    worker: Worker, fields: dict[str, Any], message: str
) -> None:
    """What a rollout names must exist, with the slots, unit and variants that it asks."""
    with pytest.raises(InputError, match=message):
        put(worker, "r", **fields)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"at_least": 5, "below": 3}, "no value lies at_least 5.0 and below 3.0 of 'age'"),
        ({"at_least": 5, "below": 5}, "at_least 5.0 and below 5.0"),
        ({"above": 5, "at_most": 5}, "above 5.0 and at_most 5.0"),
        ({"at_least": 6, "at_most": 5}, "swap the bounds, or leave one out"),
        ({"op": "version", "at_least": "4.10", "below": "4.9"}, "at_least 4.10 and below 4.9"),
    ],
)
def test_audience_between_bounds_that_cross_is_refused(
    worker: Worker, bounds: dict[str, Any], said: str
) -> None:
    """Nobody could ever be let in, so it is a slip, however deep it stands."""
    crossed = {"op": "range", "attribute": "age", **bounds}
    nested = {"op": "all", "of": [{"op": "exists", "attribute": "age"}, crossed]}
    for audience in (crossed, nested):
        with pytest.raises(InputError, match=said):
            put(worker, "r", audience=audience)
    with pytest.raises(InputError, match=said):
        worker.put("segment", "s", msgspec.convert({"rule": crossed}, Segment))


@pytest.mark.parametrize(
    "bounds", [{"at_least": 5, "at_most": 5}, {"above": 4, "below": 5}, {"at_least": 5}]
)
def test_audience_between_bounds_that_touch_is_taken(
    worker: Worker, bounds: dict[str, Any]
) -> None:
    """One number is enough, and an open end has no other side."""
    put(worker, "r", audience={"op": "range", "attribute": "age", **bounds})


def test_share_of_the_holdout_that_holds_out_nobody_is_refused(worker: Worker) -> None:
    """A millionth is the finest; 0 ends it."""
    with pytest.raises(InputError, match=r"give at least 0\.000001, or 0"):
        worker.put("holdout", "global", Holdout(share=1e-7))
    for share in (1e-6, 0.0):
        worker.put("holdout", "global", Holdout(share=share))


def test_share_that_lets_in_nobody_from_before_stops_no_kill(worker: Worker) -> None:
    """A rollout that an earlier version took with such a share can be killed and moved."""
    put(worker, "r", share=1e-6)
    run_sql(
        worker.store.place,
        """UPDATE documents SET body = REPLACE(body, '"share":1e-6', '"share":1e-7')""",
    )
    worker.patch("rollout", "r", {"killed": True})
    found = worker.plane.find("rollout", "r")
    assert isinstance(found, Rollout)
    assert (found.share, found.killed) == (1e-7, True)
    worker.patch("rollout", "r", {"share": 0.5})


def test_crossed_bounds_from_before_stop_no_kill(worker: Worker) -> None:
    """A rollout that an earlier version took with such an audience can be killed and moved."""
    put(worker, "r", audience={"op": "range", "attribute": "age", "at_least": 3, "below": 5})
    run_sql(
        worker.store.place,
        """UPDATE documents SET body = REPLACE(body, '"below":5.0', '"below":1.0')""",
    )
    change = Change("rollout", "r", "tester", Precondition())
    killed: Any = worker.plane.kill(change, killed=True).document
    assert (killed.killed, killed.audience.at_least, killed.audience.below) == (True, 3, 1)
    worker.patch("rollout", "r", {"share": 0.01})


def test_prerequisites_make_no_circle(worker: Worker) -> None:
    """The change that would close a circle is refused, and names the way round."""
    for key, below in (("b", "a"), ("c", "b")):
        if below == "a":
            put(worker, "a")
        put(worker, key, prerequisites=[{"rollout": below, "variants": ["personal"]}])
    with pytest.raises(InputError, match="a → c → b → a"):
        put(worker, "a", prerequisites=[{"rollout": "c", "variants": ["personal"]}])
    with pytest.raises(InputError, match="has no variant 'big'"):
        put(worker, "d", prerequisites=[{"rollout": "a", "variants": ["big"]}])


def test_prerequisite_stays_while_it_is_needed(worker: Worker) -> None:
    """Neither the rollout nor the variant that another one asks for can go."""
    put(worker, "a")
    put(worker, "b", prerequisites=[{"rollout": "a", "variants": ["personal"]}])
    with pytest.raises(ConflictError, match="rollout 'a' is a prerequisite of rollout 'b'"):
        worker.delete("rollout", "a")
    with pytest.raises(ConflictError, match="variant 'personal' of 'a' is a prerequisite"):
        put(worker, "a", variants=[{"key": "other"}])
    worker.delete("rollout", "b")
    worker.delete("rollout", "a")


def test_layer_in_use_keeps_its_units(worker: Worker) -> None:
    """While a rollout owns slots, a layer keeps slots, salt and unit, and cannot go."""
    put(worker, "r", layer=in_layer((0, 9)))
    for change in ({"n_slots": 50}, {"salt": "other"}, {"unit": "anonymous_id"}):
        with pytest.raises(ConflictError, match="rollouts own slots of it"):
            worker.patch("layer", "home", change)
    with pytest.raises(ConflictError, match="cannot be deleted"):
        worker.delete("layer", "home")
    worker.patch("layer", "home", {"name": "Home page", "salt": "home"})
    worker.patch("rollout", "r", {"layer": None})
    worker.delete("layer", "home")
    assert owners(worker) == []


def test_running_holdout_keeps_its_salt(worker: Worker) -> None:
    """A holdout may be widened; another salt would swap its units, so it must end first."""
    worker.put("holdout", "global", Holdout(share=0.05))
    worker.put("holdout", "global", Holdout(share=0.1))
    with pytest.raises(ConflictError, match="another salt"):
        worker.put("holdout", "global", Holdout(share=0.1, salt="2027"))
    worker.put("holdout", "global", Holdout(share=0))
    worker.put("holdout", "global", Holdout(share=0.1, salt="2027"))
    with pytest.raises(InputError, match="there is one holdout"):
        worker.put("holdout", "other", Holdout(share=0.1))


def test_flags_revision_is_the_same_for_whoever_looks(worker: Worker, tmp_path: Path) -> None:
    """A worker that saw every step and one that saw only the end name the same state."""
    put(worker, "r")
    revision = worker.current.get().flags_revision
    worker.put("placement", "home", Placement(kind="items"))
    late = Worker(tmp_path, worker.store.place)
    assert late.current.get().revision > late.current.get().flags_revision == revision
    worker.delete("rollout", "r")
    late.current.refresh()
    assert late.current.get().flags_revision == worker.current.get().flags_revision > revision
    late.close()


def test_rollouts_are_compiled_again_only_if_they_change(worker: Worker) -> None:
    """Hiding an item a hundred times costs nothing in rollouts; a holdout touches all of them."""
    put(worker, "r")
    before = worker.current.get().rollouts
    worker.put("item", "p1", ItemStatus(hidden=True))
    assert worker.current.get().rollouts is before
    worker.put("holdout", "global", Holdout(share=0.05))
    assert worker.current.get().rollouts["r"].holdout is not None


def test_rule_names_placements_and_lists_that_exist(worker: Worker) -> None:
    """So does the audience of a banner; a list that one of them asks cannot be deleted."""
    about: dict[str, Any] = {"action": "hide", "select": {"item_ids": ["a"]}}
    asks = {"op": "segment", "segment": "vip"}
    with pytest.raises(InputError, match="placement 'home' of the rule is not configured"):
        worker.put("rule", "r", msgspec.convert({**about, "placements": ["home"]}, Rule))
    with pytest.raises(InputError, match="segment 'vip' of the audience is not uploaded"):
        worker.put("rule", "r", msgspec.convert({**about, "audience": asks}, Rule))
    picture = {"title": "A", "image_url": "/i", "link_url": "/l", "audience": asks}
    with pytest.raises(InputError, match="segment 'vip' of the audience is not uploaded"):
        worker.put("banner", "b", msgspec.convert(picture, Banner))
    worker.put("segment", "vip", Segment(unit="user_id", n_members=0, content="0" * 32))
    worker.put("placement", "home", Placement(kind="items"))
    fields = {**about, "audience": asks, "placements": ["home"]}
    worker.put("rule", "r", msgspec.convert(fields, Rule))
    with pytest.raises(ConflictError, match="asked by the audience of rule 'r'"):
        worker.delete("segment", "vip")
