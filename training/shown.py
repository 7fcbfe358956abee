"""What of a rejected value is written down: the form of it, where it might be a person's id.

A mapping that takes one column for another puts e-mail addresses or customer numbers where times
and numbers are meant. File and row say where the value itself stands.
"""

from __future__ import annotations

import polars as pl

_DATE = r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([ T][-+:., \dTZAPMUC]*)?$"


def form(text: pl.Expr) -> pl.Expr:
    """Write ``9`` for every digit and ``x`` for every letter."""
    return text.str.replace_all(r"\d", "9").str.replace_all(r"\p{L}", "x")


def shown_time(text: pl.Expr) -> pl.Expr:
    """Show a date as it is, and the form of what is none: ``17841`` may be a customer."""
    return pl.when(text.str.contains(_DATE)).then(text).otherwise(form(text))


def shown_number(text: pl.Expr) -> pl.Expr:
    """Show a number as it is, and the form of what is none."""
    is_number = text.str.strip_chars().cast(pl.Float64, strict=False).is_not_null()
    return pl.when(is_number).then(text).otherwise(form(text))


def shown_word(text: pl.Expr) -> pl.Expr:
    """Show a word as it is, and the form of an e-mail address."""
    return pl.when(text.str.contains("@", literal=True)).then(form(text)).otherwise(text)
