"""A copy of what is kept of somebody who was very many visitors."""

from pathlib import Path

import pytest

from models.pseudonym import Pseudonymiser
from service.control.consent import NO_CONSENT
from service.control.forced import kept_names
from service.control.precondition import Precondition
from service.control.writing import Change
from service.privacy.control_erasure import open_control
from service.privacy.export import Forced, export_person
from service.rollouts.definition import Rollout
from service.settings import Settings
from service.stores.event_database import open_event_database

HIDE = Pseudonymiser(bytes(range(32)))


def test_names_are_written_once_and_not_for_each_forced_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollout may force a thousand units, and a person may have tens of thousands of names."""
    open_event_database(tmp_path)
    asked: list[str] = []

    def names_of(key: str) -> tuple[str, ...]:
        asked.append(key)
        return kept_names(key)

    monkeypatch.setattr("service.privacy.export.kept_names", names_of)
    forced = {f"u{number}": "control" for number in range(20)}
    with open_control(Settings(home=tmp_path), HIDE, actor="test", now_ms=lambda: 9) as control:
        change = Change("rollout", "r", "test", Precondition(), NO_CONSENT)
        control.plane.put(change, Rollout(share=0.5, forced=forced))
        copy = export_person(tmp_path, control.store, HIDE, "user_id", "u7")
    assert copy.forced == [Forced(rollout="r", variant="control")]
    assert asked == [HIDE.pseudonym("user_id", "u7")]
