"""The gate: a candidate goes live only if it beats popularity and is not worse than live."""

from __future__ import annotations

from models.manifest import Gate, Interval

METRIC = "ndcg@20"


def decide(
    *,
    n_users: int,
    against_popularity: Interval | None,
    against_live: Interval | None,
    live: str | None,
    is_forced: bool,
) -> Gate:
    """Judge a candidate by the paired differences of `METRIC`, candidate minus the other.

    It must be better than popularity on average, and is worse than live if the whole interval of
    the difference is below zero. `n_users` are the users measured; with none nothing can be shown.
    """
    refusals = _refusals(n_users, against_popularity, against_live, live)
    if refusals and is_forced:
        verdict, reason = "forced", "; ".join([*refusals, "published with --force"])
    elif refusals:
        verdict, reason = "refused", "; ".join(refusals)
    elif live is None:
        verdict, reason = "first", "better than popularity; no version was live"
    else:
        verdict, reason = "passed", f"better than popularity and not worse than {live}"
    return Gate(
        verdict=verdict,  # type: ignore[arg-type]  # one of the four above
        reason=reason,
        against_popularity=against_popularity,
        against_live=against_live,
    )


def _refusals(
    n_users: int,
    against_popularity: Interval | None,
    against_live: Interval | None,
    live: str | None,
) -> list[str]:
    if n_users == 0 or against_popularity is None:
        return ["no user chose anything new in the newest part of the data, so nothing is shown"]
    refusals = []
    if against_popularity.value <= 0:
        refusals.append(
            f"not better than popularity: {METRIC} differs by {_show(against_popularity)}"
        )
    if against_live is not None and against_live.high < 0:
        refusals.append(f"worse than live {live}: {METRIC} differs by {_show(against_live)}")
    return refusals


def _show(interval: Interval) -> str:
    return f"{interval.value:+.4f} (95 % interval {interval.low:+.4f} to {interval.high:+.4f})"
