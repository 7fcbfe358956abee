"""The pointer to the live version: what cannot be changed is said, and stays."""

from pathlib import Path

import pytest

from models.errors import ArtifactError
from models.live_pointer import LivePointer


def test_pointer_in_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    """A lock that cannot be opened, as on a read-only disk, is told with what to do."""
    pointer = LivePointer(tmp_path)
    pointer.move(["v1"])
    (tmp_path / ".pointer.lock").mkdir()
    refused = pytest.raises(ArtifactError, match=r"cannot change .* the live version is untouched")
    with refused, pointer.changing():
        pass
    assert pointer.history() == ["v1"]


def test_error_while_the_pointer_is_changed_is_its_own(tmp_path: Path) -> None:
    """What goes wrong inside is not taken for the lock."""
    with pytest.raises(OSError, match="mine"), LivePointer(tmp_path).changing():
        raise OSError("mine")
