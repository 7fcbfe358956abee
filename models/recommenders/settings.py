"""The hyperparameters of all recommenders, with one default for every shop."""

from __future__ import annotations

import msgspec

from models.manifest import Blend


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is chosen before anything is learnt."""

    blend: Blend = msgspec.field(default_factory=Blend)
    """How interactions are weighed and how the parts of the score are added."""
    factors: int = 128
    """Dimensions of the implicit-feedback factors."""
    iterations: int = 10
    """Passes of alternating least squares."""
    further_iterations: int = 2
    """Passes from the factors of the past, when the same weights are fitted on all data."""
    regularization: float = 10.0
    """Of these factors, ``>= 0``."""
    alpha: float = 20.0
    """Confidence of an interaction of mean weight beside that of no interaction, ``> 0``."""
    spectral_dimensions: int = 384
    """Dimensions of the low-pass factors."""
    served_dimensions: int = 384
    """Dimensions of both together, as they are stored and served."""
    content_dimensions: int = 64
    """Dimensions of the content embedding."""
    graph_k: int = 200
    """Neighbours per item in the item graph."""
    max_basket: int = 1000
    """Newest interactions of a user that the item graph counts, against quadratic growth."""
    trend_days: float = 28.0
    """Age at which an interaction counts 1/e for what is wanted lately."""
    new_share: float = 1.0
    """What new items get of the 20 first places, beside what `share_of_places` gives them."""
    graph_weight: float = 1.0
    """Of the item graph in the hybrid; this and the next four multiply the shipped weights."""
    attribute_weight: float = 1.0
    """Of the likeness of attributes."""
    spectral_weight: float = 1.0
    """Of the low-pass factors."""
    als_weight: float = 1.0
    """Of the implicit-feedback factors."""
    popularity_weight: float = 1.0
    """Of the popularity prior."""

    def numbers(self) -> dict[str, float]:
        """Name every number but those of the blend, for the manifest."""
        names = (name for name in self.__struct_fields__ if name != "blend")
        return {name: float(getattr(self, name)) for name in names}
