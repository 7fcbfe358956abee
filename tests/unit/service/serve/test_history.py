"""A history that is continued, against one that is merged at once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.events import InteractionKind
from models.vocabulary import MISSING_ROW
from service.serve.history import continue_history, merge_history
from service.serve.profile import Profile
from service.serve.profiles import Profiles
from service.serve.stock import Stock
from tests.snapshots import ITEM_IDS, TRAINED_MS
from tests.unit.service.serve.pages import TINY, Recent

STOCK = Stock(TINY)
EVENTS = st.builds(
    Recent,
    st.sampled_from([*ITEM_IDS, "unknown"]),
    st.sampled_from(list(InteractionKind)),
    st.integers(TRAINED_MS - 10**9, TRAINED_MS + 10**9),
)


@given(st.lists(EVENTS, max_size=12), st.integers(0, 12), st.sampled_from([0, MISSING_ROW]))
def test_profile_is_continued_as_if_it_were_made_anew(
    events: list[Recent], n_before: int, user_row: int
) -> None:
    """Wherever the events are cut, the history and what was bought are those of all at once."""
    recent = tuple(events)
    before = Profile(STOCK, user_row, recent[:n_before])
    continued = Profile(STOCK, user_row, recent, before)
    history, purchased = merge_history(STOCK, user_row, recent)
    assert continued.purchased == purchased
    for mine, whole in (
        (continued.history.rows, history.rows),
        (continued.history.kinds, history.kinds),
        (continued.history.at_ms, history.at_ms),
    ):
        assert mine.dtype == whole.dtype
        assert mine.tolist() == whole.tolist()


@given(st.lists(EVENTS, max_size=14), st.integers(5, 8), st.sampled_from([0, MISSING_ROW]))
def test_profile_slides_as_if_it_were_made_anew(
    events: list[Recent], n_known: int, user_row: int
) -> None:
    """Of more events than are known the oldest is gone: what it alone has brought is gone too."""
    ordered = tuple(sorted(events, key=lambda event: event.at_ms))
    profile = Profile(STOCK, user_row, ())
    for end in range(1, len(ordered) + 1):
        recent = ordered[max(end - n_known, 0) : end]
        profile = Profile(STOCK, user_row, recent, profile)
        history, purchased = merge_history(STOCK, user_row, recent)
        assert profile.purchased == purchased
        assert profile.history.rows.tolist() == history.rows.tolist()
        assert profile.history.kinds.tolist() == history.kinds.tolist()
        assert profile.history.at_ms.tolist() == history.at_ms.tolist()


def test_oldest_event_goes_by_itself() -> None:
    """What stays is not merged again: the news are put behind what is there without it."""
    recent = tuple(Recent(one, at_ms=at_ms) for at_ms, one in enumerate(ITEM_IDS[:6], TRAINED_MS))
    before = merge_history(STOCK, MISSING_ROW, recent[:5])
    slid = continue_history(STOCK, MISSING_ROW, before, recent[:5], recent[1:])
    assert slid is not None
    assert slid[0].rows.tolist() == [STOCK.row(event.item_id) for event in recent[1:]]


def test_profile_begins_anew_where_an_old_event_is_gone() -> None:
    """Only the newest hundred events are known: what is not behind the old ones is merged again."""
    profiles = Profiles()
    events = tuple(Recent(one) for one in ("mug", "lamp", "rose"))
    profiles.get(STOCK, "ann", None, events[:2])
    rows = profiles.get(STOCK, "ann", None, events[1:]).history.rows
    assert np.array_equal(rows, merge_history(STOCK, MISSING_ROW, events[1:])[0].rows)
