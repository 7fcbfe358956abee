"""Pictures that machines share: who asks the database for one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from models.errors import NotFoundError
from service.stores.pictures import PictureFiles


class Database:
    """Knows no picture, and notes whether two ask at once; each waits a moment for another."""

    def __init__(self) -> None:
        self.n_asking = self.most_asking = 0
        self.another = Event()

    def names(self, _folder: str, _prefix: str) -> list[str]:
        """Answer who asks."""
        self.n_asking += 1
        self.most_asking = max(self.most_asking, self.n_asking)
        if self.n_asking > 1:
            self.another.set()
        self.another.wait(0.05)
        self.n_asking -= 1
        return []


def test_one_at_a_time_asks_for_a_picture(tmp_path: Path) -> None:
    """Nobody needs a key for it, and each takes a connection of a database that has few."""
    database: Any = Database()
    files = PictureFiles(tmp_path, database)

    def ask(number: int) -> None:
        with pytest.raises(NotFoundError):
            files.read(f"{number:032x}")

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(ask, range(3)))
    assert database.most_asking == 1
