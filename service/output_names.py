"""What the name of a file to write promises: another program reads it as what it is called."""

from __future__ import annotations

from pathlib import Path

from models.errors import ConfigError

_SAID = frozenset({".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".xlsx", ".gz", ".zst"})


def check_output(output: Path, *written: str) -> None:
    """Raise `ConfigError` if the name says a format that is not `written`, such as ``.parquet``.

    A name that says none, or one that nobody here knows, is taken.
    """
    suffix = output.suffix.lower()
    if suffix in _SAID and suffix not in written:
        stem = output.with_suffix("").name
        raise ConfigError(
            f"--output {output.name} says {suffix}, which is not what is written; "
            f"name it {' or '.join(stem + each for each in written)}"
        )
