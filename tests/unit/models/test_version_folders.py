"""What a home's folders are good for: versions are found, and nobody writes where that fails."""

from collections.abc import Callable
from pathlib import Path

import pytest

from models.artifact import ArtifactStore
from models.errors import ArtifactError
from models.pruning import prune_versions
from tests.unit.models.small_snapshot import make_snapshot


@pytest.mark.parametrize(
    "write",
    [
        lambda store, _: store.publish(make_snapshot()),
        lambda store, _: prune_versions(store, 1),
        lambda store, _: store.settled_versions(),
        lambda store, version: store.erase_users(version, ["ana"]),
    ],
    ids=["publish", "prune", "settle", "erase"],
)
def test_folder_that_cannot_be_written_to_is_an_error_with_a_next_step(
    tmp_path: Path, write: Callable[[ArtifactStore, str], object]
) -> None:
    """Whoever changes versions, and whoever waits for that, is told which folder it is about."""
    store = ArtifactStore(tmp_path)
    version = store.publish(make_snapshot())
    lock = tmp_path / "models" / ".publish.lock"
    lock.unlink()
    lock.mkdir()  # no file to open, as where rights are missing, also for root
    said = f"cannot change the model versions in {tmp_path}/models: .*can be written to"
    with pytest.raises(ArtifactError, match=said):
        write(store, version)
    assert [manifest.version for manifest in store.versions()] == [version]
