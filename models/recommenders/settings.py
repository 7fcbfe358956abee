"""The hyperparameters of all recommenders, with one default for every shop."""

from __future__ import annotations

import msgspec

from models.manifest import Blend


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is chosen before anything is learnt."""

    blend: Blend = msgspec.field(default_factory=Blend)
    """How interactions are weighed and how the parts of the score are added."""
    factors: int = 64
    """Dimensions of the implicit-feedback factors."""
    iterations: int = 12
    """Passes of alternating least squares."""
    regularization: float = 0.05
    """Of the factors, ``>= 0``."""
    alpha: float = 10.0
    """Confidence of one unit of weight beside that of no interaction, ``> 0``."""
    content_dimensions: int = 64
    """Dimensions of the content embedding."""
    kappa: float = 5.0
    """Interactions at which an item's own factor counts as much as the one of its attributes."""
    ridge: float = 1.0
    """Regularisation of the map from attributes to factors, ``> 0``."""
    graph_k: int = 200
    """Neighbours per item in the item graph."""
    max_basket: int = 200
    """Newest items of a user that the co-occurrence counts, against quadratic growth."""
    transition_weight: float = 0.5
    """Weight of directed transitions beside the co-occurrence in the item graph."""
    content_weight: float = 0.1
    """Weight of attribute similarity in the item graph."""
    new_items: int = 10
    """How many new items without interactions each item lists as neighbours at most."""

    def numbers(self) -> dict[str, float]:
        """Name every number but those of the blend, for the manifest."""
        names = (name for name in self.__struct_fields__ if name != "blend")
        return {name: float(getattr(self, name)) for name in names}
