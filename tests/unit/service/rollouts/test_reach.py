"""Whom a change would move: counted on known visitors, each unit once."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.rollouts.compiled import CompiledRollout, compile_rollout
from service.rollouts.conditions import In
from service.rollouts.definition import Rollout, Variant
from service.rollouts.reach import Moved, Reach, measure_reach
from service.stores.known_visitors import KnownVisitor


class Listed:
    """A segment of some users."""

    def __init__(self, *users: str) -> None:
        self._users = set(users)

    def has(self, user_key: str | None, anonymous_key: str | None) -> bool:
        """Say whether the user is listed."""
        return user_key in self._users


def known(number: int, country: str = "AE", platform: str | None = "ios") -> KnownVisitor:
    """Make a user who was there."""
    key = f"u{number}"
    return KnownVisitor("user_id", key, key, None, country, "web", platform)


def compiled(**fields: Any) -> CompiledRollout:
    """Compile rollout r."""
    return compile_rollout(Rollout(key="r", **fields))


def measure(
    before: CompiledRollout | None, after: CompiledRollout, *visitors: KnownVisitor, **options: Any
) -> Reach:
    """Measure at 1 ms, without segments unless some are given."""
    return measure_reach(before, after, visitors, **{"segments": {}, "now_ms": 1, **options})


UNITS = [known(number) for number in range(2_000)]


def test_wider_share_gains_and_moves_nobody() -> None:
    """From 10 to 30 % a fifth of the units gain, nobody loses or flips."""
    moved = measure(compiled(share=0.1), compiled(share=0.3), *UNITS).all
    assert (moved.units, moved.lose, moved.flip) == (2_000, 0, 0)
    assert moved.gain == moved.treated_after - moved.treated_before
    assert 330 < moved.gain < 470


def test_other_salt_flips_and_moves_both_ways() -> None:
    """Half at 50 % lose and as many gain; of two arms that swap, all flip."""
    moved = measure(compiled(share=0.5), compiled(share=0.5, salt="x"), *UNITS).all
    assert 420 < moved.gain < 580
    assert 420 < moved.lose < 580
    arms = (Variant(key="a"), Variant(key="b"))
    swapped = (Variant(key="b"), Variant(key="a"))
    whole = measure(compiled(share=1, variants=arms), compiled(share=1, variants=swapped), *UNITS)
    assert whole.all.flip == 2_000


def test_groups_are_of_the_context_and_the_segments() -> None:
    """Whoever has no platform is told so; a unit may be in two segments."""
    visitors = [known(1, "AE"), known(2, "SA"), known(3, "SA", None)]
    after = compiled(share=1, audience=In(attribute="country", values=("SA",)))
    segments = {"vip": Listed("u1", "u2"), "new": Listed("u2"), "none": Listed()}
    reach = measure(None, after, *visitors, segments=segments)
    assert {one.value: one.gain for one in reach.by_country} == {"SA": 2, "AE": 0}
    assert {one.value: (one.units, one.gain) for one in reach.by_platform} == {
        "ios": (2, 1),
        None: (1, 1),
    }
    assert {one.value: (one.units, one.gain) for one in reach.by_segment} == {
        "vip": (2, 1),
        "new": (1, 1),
    }


def test_attributes_that_are_not_kept_are_named() -> None:
    """An audience that asks for the app's tier cannot be tried, and the answer says so."""
    asking = compiled(share=1, audience=In(attribute="tier", values=("gold",)))
    reach = measure(compiled(share=1), asking, *UNITS)
    assert reach.unknown_attributes == ["tier"]
    assert reach.all.lose == 2_000


def test_unit_counts_once_as_it_was_last_seen() -> None:
    """The newest row of a unit decides; a rollout over visitors leaves out who is none."""
    after = compiled(share=1, unit="anonymous_id")
    phone = KnownVisitor("user_id", "u1", "u1", "a1", "SA", None, None)
    reach = measure(None, after, phone, phone._replace(country="AE"), known(1))
    assert reach.all.units == 1
    assert [one.value for one in reach.by_country] == ["SA"]


@given(st.integers(0, 100), st.integers(0, 100))
def test_counts_add_up(before: int, after: int) -> None:
    """Those treated then are those of now, less the losses, plus the gains."""
    moved = measure(compiled(share=before / 100), compiled(share=after / 100), *UNITS[:60]).all
    assert moved.treated_after == moved.treated_before - moved.lose + moved.gain
    assert min(moved.gain, moved.lose) == moved.flip == 0


def test_nobody_known_is_nobody_moved() -> None:
    """Without exposures every number is 0."""
    nobody = Moved(units=0, treated_before=0, treated_after=0, gain=0, lose=0, flip=0)
    assert measure(None, compiled(share=1)).all == nobody
