"""Logs and policies in files: columns of a table, named by the caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from models.errors import ConfigError, InputError
from models.ids import list_known
from training.marks import BLANK, MALFORMED
from training.policy.decisions import Decisions, Policy, number, tabulate
from training.read import columns_of, scan_files

COLUMNS = ("action", "propensity", "reward", "position", "unit", "context")
NEEDED = ("action", "propensity", "reward")
MAX_BAD_SHARE = 0.05
UNKNOWN = "(not in the log)"
"""Stands for what a policy shows and the log never did."""


class FileLog:
    """The decisions of a file, the values of their contexts, and what was left out."""

    def __init__(self, frame: pl.DataFrame, n_bad: int) -> None:
        self.n_bad = n_bad
        self.positions = sorted(frame["position"].unique().to_list())
        self.contexts: list[str] = frame["context"].to_list()
        place = {position: row for row, position in enumerate(self.positions)}
        action, actions = number(frame["action"].to_list())
        unit, _ = number(frame["unit"].to_list())
        self.decisions = Decisions(
            actions=[*actions, UNKNOWN],
            action=action,
            position=np.array([place[one] for one in frame["position"]], dtype=np.intp),
            propensity=frame["propensity"].to_numpy(),
            reward=frame["reward"].to_numpy(),
            unit=unit,
        )

    def uniform(self) -> Policy:
        """Every action of the log alike."""
        n = len(self.decisions.actions) - 1
        rows = np.zeros(len(self.decisions), dtype=np.intp)
        return tabulate("uniform", [dict.fromkeys(range(n), 1 / n)], rows, n + 1)

    def as_given(self, name: str, frame: pl.DataFrame) -> Policy:
        """Take probabilities by action and, where they are given, position and context.

        Raises
        ------
        InputError
            If they do not add up to 1.
        """
        keys = [key for key in ("position", "context") if key in frame.columns]
        given = _by_place(name, frame, keys)
        columns = {
            "position": [self.positions[one] for one in self.decisions.position],
            "context": self.contexts,
        }
        row, places = number(
            tuple(columns[key][place] for key in keys) for place in range(len(self.decisions))
        )
        numbers = {action: place for place, action in enumerate(self.decisions.actions)}
        rows = []
        for place in places:
            found: dict[int, float] = {}
            for action, share in given.get(place, {}).items():
                column = numbers.get(action, numbers[UNKNOWN])
                found[column] = found.get(column, 0.0) + share
            rows.append(found)
        return tabulate(name, rows, row, len(self.decisions.actions))


def _by_place(
    name: str, frame: pl.DataFrame, keys: Sequence[str]
) -> dict[tuple[str, ...], dict[str, float]]:
    given: dict[tuple[str, ...], dict[str, float]] = {}
    for row in frame.iter_rows(named=True):
        shares = given.setdefault(tuple(row[key] for key in keys), {})
        shares[row["action"]] = shares.get(row["action"], 0.0) + row["probability"]
    for place, shares in given.items():
        if abs(sum(shares.values()) - 1) > 0.01 or min(shares.values()) < 0:
            raise InputError(
                f"the probabilities of {name} at {dict(zip(keys, place, strict=True))} add up to "
                f"{sum(shares.values()):.3f}; they must be those of every action, together 1"
            )
    return given


def read_log(source: str, columns: Mapping[str, str]) -> FileLog:
    """Read a log; `columns` maps action, propensity, reward, position, unit, context to its own.

    Raises
    ------
    InputError
        If there is no file, a column is missing, or over 5 % of the rows are bad.
    """
    frame = _read(source, columns, (*NEEDED, *(one for one in columns if one != "probability")))
    is_good = (
        pl.col("action").is_not_null()
        & pl.col("propensity").is_between(0, 1, closed="right")
        & pl.col("reward").is_finite()
    )
    good = frame.filter(is_good.fill_null(value=False))
    n_bad = len(frame) - len(good)
    if not len(good) or n_bad > MAX_BAD_SHARE * len(frame):
        raise InputError(
            f"{n_bad} of {len(frame)} rows of {source!r} lack an action, a reward, or a propensity "
            "above 0 and at most 1; name the columns with --column propensity=NAME"
        )
    return FileLog(good, n_bad)


def read_probabilities(source: str, columns: Mapping[str, str]) -> pl.DataFrame:
    """Read a policy: action, probability and, where they are there, position and context.

    Raises
    ------
    InputError
        If there is no file, or a column is missing.
    """
    frame = _read(source, columns, ("action", "probability"))
    kept = [one for one in ("position", "context") if f"has_{one}" in frame.columns]
    return frame.select("action", "probability", *kept).filter(
        pl.col("action").is_not_null() & pl.col("probability").is_finite()
    )


def observed(source: str, columns: Mapping[str, str]) -> pl.DataFrame:
    """Take the shares in which another log shows actions at each position for its policy.

    Raises
    ------
    InputError
        If there is no file, or a column is missing.
    """
    frame = _read(source, columns, ("action",)).filter(pl.col("action").is_not_null())
    counts = frame.group_by("position", "action").len()
    return counts.select(
        "position",
        "action",
        probability=pl.col("len") / pl.col("len").sum().over("position"),
    ).sort("position", "action")


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """Read `action=item_id` and the like.

    Raises
    ------
    ConfigError
        If one is not of that form, or names what there is not.
    """
    columns = {}
    for text in texts:
        name, _, column = text.partition("=")
        if name not in (*COLUMNS, "probability") or not column:
            known = list_known([*COLUMNS, "probability"])
            raise ConfigError(f"--column {text!r} is not NAME=COLUMN; {known}; e.g. action=item_id")
        columns[name] = column
    return columns


def _read(source: str, columns: Mapping[str, str], needed: Sequence[str]) -> pl.DataFrame:
    names = {name: columns.get(name, name) for name in (*COLUMNS, "probability")}
    parts = []
    for scanned in scan_files(source, list(names.values())):
        found = columns_of(scanned)
        for name, column in names.items():
            if column not in found and name in needed:
                raise InputError(
                    f"{source!r} has no column {column!r} for the {name}; {list_known(found)}; "
                    f"name it with --column {name}=COLUMN"
                )
        has = {name for name, column in names.items() if column in found}
        rows = scanned.filter(~pl.col(MALFORMED) & ~pl.col(BLANK))
        parts.append(rows.select(_columns(names, has)).collect())
    frame = pl.concat(parts, how="vertical_relaxed")
    if "unit" not in columns and frame["unit"].null_count() == len(frame):
        frame = frame.with_columns(unit=pl.int_range(pl.len()).cast(pl.String))
    return frame


def _columns(names: Mapping[str, str], has: set[str]) -> list[pl.Expr]:
    texts = [
        (pl.col(names[one]) if one in has else pl.lit(default)).cast(pl.String).alias(one)
        for one, default in (("action", None), ("position", "1"), ("unit", None), ("context", ""))
    ]
    numbers = [
        (pl.col(names[one]) if one in has else pl.lit(None))
        .cast(pl.Float64, strict=False)
        .alias(one)
        for one in ("propensity", "reward", "probability")
    ]
    marks = [pl.lit(True).alias(f"has_{one}") for one in ("position", "context") if one in has]
    return [*texts, *numbers, *marks]
