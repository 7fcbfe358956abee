"""Pseudonyms: repeatable under one key, unlinkable without it, and the key is kept well."""

import stat
from pathlib import Path

import pytest

from models.errors import ConfigError
from models.pseudonym import KEY_FILE, KEY_VARIABLE, Pseudonymiser, load_pseudonymiser


@pytest.fixture(autouse=True)
def _no_key_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def test_pseudonym_is_pinned() -> None:
    """Trainer and service must agree for ever: these values never change."""
    hide = Pseudonymiser(bytes(range(32)))
    assert hide.pseudonym("user_id", "u1") == "f5b9ed7c2ff90264f70bec7d5c3f5efd"
    assert hide.pseudonym("anonymous_id", "u1") == "f2152bbd985d95b4933886614c4b581d"


def test_pseudonyms_differ_by_kind_key_and_id() -> None:
    """User 7 is not visitor 7, and another shop's user 7 is somebody else."""
    hide, other = Pseudonymiser(b"k" * 32), Pseudonymiser(b"l" * 32)
    found = {
        hide.pseudonym("user_id", "7"),
        hide.pseudonym("anonymous_id", "7"),
        hide.pseudonym("session_id", "7"),
        hide.pseudonym("user_id", "8"),
        other.pseudonym("user_id", "7"),
    }
    assert len(found) == 5
    assert all(len(pseudonym) == 32 for pseudonym in found)


def test_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    """The first call makes a key that only its owner can read; later calls use it."""
    first = load_pseudonymiser(tmp_path / "home")
    assert stat.S_IMODE((tmp_path / "home" / KEY_FILE).stat().st_mode) == 0o600
    again = load_pseudonymiser(tmp_path / "home")
    assert first.pseudonym("user_id", "a") == again.pseudonym("user_id", "a")
    assert [path.name for path in (tmp_path / "home").iterdir()] == [KEY_FILE]


def test_key_of_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a key in the environment no file is made."""
    monkeypatch.setenv(KEY_VARIABLE, "6b" * 32)
    hide = load_pseudonymiser(tmp_path)
    assert hide.pseudonym("user_id", "7") == Pseudonymiser(b"k" * 32).pseudonym("user_id", "7")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["xyz", "6b" * 8 + "6", "6b" * 15, "6b" * 65])
def test_bad_key_is_a_config_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """A key that is no hexadecimal, too short or too long is refused, and not shown."""
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(ConfigError) as caught:
        load_pseudonymiser(tmp_path)
    assert key not in str(caught.value)
