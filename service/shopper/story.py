"""The shopper in a few sentences, so that a colleague understands the page in 90 seconds. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from service.shopper.view import Affinity, Arm, Knowledge, SegmentOf, Totals
from service.stores.rollup_days import DAY_MS


def tell(
    totals: Totals,
    segments: Sequence[SegmentOf],
    categories: Sequence[Affinity],
    arms: Sequence[Arm],
    model: Knowledge,
    *,
    now_ms: int,
) -> list[str]:
    """Write the sentences; the first says who this is, the last why they see what they see."""
    return [
        sentence
        for sentence in (
            _presence(totals, now_ms),
            _spending(totals),
            _tastes(categories),
            _groups(segments),
            _treatment(arms),
            _knowledge(totals, model),
        )
        if sentence
    ]


def _presence(totals: Totals, now_ms: int) -> str:
    if totals.last_ms is None:
        return "Nothing that they did is kept."
    n = sum(totals.events.values())
    ago, days = _ago(now_ms - totals.last_ms), _count(_days(totals), "day")
    if not n:
        slates = _count(totals.slates, "slate")
        return (
            f"Last here {ago}; was shown {slates} over {days}, and nothing that they did is kept."
        )
    channel = next((name for name in totals.channels if name), None)
    where = f", mostly in the channel {channel}" if channel else ""
    newest = "the newest " if totals.is_cut else ""
    return f"Last here {ago}; {newest}{_count(n, 'interaction')} over {days}{where}."


def _spending(totals: Totals) -> str:
    if not totals.orders:
        return "Has not bought anything yet." if totals.events else ""
    if totals.average_order_value is None:
        return f"{_count(totals.orders, 'order')} of unknown value."
    sold = f"{_count(totals.orders, 'order')} worth {totals.value:,.2f}"
    if totals.orders == 1:
        return f"{sold} with {totals.items_per_order:.0f} item{_s(totals.items_per_order)}."
    return (
        f"{sold}, on average {totals.average_order_value:,.2f} "
        f"with {totals.items_per_order:.1f} items."
    )


def _tastes(categories: Sequence[Affinity]) -> str:
    names = [one.category.split(" > ")[-1] for one in categories[:3]]
    return f"Nearest to {_join(names)}." if names else ""


def _groups(segments: Sequence[SegmentOf]) -> str:
    names = [one.key for one in segments[:4]]
    return f"In the segment{'s' if len(names) > 1 else ''} {_join(names)}." if names else ""


def _treatment(arms: Sequence[Arm]) -> str:
    treated = [f"{arm.variant} in {arm.key}" for arm in arms if arm.variant != "control"]
    if not arms:
        return ""
    if not treated:
        return f"In control of {'the one rollout' if len(arms) == 1 else 'every rollout'}."
    return f"Gets {_join(treated)}."


def _knowledge(totals: Totals, model: Knowledge) -> str:
    if model.version is None:
        return "No model is live, so everybody sees the static lists."
    if model.history_items:
        new = "" if model.is_known else ", all of it since the model was trained"
        return f"What they see rests on {_count(model.history_items, 'item')} of theirs{new}."
    if totals.events:
        return "None of what they did is of an item that the model knows."
    return "The model knows nothing of them: they see what their context and everybody likes."


def _days(totals: Totals) -> int:
    if totals.first_ms is None or totals.last_ms is None:
        return 0
    return totals.last_ms // DAY_MS - totals.first_ms // DAY_MS + 1


def _ago(ms: int) -> str:
    for unit, name in ((DAY_MS, "day"), (3_600_000, "hour"), (60_000, "minute")):
        if ms >= unit:
            return f"{_count(ms // unit, name)} ago"
    return "just now"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{_s(n)}"


def _s(n: float | None) -> str:
    return "" if n == 1 else "s"


def _join(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
