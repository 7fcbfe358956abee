"""The file of users of a batch: who gets a list, and in which context."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from models.errors import ConfigError, InputError
from service.serve.request import Context, User

USER_FIELDS = ("user_id", "anonymous_id", "consent")
CONTEXT_FIELDS = ("country", "channel", "platform", "page", "app_version")


@dataclass(frozen=True, slots=True)
class Shopper:
    """One row of the file."""

    user: User
    context: Context


@dataclass(frozen=True, slots=True)
class Shoppers:
    """The usable rows, and how many were not."""

    found: list[Shopper]
    rejected: dict[str, int]
    """By reason."""


def read_shoppers(path: Path, defaults: dict[str, str]) -> Shoppers:
    """Read a Parquet, CSV or JSON Lines file with a column ``user_id``.

    Further columns of a user or a context are used, others are not. `defaults` fill what a row does
    not say. A user who stands in the file twice is taken once.

    Raises
    ------
    InputError
        If the file cannot be read.
    ConfigError
        If it has no column ``user_id``, or is of an unknown kind.
    """
    frame = _read(path)
    if "user_id" not in frame.columns:
        if len(frame.columns) == 1 and any(sign in frame.columns[0] for sign in ";\t|"):
            raise ConfigError(
                f"the columns of {path} are not divided by commas; write it with them"
            )
        raise ConfigError(
            f"{path} has no column 'user_id'; columns: {', '.join(frame.columns)}; rename one"
        )
    known = [name for name in (*USER_FIELDS, *CONTEXT_FIELDS) if name in frame.columns]
    found: list[Shopper] = []
    rejected: dict[str, int] = {}
    seen: set[str | None] = set()
    for row in frame.select(pl.col(known).cast(pl.String)).iter_rows(named=True):
        # The trainer takes blanks around a user's id away, too.
        stripped = {name: (value or "").strip() for name, value in row.items()}
        given = {name: value for name, value in stripped.items() if value}
        user_id = given.get("user_id")
        reason = "user_id_missing" if user_id is None else "user_repeated"
        if user_id is not None and user_id not in seen:
            seen.add(user_id)
            try:
                found.append(_shopper({**defaults, **given}))
                continue
            except msgspec.ValidationError as error:
                reason = str(error)
        rejected[reason] = rejected.get(reason, 0) + 1
    return Shoppers(found, rejected)


def _read(path: Path) -> pl.DataFrame:
    try:
        packed = (".gz", ".zst")
        suffixes = [one for one in map(str.lower, path.suffixes) if one not in packed]
        match suffixes[-1] if suffixes else "":
            case ".parquet":
                return pl.read_parquet(path)
            case ".csv":
                # Without inference, or the id 007 would become 7.
                return pl.read_csv(path, infer_schema=False)
            case ".jsonl" | ".ndjson":
                return pl.read_ndjson(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"cannot read {path}: {str(error).splitlines()[0]}; check --users"
        ) from error
    raise ConfigError(f"{path} is of no known format; known: .csv, .jsonl, .ndjson, .parquet")


def _shopper(given: dict[str, Any]) -> Shopper:
    return Shopper(
        msgspec.convert(_part(given, USER_FIELDS), User, strict=False),
        msgspec.convert(_part(given, CONTEXT_FIELDS), Context),
    )


def _part(given: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}
