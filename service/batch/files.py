"""The file of a batch: its columns, its format, and that it appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from models.errors import InputError
from service.output_names import check_output

SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("position", pa.int32()),
        ("item_id", pa.string()),
        ("banner_id", pa.string()),
        ("score", pa.float64()),
        ("source", pa.string()),
        ("because", pa.string()),
        ("propensity", pa.float64()),
        ("tier", pa.string()),
        ("degraded", pa.string()),
        ("rollout", pa.string()),
        ("variant", pa.string()),
        ("epoch", pa.int64()),
        ("exposure_id", pa.string()),
        ("attributes", pa.string()),
    ]
)


def writer_of(output: Path) -> Callable[[Path], pq.ParquetWriter | pyarrow.csv.CSVWriter]:
    """Choose the format by the name: CSV for tools that send mail, else Parquet.

    Raises
    ------
    ConfigError
        If the name says another format.
    """
    check_output(output, ".parquet", ".csv")
    if output.suffix.lower() == ".csv":
        return lambda draft: pyarrow.csv.CSVWriter(draft, SCHEMA)
    return lambda draft: pq.ParquetWriter(draft, SCHEMA, compression="zstd")


@contextmanager
def staged_file(output: Path) -> Iterator[Path]:
    """Give the path of a draft that becomes `output` when the block ends without error."""
    draft = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        yield draft
        draft.replace(output)
    except OSError as error:
        raise InputError(
            f"cannot write {output}: {error.strerror}; choose a folder that exists, is writable "
            "and has space"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
