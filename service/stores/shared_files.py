"""Files that every machine needs, kept in the database that they share: lists and pictures.

A file is named by its content and never changes. Each machine keeps a copy in its home.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

from models.durable import replace_file
from service.stores.control_postgres import connect, reported
from service.stores.postgres_address import PostgresAddress

PIECE_BYTES = 4 << 20
Folder = Literal["pictures", "segments"]

_NOW_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"


class SharedFiles:
    """The tables `shared_files` and `shared_pieces`, on a connection for each call."""

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address

    def put(self, folder: Folder, name: str, data: bytes) -> None:
        """Keep a file; one that is there already counts as used now."""
        with reported(self._address), connect(self._address) as connection:
            made = connection.execute(
                "INSERT INTO shared_files (folder, name, n_bytes, used_at_ms) "
                f"VALUES (%s, %s, %s, {_NOW_MS}) ON CONFLICT DO NOTHING".encode(),
                (folder, name, len(data)),
            )
            if not made.rowcount:
                connection.execute(
                    f"UPDATE shared_files SET used_at_ms = {_NOW_MS} "
                    "WHERE folder = %s AND name = %s".encode(),
                    (folder, name),
                )
                return
            for number, start in enumerate(range(0, len(data), PIECE_BYTES)):
                connection.execute(
                    "INSERT INTO shared_pieces (folder, name, piece, data) VALUES (%s, %s, %s, %s)",
                    (folder, name, number, data[start : start + PIECE_BYTES]),
                )

    def read(self, folder: Folder, name: str) -> bytes | None:
        """Read a file; nothing if there is none."""
        with reported(self._address), connect(self._address) as connection:
            found = connection.execute(
                "SELECT n_bytes FROM shared_files WHERE folder = %s AND name = %s", (folder, name)
            ).fetchone()
            if found is None:
                return None
            rows = connection.execute(
                "SELECT data FROM shared_pieces WHERE folder = %s AND name = %s ORDER BY piece",
                (folder, name),
                binary=True,
            )
            return b"".join(data for (data,) in rows)

    def copy(self, folder: Folder, name: str, path: Path) -> bool:
        """Copy a file to where this machine keeps it; say whether there is one."""
        data = self.read(folder, name)
        if data is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
        return True

    def names(self, folder: Folder, prefix: str = "") -> list[str]:
        """List files, the last used first."""
        with reported(self._address), connect(self._address) as connection:
            rows = connection.execute(
                "SELECT name FROM shared_files WHERE folder = %s AND starts_with(name, %s) "
                "ORDER BY used_at_ms DESC, name",
                (folder, prefix),
            )
            return [name for (name,) in rows]

    def touch(self, folder: Folder, names: Collection[str], at_ms: int) -> None:
        """Say that files are still in use."""
        with reported(self._address), connect(self._address) as connection:
            connection.execute(
                "UPDATE shared_files SET used_at_ms = %s WHERE folder = %s AND name = ANY(%s)",
                (at_ms, folder, list(names)),
            )

    def unused_since(self, folder: Folder, before_ms: int) -> list[str]:
        """List files that were last used before a moment."""
        with reported(self._address), connect(self._address) as connection:
            rows = connection.execute(
                "SELECT name FROM shared_files WHERE folder = %s AND used_at_ms < %s ORDER BY name",
                (folder, before_ms),
            )
            return [name for (name,) in rows]

    def delete(self, folder: Folder, names: Collection[str]) -> int:
        """Delete files, and count those that were there."""
        with reported(self._address), connect(self._address) as connection:
            done = connection.execute(
                "DELETE FROM shared_files WHERE folder = %s AND name = ANY(%s)",
                (folder, list(names)),
            )
            return done.rowcount

    def read_all(self, folder: Folder) -> Iterator[tuple[str, bytes]]:
        """Read every file, one at a time."""
        for name in self.names(folder):
            data = self.read(folder, name)
            if data is not None:
                yield name, data
