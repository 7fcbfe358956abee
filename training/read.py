"""Open data files lazily: Parquet, CSV and JSON Lines, plain or compressed, one path or many.

Text formats are read as text, so that one bad value cannot stop a file; `training.clean` casts.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from models.errors import InputError
from training.csv_files import check_text, printable, scan_csv
from training.marks import BLANK, EXTRA_FIELDS, FILE, MALFORMED, ROW

_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_COMPRESSIONS = (".gz", ".zst")


def scan_files(source: str, wanted: Sequence[str]) -> list[pl.LazyFrame]:
    """Open every file of a path, a glob or an object-store URI, each as one lazy frame.

    Beside the file's columns a frame has those of `training.marks`. `wanted` are the columns that
    are asked for; a JSON Lines file, which has no header, is searched for them.

    Raises
    ------
    InputError
        If there is no such file, or one is empty, of an unknown format, or not what its name says.
    """
    return [_scan(path, wanted) for path in expand(source)]


def columns_of(frame: pl.LazyFrame) -> list[str]:
    """List the columns of the file behind a frame."""
    return [name for name in frame.collect_schema().names() if not name.startswith("__")]


def expand(source: str) -> list[str]:
    """List the files of a path or a glob.

    Raises
    ------
    InputError
        If there is none.
    """
    if "://" in source:
        return [source]
    paths = sorted(glob.glob(source, recursive=True))  # noqa: PTH207  # an absolute glob is allowed
    if not paths:
        raise InputError(f"no file matches {source!r}; check the path (quote a glob)")
    return paths


def _scan(path: str, wanted: Sequence[str]) -> pl.LazyFrame:
    if "://" not in path and Path(path).is_dir():
        raise InputError(f"{path!r} is a folder; name its files, such as '{path}/*.parquet'")
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    formats = [suffix for suffix in suffixes if suffix not in _COMPRESSIONS]
    kind = _FORMATS.get(formats[-1] if formats else "")
    if kind is None:
        raise InputError(
            f"{path!r} is of no known format; known: {', '.join(sorted(_FORMATS))}, "
            f"also with {' or '.join(_COMPRESSIONS)}; save a workbook as CSV in UTF-8"
        )
    if "://" not in path and Path(path).stat().st_size == 0:
        raise InputError(f"{path!r} is empty; expected a file with rows")
    openers: dict[str, Callable[[], pl.LazyFrame]] = {
        "parquet": lambda: pl.scan_parquet(path, row_index_name=ROW),
        "csv": lambda: scan_csv(path, wanted),
        "jsonl": lambda: _scan_json_lines(path, wanted),
    }
    try:
        frame = openers[kind]()
        there = frame.collect_schema()
        marks = [name for name in (MALFORMED, EXTRA_FIELDS, BLANK) if name not in there]
        frame = frame.with_columns(pl.lit(False).alias(name) for name in marks)
    except (pl.exceptions.PolarsError, OSError) as error:
        first_line = printable(str(error).splitlines()[0])
        raise InputError(
            f"cannot read {path!r} as {kind}: {first_line}; check the file and its name"
        ) from error
    return frame.with_columns(pl.lit(path).alias(FILE))


def _scan_json_lines(path: str, wanted: Sequence[str]) -> pl.LazyFrame:
    """Take each line apart by itself; a line that is no JSON object gives nulls, not an error."""
    line = pl.col("line")
    lines = pl.scan_csv(
        path,
        has_header=False,
        new_columns=["line"],
        separator="\x01",
        quote_char=None,
        infer_schema=False,
        encoding="utf8-lossy",
        row_index_name=ROW,
    ).filter(line.str.strip_chars().str.len_bytes() > 0)
    _check_layout(path, lines)
    found = _json_keys(lines, wanted)
    values = [
        line.str.json_path_match(f'$["{name}"]').alias(name) for name in wanted if name in found
    ]
    is_object = line.str.contains(r"^\s*\{") & line.str.json_path_match("$").is_not_null()
    return lines.select(ROW, *values, (~is_object).alias(MALFORMED))


def _check_layout(path: str, lines: pl.LazyFrame) -> None:
    """Refuse what is no text, and one JSON document over many lines, each of them a bad row."""
    first = lines.head(1).select(pl.col("line").str.strip_chars()).collect()["line"]
    if len(first):
        check_text(path, first[0])
    if len(first) and (first[0].startswith("[") or first[0] == "{"):
        raise InputError(
            f"{path!r} is one JSON document, not JSON Lines: it begins with {first[0][:20]!r}; "
            "write one object per line, for example with: jq -c '.[]'"
        )


def _json_keys(lines: pl.LazyFrame, wanted: Sequence[str], n_lines: int = 1000) -> set[str]:
    """Collect the quoted keys of the first lines, and the `wanted` ones of all: orders come late.

    Keys of nested objects do no harm.
    """
    found = _keys_of(lines.head(n_lines))
    while missing := [name for name in wanted if name not in found]:
        names = "|".join(map(pl.escape_regex, missing))
        have_one = pl.col("line").str.contains(rf'"(?:{names})"\s*:')
        more = _keys_of(lines.filter(have_one).head(n_lines))
        if more.isdisjoint(missing):
            break
        found |= more
    return found


def _keys_of(lines: pl.LazyFrame) -> set[str]:
    keys = lines.select(pl.col("line").str.extract_all(r'"(?:[^"\\]|\\.)*"\s*:').explode().unique())
    found = keys.collect(engine="streaming")["line"].drop_nulls()
    return {key.rstrip(": \t")[1:-1] for key in found}
