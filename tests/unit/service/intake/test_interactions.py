"""Packed interactions say what the same as objects would."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.events import InteractionKind
from service.intake.interactions import MAX_RECENT, Interactions, RecentEvent
from service.stores.event_reads import InteractionRow

ROWS = st.lists(
    st.builds(
        InteractionRow,
        seq=st.integers(1, 2**40),
        kind=st.integers(0, 4),
        item_id=st.text(
            st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1
        ),
        at_ms=st.integers(-5, 5),
    ),
    unique_by=lambda row: row.seq,
)


def row(seq: int, item_id: str = "p", kind: int = 0, at_ms: int = 1) -> InteractionRow:
    return InteractionRow(seq, kind, item_id, at_ms)


def events(rows: Sequence[InteractionRow]) -> list[RecentEvent]:
    """Make the objects: by time, then by commit, the newest 100."""
    ordered = sorted(rows, key=lambda row: (row.at_ms, row.seq))[-MAX_RECENT:]
    return [RecentEvent(row.item_id, InteractionKind(row.kind), row.at_ms) for row in ordered]


@given(ROWS)
def test_interactions_read_as_they_were_packed(rows: list[InteractionRow]) -> None:
    """In whatever order they came, at once or one by one, whatever the ids are made of."""
    packed = Interactions.of(rows)
    one_by_one = Interactions()
    for one in rows:
        one_by_one = one_by_one.with_row(one)
    assert list(packed) == events(rows)
    assert one_by_one == packed
    assert len(packed) == len(rows)
    assert hash(one_by_one) == hash(packed)


@given(ROWS, st.integers(-3, 9), st.integers(-3, 9))
def test_piece_is_what_a_list_would_give(rows: list[InteractionRow], begin: int, end: int) -> None:
    """From the front, to the end, or nothing at all."""
    packed, plain = Interactions.of(rows), events(rows)
    assert list(packed[begin:end]) == plain[begin:end]
    assert packed[:] == packed
    assert [packed[place] for place in range(len(packed))] == plain
    assert packed[:end] == Interactions.of(sorted(rows, key=lambda one: (one.at_ms, one.seq))[:end])


@given(ROWS, st.data())
def test_merged_lists_hold_what_is_in_either_once(
    rows: list[InteractionRow], data: st.DataObject
) -> None:
    """An event that was sent with both ids is in both."""
    of_mine = data.draw(st.lists(st.sampled_from(rows), unique=True)) if rows else []
    of_visit = [one for one in rows if one not in of_mine] + of_mine[:2]
    mine, visit = Interactions.of(of_mine), Interactions.of(of_visit)
    assert list(mine.merged(visit)) == list(visit.merged(mine)) == events(rows)


def test_oldest_goes_when_there_are_a_hundred() -> None:
    """Whether the new one is the newest, or was late; an older one than all does not come in."""
    full = Interactions.of([row(seq, f"p{seq}", at_ms=seq) for seq in range(1, 101)])
    newest = full.with_row(row(101, "new", at_ms=101))
    assert [newest[0].item_id, newest[-1].item_id, len(newest)] == ["p2", "new", 100]
    late = full.with_row(row(101, "late", at_ms=50))
    assert [late[0].item_id, late[49].item_id, len(late)] == ["p2", "late", 100]
    assert full.with_row(row(101, "old", at_ms=0)) == full
    other = Interactions.of([row(200 + n, f"q{n}", at_ms=50) for n in range(60)])
    assert [event.item_id for event in full.merged(other)][:3] == ["q10", "q11", "q12"]


def test_known_event_changes_nothing() -> None:
    """A commit is told by its number; bytes that look like one inside of others are not one."""
    packed = Interactions.of([row(0x0102, at_ms=0), row(5, at_ms=1)])
    assert packed.with_row(row(5, "again", at_ms=9)) is packed
    assert len(packed.with_row(row(0x01 << 8, at_ms=9))) == 3


@given(ROWS)
def test_one_event_is_read_from_either_end(rows: list[InteractionRow]) -> None:
    """By its place as of a list, and not beyond."""
    packed, plain = Interactions.of(rows), events(rows)
    assert [packed[place] for place in range(-len(plain), len(plain))] == plain + plain
    with pytest.raises(IndexError):
        _ = packed[len(plain)]


def test_same_union_is_worked_out_once() -> None:
    """A visitor who is signed in asks for it with every page, until one of the lists is new."""
    mine, visit = Interactions.of([row(1)]), Interactions.of([row(2)])
    both = mine.merged(visit)
    assert mine.merged(visit) is both
    assert len(mine.merged(visit.with_row(row(3)))) == 3


def test_only_whole_pieces_are_cut() -> None:
    """Nobody asks for every second one."""
    with pytest.raises(ValueError, match="step of 1"):
        Interactions()[::2]
    assert Interactions.of([row(1)]) != [RecentEvent("p", InteractionKind.VIEW, 1)]
