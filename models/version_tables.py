"""Writes the arrays of a model version to its LanceDB tables, and reads them back checked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from models.checksums import checksum
from models.lance_library import load_lancedb
from models.manifest import Manifest
from models.snapshot import Arrays, Snapshot


def write_tables(folder: Path, snapshot: Snapshot) -> None:
    """Write all tables of a version into its folder.

    Raises
    ------
    OSError, RuntimeError or ValueError
        As LanceDB and Arrow say it.
    """
    # A second to import, and 80 MB; whoever only maps a cached version needs none of it.
    from models.artifact_tables import to_tables  # noqa: PLC0415  # loads Arrow

    database = load_lancedb().connect(folder)
    tables = to_tables(snapshot)
    with ThreadPoolExecutor() as pool:
        list(pool.map(database.create_table, tables, tables.values()))


def load_arrays(folder: Path, manifest: Manifest) -> Arrays:
    """Read the tables and check every array against the manifest.

    Raises
    ------
    OSError, RuntimeError, ValueError or KeyError
        If a table cannot be read, or an array is not what its checksum says.
    """
    from models.artifact_tables import TABLES, from_tables  # noqa: PLC0415  # loads Arrow

    database = load_lancedb().connect(folder)
    tables = {name: database.open_table(name).to_arrow() for name in TABLES}
    arrays = from_tables(manifest, tables).to_arrays()
    damaged = [
        name for name, wanted in manifest.checksums.items() if checksum(arrays[name]) != wanted
    ]
    if damaged:
        raise ValueError(f"the checksum of {', '.join(damaged)} is not the one in manifest.json")
    return arrays
