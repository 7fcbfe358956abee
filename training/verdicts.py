"""Count and keep what is not used: rows dropped by a rule of the mapping, and rejected rows.

Every row read is kept, dropped under the first rule that names it, or rejected for the first reason
found; the three add up. Rejected rows go to ``rejects.jsonl``, without the user's id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from models.durable import replace_file
from models.errors import RejectedShareError
from models.past import next_steps
from training.columns import has_lost_bytes
from training.marks import FILE, ROW

DROPPED = "__dropped"
REASON = "__reason"
VALUE = "__value"
LOSSY_TEXT = "__lossy_text"

_MAX_SHOWN = 200


class RowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rows read went: ``read = kept + sum(dropped) + sum(rejected)``."""

    read: int
    kept: int
    dropped: dict[str, int]
    """By rule of the mapping."""
    rejected: dict[str, int]
    """By reason."""
    not_utf8: int = 0
    """Rows kept though a text that is no id has bytes that are not UTF-8."""
    duplicates: int = 0
    """Interactions kept though they repeat an earlier one in every column that is read."""

    @property
    def n_rejected(self) -> int:
        """How many rows were bad."""
        return sum(self.rejected.values())


@dataclass(frozen=True, slots=True)
class Check:
    """A reason to reject a row, where its expression is true, and the value to show for it."""

    reason: str
    is_bad: pl.Expr
    value: pl.Expr


def judge(
    frame: pl.LazyFrame,
    rules: Mapping[str, pl.Expr],
    checks: Sequence[Check],
    *,
    texts: Sequence[str],
) -> pl.LazyFrame:
    """Add the columns `DROPPED`, `REASON`, `VALUE` and, of the columns `texts`, `LOSSY_TEXT`.

    A kept row has null in the first two.
    """
    dropped = pl.coalesce(
        *(pl.when(is_meant).then(pl.lit(rule)) for rule, is_meant in rules.items()),
        pl.lit(None, dtype=pl.String),
    )
    reason = pl.coalesce(
        *(pl.when(check.is_bad).then(pl.lit(check.reason)) for check in checks),
        pl.lit(None, dtype=pl.String),
    )
    value = pl.coalesce(
        *(
            pl.when(pl.col(REASON) == check.reason).then(check.value.cast(pl.String))
            for check in checks
        ),
        pl.lit(None, dtype=pl.String),
    )
    return (
        frame.with_columns(
            dropped.alias(DROPPED),
            pl.any_horizontal(has_lost_bytes(pl.col(name)) for name in texts).alias(LOSSY_TEXT),
        )
        .with_columns(pl.when(pl.col(DROPPED).is_null()).then(reason).alias(REASON))
        .with_columns(value.str.slice(0, _MAX_SHOWN).alias(VALUE))
    )


def count_rows(judged: pl.DataFrame) -> RowCounts:
    """Count the rows of a judged frame."""
    dropped = _count(judged[DROPPED])
    rejected = _count(judged[REASON])
    return RowCounts(
        read=judged.height,
        kept=judged.height - sum(dropped.values()) - sum(rejected.values()),
        dropped=dropped,
        rejected=rejected,
        not_utf8=kept_rows(judged.filter(LOSSY_TEXT)).height,
    )


def kept_rows(judged: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are used."""
    return judged.filter(pl.col(DROPPED).is_null() & pl.col(REASON).is_null())


def rejected_rows(judged: pl.DataFrame, kind: str) -> list[dict[str, object]]:
    """Describe the rejected rows of ``interactions`` or ``catalog``, one object each."""
    found = judged.filter(pl.col(REASON).is_not_null()).select(
        pl.lit(kind).alias("kind"),
        pl.col(FILE).alias("file"),
        (pl.col(ROW).cast(pl.Int64) + 1).alias("row"),
        pl.col(REASON).alias("reason"),
        pl.col(VALUE).alias("value"),
    )
    return found.to_dicts()


def write_rejects(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write ``rejects.jsonl`` anew: one line per rejected row, none if every row was good."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def check_reject_share(kind: str, counts: RowCounts, max_reject_share: float, where: str) -> None:
    """Raise `RejectedShareError` if more rows were bad than the mapping allows."""
    meant = counts.read - sum(counts.dropped.values())
    if meant and counts.n_rejected / meant > max_reject_share:
        worst = ", ".join(f"{reason} {n}" for reason, n in counts.rejected.items())
        raise RejectedShareError(
            f"{counts.n_rejected} of {meant} rows of the {kind} are bad "
            f"({counts.n_rejected / meant:.1%}), more than max_reject_share "
            f"{max_reject_share:.1%}: {'; '.join([worst, *next_steps(counts.rejected), where])}"
        )


def _count(column: pl.Series) -> dict[str, int]:
    counts = (
        column.drop_nulls().value_counts().sort(["count", column.name], descending=[True, False])
    )
    return {name: int(n) for name, n in counts.iter_rows()}
