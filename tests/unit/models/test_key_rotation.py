"""Rotation of the pseudonym key."""

from pathlib import Path

import pytest

from models.errors import ConfigError
from models.pseudonym import KEY_FILE, KEY_VARIABLE, load_pseudonymiser, rotate_key


def test_rotated_key_makes_everybody_a_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same id has another pseudonym, and nobody else may read the new key's file."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    before = load_pseudonymiser(tmp_path).pseudonym("user_id", "u1")
    rotate_key(tmp_path)
    assert load_pseudonymiser(tmp_path).pseudonym("user_id", "u1") != before
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_key_of_the_environment_is_its_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that comes from elsewhere is not rotated here."""
    monkeypatch.setenv(KEY_VARIABLE, "00" * 32)
    with pytest.raises(ConfigError, match="restart"):
        rotate_key(tmp_path)
