"""What each e-commerce event of Segment's and Google's specifications is called in Endcap.

Tables only; `service.intake.segment` and `service.intake.ga4` read messages with them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from service.intake.messages import Kind

About = Literal["items", "banner", "slate"]


class Meaning(NamedTuple):
    """What a named event says in Endcap."""

    kind: Kind
    about: About = "items"


SEGMENT_EVENTS: dict[str, Meaning] = {
    "product viewed": Meaning("view"),
    "product clicked": Meaning("click"),
    "product added": Meaning("add_to_cart"),
    "order completed": Meaning("purchase"),
    "order refunded": Meaning("refund"),
    "promotion clicked": Meaning("click", "banner"),
    "product list viewed": Meaning("exposure", "slate"),
    "promotion viewed": Meaning("exposure", "slate"),
    "experiment viewed": Meaning("exposure", "slate"),
}
"""Names of the E-Commerce specification, version 2, in lower case."""

SEGMENT_ALIASES: dict[str, str] = {
    "viewed product": "product viewed",
    "clicked product": "product clicked",
    "added product": "product added",
    "added product to cart": "product added",
    "product added to cart": "product added",
    "completed order": "order completed",
    "refunded order": "order refunded",
    "viewed product list": "product list viewed",
    "viewed product category": "product list viewed",
    "viewed promotion": "promotion viewed",
    "clicked promotion": "promotion clicked",
    "viewed experiment": "experiment viewed",
}
"""Names of version 1, the words the other way round."""

GA4_EVENTS: dict[str, Meaning] = {
    "view_item": Meaning("view"),
    "select_item": Meaning("click"),
    "add_to_cart": Meaning("add_to_cart"),
    "purchase": Meaning("purchase"),
    "refund": Meaning("refund"),
    "select_promotion": Meaning("click", "banner"),
    "view_item_list": Meaning("exposure", "slate"),
    "view_promotion": Meaning("exposure", "slate"),
}


def segment_meaning(name: str) -> Meaning | None:
    """Look a name up, whatever its case."""
    plain = " ".join(name.casefold().split())
    return SEGMENT_EVENTS.get(SEGMENT_ALIASES.get(plain, plain))
