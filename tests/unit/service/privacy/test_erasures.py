"""Every process hears of an erasure once, and of whom only while it is fresh."""

from pathlib import Path

from service.privacy.erase import search
from service.stores.erasures import Erasure, ErasureReader, announce, withdraw
from service.stores.event_database import open_event_database

KEY = "0123456789abcdef" * 2


def test_readers_hear_of_an_erasure_once(tmp_path: Path) -> None:
    """Two readers each get the keys, once; one that starts later knows nobody to forget."""
    path = open_event_database(tmp_path)
    readers = [ErasureReader(path) for _ in range(2)]
    assert [reader.read_new() for reader in readers] == [[], []]
    seq = announce(path, [KEY], 5)
    late = ErasureReader(path)
    assert [reader.read_new() for reader in readers] == [[Erasure(seq, [KEY])]] * 2
    assert [reader.read_new() for reader in readers] == [[], []]
    assert late.read_new() == []
    for reader in (*readers, late):
        reader.close()


def test_reader_that_is_late_drops_everything(tmp_path: Path) -> None:
    """After a second the row names nobody, and neither does any byte of the file."""
    path = open_event_database(tmp_path)
    reader = ErasureReader(path)
    seq = announce(path, [KEY], 5)
    assert search(tmp_path, [KEY])
    withdraw(path, seq)
    assert search(tmp_path, [KEY]) == []
    assert reader.read_new() == [Erasure(seq, None)]
    reader.close()
