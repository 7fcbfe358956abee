"""The manifest of a model version: what it was made from, how, and how good it is."""

from __future__ import annotations

from typing import Literal

import msgspec

from models.errors import ArtifactError

FORMAT_VERSION = 1

GateVerdict = Literal["passed", "refused", "forced", "first"]


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Blend(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers that the score of an item is put together with; chosen by the trainer."""

    half_life_days: float = 365.0
    """Age at which an interaction counts half, ``> 0``."""
    recency: float = 0.7
    """``γ``: items of the k-th newest moment of a history, k from 0, count ``(1 + k)^-γ``."""
    event_weights: tuple[float, float, float, float, float] = (1.0, 2.0, 3.0, 5.0, 0.0)
    """Weight of a view, click, add_to_cart, purchase and refund, as `InteractionKind` counts."""
    max_recent: int = 100
    """How many of the newest distinct items of a user speak."""
    factor_weight: float = 0.5
    """``a`` in the score: the weight of the factors."""
    popularity_weight: float = 0.05
    """``b`` in the score: the weight of the popularity prior."""


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Why a version may or may not go live."""

    verdict: GateVerdict
    reason: str
    against_popularity: Interval | None = None
    against_live: Interval | None = None


class SegmentSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the users of a segment have in common, over the training window."""

    users: int
    orders: int
    average_order_value: float | None
    """Nothing where no price is known."""
    items_per_order: float | None
    """Units, not lines."""
    orders_per_month: float | None
    """Of one user, in 30 days."""
    channel_share: dict[str, float]
    """Of the interactions whose channel is known."""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """How the input differs from that of the version that was live."""

    against: str
    changes: dict[str, float]
    """Of rows, users, items and interactions, relative: 0.1 is a tenth more."""
    event_stability: float
    """Population stability index of the shares of the events, 0 for the same mix."""
    warnings: list[str]


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What the search for weights found on a slice of the training data."""

    n_trials: int
    n_users: int
    """Of the slice; one half chose the weights, the other judged them."""
    default_ndcg: float
    """Mean of NDCG@10 and NDCG@20 of the judging half with the shipped weights."""
    tuned_ndcg: float
    gain: Interval
    """Of the judging half, user by user."""
    is_kept: bool
    """Whether the gain is sure; else the shipped weights stay."""
    is_repeatable: bool
    """False where the time ran out: another run may try more and choose otherwise."""
    weights: dict[str, float]
    """The best weights, as multiples of the shipped ones."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a version but its arrays."""

    version: str
    """First 16 hexadecimal digits of the hash over arrays, hyperparameters and data window."""
    parent: str | None
    """The version that was live when this one was trained."""
    created_at_ms: int
    data_from_ms: int
    data_until_ms: int
    counts: dict[str, int]
    """Rows read, rejected and kept; users, items, interactions by event."""
    blend: Blend
    hyperparameters: dict[str, float]
    metrics: dict[str, dict[str, float]]
    """Recommender name, then metric name, e.g. ``metrics["hybrid"]["ndcg@20"]``."""
    gate: Gate
    checksums: dict[str, str]
    """Array name, then the BLAKE2b hash of its bytes."""
    seed: int
    segments: dict[str, SegmentSummary] = {}
    """By key, in order of priority."""
    drift: Drift | None = None
    """Nothing for the first version."""
    tuning: Tuning | None = None
    """Nothing where the shipped weights were not questioned."""
    intervals: dict[str, dict[str, Interval]] = {}
    """Of the metrics that are means over users, named likewise; none in versions of before."""
    format_version: int = FORMAT_VERSION

    def check_format(self) -> None:
        """Raise `ArtifactError` if this program cannot read the version."""
        if self.format_version != FORMAT_VERSION:
            raise ArtifactError(
                f"model version {self.version} has format {self.format_version}, "
                f"this program reads {FORMAT_VERSION}; train again with 'endcap train'"
            )

    def encode(self) -> bytes:
        """Write it as the JSON of ``manifest.json``, for people to read too."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)
