"""Searches the bytes of every file below a folder, in a process of its own.

SQLite's locks belong to a process and end when it closes the file, whoever opened it there. Read by
the server itself, the databases would lose their locks: the next process to open one would take
itself for the first, and the others would fail with disk errors.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from service.stores.many_texts import ManyTexts

_PIECE_BYTES = 1 << 20


def files_holding(folder: Path, needles: Sequence[bytes]) -> list[str]:
    """Name the files below a folder in whose bytes one of these stands."""
    asked = json.dumps([str(folder), [needle.hex() for needle in needles]])
    done = subprocess.run(
        [sys.executable, "-m", __name__], input=asked, capture_output=True, text=True, check=True
    )
    found: list[str] = json.loads(done.stdout)
    return found


def main() -> None:
    """Answer what `files_holding` asks."""
    name, texts = json.load(sys.stdin)
    folder, needles = Path(name), ManyTexts([bytes.fromhex(text) for text in texts])
    # Unlike a glob, `walk` goes on where a folder is gone before it is looked into.
    paths = (Path(above, name) for above, _, names in os.walk(folder) for name in names)
    found = [
        str(path.relative_to(folder)) for path in paths if path.is_file() and _holds(path, needles)
    ]
    sys.stdout.write(json.dumps(sorted(found)))


def _holds(path: Path, needles: ManyTexts) -> bool:
    rest = b""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # others go on working in the folder
        return False
    with file:
        while piece := file.read(_PIECE_BYTES):
            window = rest + piece
            if needles.found_in(window):
                return True
            rest = window[-needles.longest :]
    return False


if __name__ == "__main__":
    main()
