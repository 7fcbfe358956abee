"""Item ids: one spelling for each, and which of them are no products, as the mapping says."""

from __future__ import annotations

import polars as pl

from training.columns import matches_any
from training.mapping import ItemRules


def normalise_item_id(column: pl.Expr, rules: ItemRules) -> pl.Expr:
    """Apply the steps of ``[items] normalise`` in their order; empty text becomes null."""
    for step in rules.normalise:
        if step == "strip":
            column = column.str.strip_chars()
        elif step == "upper":
            column = column.str.to_uppercase()
        else:
            column = column.str.to_lowercase()
    return column


def is_no_product(rules: ItemRules) -> pl.Expr:
    """Tell whether ``item_id`` is a postage, a fee or the like."""
    return matches_any(pl.col("item_id"), rules.not_products)
