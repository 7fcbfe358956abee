"""Open a CSV file as text, and say what a file is that only has the name of one.

The header is looked at before the rows: what is no text, has no columns or has one twice would
else be read as something that it is not.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from models.errors import InputError
from training.marks import BLANK, EXTRA_FIELDS, ROW

_BEYOND = ("__beyond_1", "__beyond_2")
"""Fields after the last column: of a row that a comma moved by one, the last may be empty."""
_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_DOUBLED = re.compile(r"(.+)_duplicated_\d+", re.DOTALL)
_UNPACKERS = {".gz": "gzip -dc", ".zst": "zstd -dcq"}
_MAX_SHOWN = 300


def scan_csv(path: str, wanted: Sequence[str]) -> pl.LazyFrame:
    """Open a CSV file; rows that are too long, or blank in all `wanted` columns, are marked.

    Raises
    ------
    InputError
        If it is no text in UTF-8, is not divided by commas, or has two columns of one name.
    """
    names = _read_names(path)
    check_text(path, ",".join(names))
    _check_header(path, names)
    rows = pl.scan_csv(
        path,
        schema=dict.fromkeys((*names, *_BEYOND), pl.String),
        missing_columns="insert",
        truncate_ragged_lines=True,
        encoding="utf8-lossy",
        row_index_name=ROW,
    )
    has_more = pl.any_horizontal(pl.col(name).is_not_null() for name in _BEYOND)
    is_empty = [pl.col(name).is_null() for name in wanted if name in names]
    is_blank = pl.all_horizontal(is_empty) if is_empty else pl.lit(False)
    return rows.with_columns(has_more.alias(EXTRA_FIELDS), is_blank.alias(BLANK)).drop(_BEYOND)


def check_text(path: str, first_line: str) -> None:
    """Refuse UTF-16 and what is no text at all, by the first line as it was read.

    Raises
    ------
    InputError
        If it has control characters.
    """
    n_nul = first_line.count("\0")
    # A byte order mark, FF FE or FE FF, is read as two bytes that are no UTF-8.
    if n_nul and (first_line.startswith("\ufffd\ufffd") or n_nul * 3 >= len(first_line)):
        raise InputError(
            f"{path!r} is text in UTF-16, not in UTF-8; write it anew with: "
            + _through(path, "iconv -f utf-16 -t utf-8")
        )
    if any(sign < " " and sign not in "\t\r\n" for sign in first_line):
        raise InputError(
            f"{path!r} is no text: its first line has bytes that no text has; give a file in "
            "UTF-8, or with the name of its format (a workbook is to be saved as CSV)"
        )


def printable(text: str) -> str:
    """Write what a terminal might obey as an escape, and cut what is too long for a message."""
    shown = "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}…"


def open_quote(path: str) -> int | None:
    """Find the row, from 1 without the header, whose quote is never closed; reads the whole file.

    None if there is none, or the file cannot be read here.
    """
    n_rows = 0
    try:
        with (
            pa.input_stream(path, compression="detect") as unpacked,
            # Only quotes, commas and ends of lines are looked at: any encoding of bytes will do.
            io.TextIOWrapper(io.BufferedReader(unpacked), "latin-1", newline="") as text,
        ):
            for _ in csv.reader(text, strict=True):
                n_rows += 1
    except csv.Error:
        return n_rows
    except OSError:
        return None
    return None


def _through(path: str, program: str) -> str:
    """Write the command that puts a text, unpacked, through a program into a file of its format."""
    inner, packed = Path(path), Path(path).suffix.lower()
    if packed not in _UNPACKERS:
        return f"{program} < {shlex.quote(path)} > NEW{inner.suffix}"
    new = f"NEW{inner.with_suffix('').suffix}"
    return f"{_UNPACKERS[packed]} {shlex.quote(path)} | {program} > {new}"


def _with_commas(path: str, sign: str, first_line: str) -> str:
    """Write the program that divides columns by commas.

    A byte order mark goes, or it is a part of a name, and so does a line that tells Excel the sign.
    """
    skip = "next(text); " if first_line == f"sep={sign}" else ""
    program = (
        f"import csv, sys; text = open(0, encoding={_encoding_of(path)!r}, newline=''); {skip}"
        f"csv.writer(sys.stdout).writerows(csv.reader(text, delimiter={sign!r}))"
    ).replace("'", '"')
    return f"python3 -c '{program}'"


def _encoding_of(path: str) -> str:
    """Name the encoding of a text for Python: UTF-8, else the one that Windows writes here."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with pa.input_stream(path, compression="detect") as unpacked:
            while chunk := unpacked.read(1_000_000):
                decoder.decode(chunk)
    except UnicodeDecodeError:
        return "cp1252"
    except OSError:
        # The file lies elsewhere: nothing is known of it.
        pass
    return "utf-8-sig"


def _read_names(path: str) -> list[str]:
    lazy = pl.scan_csv(path, infer_schema=False, truncate_ragged_lines=True, encoding="utf8-lossy")
    return lazy.collect_schema().names()


def _check_header(path: str, header: Sequence[str]) -> None:
    if any("\r" in name for name in header):
        raise InputError(
            f"the lines of {path!r} end with a carriage return alone, so all of it is one line; "
            "write it anew with: " + _through(path, "tr '\\r' '\\n'")
        )
    for sign, name in _DELIMITERS.items():
        if len(header) == 1 and sign in header[0]:
            raise InputError(
                f"the columns of {path!r} are divided by {name} ({sign!r}), not by commas; write "
                "it anew with: " + _through(path, _with_commas(path, sign, header[0]))
            )
    # The reader gives the second column of a name another one.
    again = (_DOUBLED.fullmatch(name) for name in header)
    doubled = sorted({found[1] for found in again if found and found[1] in header})
    if doubled:
        raise InputError(
            f"{path!r} has more than one column {', '.join(map(repr, doubled))}; "
            "give each column a name of its own"
        )
