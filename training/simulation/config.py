"""What a simulated world is made from: equal configurations make equal worlds, byte for byte."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]

MS_PER_DAY = 86_400_000

_STREAMS = ("catalog", "shoppers", "history", "dirt", "traffic")


class WorldConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The size of a world, its end in time and the strength of what moves its shoppers."""

    now_ms: int
    """Where the history ends and the live visits begin, epoch ms."""
    seed: int = 7
    n_items: Annotated[int, msgspec.Meta(ge=12)] = 2_000
    n_shoppers: Annotated[int, msgspec.Meta(ge=10)] = 5_000
    n_interactions: Annotated[int, msgspec.Meta(ge=100)] = 200_000
    """Clean interactions of the history, at most."""
    days: Annotated[int, msgspec.Meta(ge=7)] = 90
    """Length of the history."""
    cold_share: Share = 0.02
    """Items that arrived on the last day and have no interaction yet."""
    unavailable_share: Share = 0.03
    newcomer_share: Share = 0.10
    """Shoppers who have never been seen before the live visits begin."""
    anonymous_share: Share = 0.20
    """Live visits of somebody who does not sign in."""
    unwilling_share: Share = 0.03
    """Live visits without consent: nothing personal may be used or kept."""
    dirty_share: Share = 0.003
    """Broken rows in the history, as a share of the clean ones."""
    position_bias: Annotated[float, msgspec.Meta(ge=0.0)] = 0.7
    """η: a shopper examines position p with probability ``p ** -η``."""
    base_utility: float = -6.0
    """Utility of a middling item for a middling shopper; its ``sigmoid`` is a click probability."""
    taste_scale: Annotated[float, msgspec.Meta(ge=0.0)] = 1.0
    """How far tastes move utility; with 0 all want the same and no list is personal."""
    quality_scale: Annotated[float, msgspec.Meta(ge=0.0)] = 0.5
    """Standard deviation of what everybody agrees on."""

    def rng(self, stream: str) -> np.random.Generator:
        """Return the generator of one part of the world; parts do not disturb each other."""
        return np.random.default_rng([self.seed, _STREAMS.index(stream)])
