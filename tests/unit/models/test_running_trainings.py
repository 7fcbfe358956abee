"""Whom a training leaves out, because they were erased while it ran."""

from pathlib import Path

import pytest

from models.errors import ArtifactError
from models.running_trainings import note_erased, running_training

ANNA, BEN, CARL = "a" * 32, "b" * 32, "c" * 32


def test_who_is_erased_while_it_runs_is_told(tmp_path: Path) -> None:
    """Not who was erased before it began: their rows may be in what it reads on purpose."""
    note_erased(tmp_path, [CARL])
    with running_training(tmp_path) as erased:
        assert erased([ANNA, BEN]) == set()
        note_erased(tmp_path, [ANNA, "not a user of the model"])
        assert erased([ANNA, BEN, CARL]) == {ANNA}
        note_erased(tmp_path, [BEN])
        assert erased([ANNA, BEN, CARL]) == {ANNA, BEN}


def test_trainings_beside_each_other_know_of_what_was_in_their_time(tmp_path: Path) -> None:
    """The later one is not told what came before it, and the earlier one loses nothing."""
    with running_training(tmp_path) as first:
        note_erased(tmp_path, [ANNA])
        with running_training(tmp_path) as second:
            note_erased(tmp_path, [BEN])
            assert second([ANNA, BEN]) == {BEN}
        assert first([ANNA, BEN]) == {ANNA, BEN}


def test_notes_name_nobody_and_go_with_the_training(tmp_path: Path) -> None:
    """A search for a pseudonym finds nothing in the notes; nothing is left of them afterwards."""
    with running_training(tmp_path):
        note_erased(tmp_path, [ANNA])
        notes = next(path for path in (tmp_path / "models").iterdir())
        kept = notes.read_bytes()
        assert len(kept) == 32
        assert ANNA.encode() not in kept
        assert bytes.fromhex(ANNA) not in kept
    assert notes.read_bytes() == b""
    note_erased(tmp_path, [ANNA])
    assert notes.read_bytes() == b""


def test_notes_of_a_killed_training_are_taken_away(tmp_path: Path) -> None:
    """One that was killed left its notes; the next erasure finds nobody who would read them."""
    with running_training(tmp_path):
        note_erased(tmp_path, [ANNA])
        notes = next((tmp_path / "models").iterdir())
        left = notes.read_bytes()
    notes.write_bytes(left)
    note_erased(tmp_path, [BEN])
    assert notes.read_bytes() == b""


def test_home_without_a_training_is_left_alone(tmp_path: Path) -> None:
    """Erasing makes no folder of models where there is none."""
    note_erased(tmp_path, [ANNA])
    assert list(tmp_path.iterdir()) == []


def test_notes_that_cannot_be_written_stop_the_erasure(tmp_path: Path) -> None:
    """Else the training would publish the person, and the receipt would know nothing of it."""
    (tmp_path / "models" / ".training.lock").mkdir(parents=True)
    with pytest.raises(ArtifactError, match="erase again"):
        note_erased(tmp_path, [ANNA])
