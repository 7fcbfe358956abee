"""What a training run is asked to do, and its data: what is read while the trainer is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.distinct import distinct
from models.errors import ArtifactError, InputError
from models.pseudonym import LoadKey
from models.recommenders.settings import Settings
from models.running_trainings import Erased, running_training
from training.load import Loaded, load_dataset
from training.mapping import Mapping

REJECTS_FILE = "rejects.jsonl"
MAX_AHEAD_MS = 86_400_000
"""How far clocks may be ahead of this machine's; what is later is rejected."""


@dataclass(frozen=True, slots=True)
class TrainOrder:
    """What a training run is asked to do."""

    interactions: Sequence[str]
    catalog: Sequence[str]
    mapping: Mapping
    home: Path
    seed: int
    is_forced: bool
    settings: Settings
    report: Path | None = None
    """Where the page of pictures goes; by default next to the version."""
    tune_seconds: float = 0.0


@contextmanager
def in_home(home: Path) -> Iterator[Erased]:
    """Run a training in a home, which tells who is erased meanwhile.

    Raises
    ------
    ArtifactError
        If the home cannot be written to.
    """
    with ExitStack() as stack:
        try:
            erased = stack.enter_context(running_training(home))
        except OSError as error:
            raise _unwritable(home, error) from error
        yield erased


def load_order(order: TrainOrder, load_key: LoadKey, now_ms: int) -> Loaded:
    """Read and clean the files of a run that starts at `now_ms`.

    Raises
    ------
    InputError
        If the data cannot be learnt from.
    ArtifactError
        If the home cannot be written to.
    ConfigError
        If the pseudonym key is not the one of the data in the home.
    """
    try:
        hide = load_key(order.home)
        loaded = load_dataset(
            order.interactions,
            order.catalog,
            order.mapping,
            pseudonym=lambda user_id: hide.pseudonym("user_id", user_id),
            rejects=order.home / REJECTS_FILE,
            # One row of the year 2099 would make all others too old to count.
            until_ms=now_ms + MAX_AHEAD_MS,
        )
    except OSError as error:
        raise _unwritable(order.home, error) from error
    n_users = len(distinct(loaded.dataset.interactions.user_rows))
    if n_users < 2:
        raise InputError(
            f"users who still have an interaction after refunds: {n_users}; a recommender learns "
            "from what many do; give a file with more users, or check the column of user_id in the "
            "mapping"
        )
    return loaded


def _unwritable(home: Path, error: OSError) -> ArtifactError:
    return ArtifactError(
        f"cannot write to {home}: {error}; the live version is untouched; "
        "make room or choose another --home and train again"
    )
