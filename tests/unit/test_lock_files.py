"""The committed lock files: what an installation trusts."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock"]


def pins_of(lock: str) -> set[str]:
    """Return ``name==version ; marker`` of every package in a lock file."""
    lines = (REPOSITORY / lock).read_text(encoding="utf-8").splitlines()
    return {line.removesuffix("\\").strip() for line in lines if line and line[0] not in "# "}


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_registry(lock: str) -> None:
    """Whoever installs chooses the registry: no line holds an address, a path or an option."""
    text = (REPOSITORY / lock).read_text(encoding="utf-8")
    assert re.findall(r"://|file:|\s@\s|^-", text, flags=re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_each_package_with_a_hash(lock: str) -> None:
    """A package that changes after it was locked is refused."""
    text = (REPOSITORY / lock).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text)
    pinned = [block for block in blocks if not block.startswith("#")]
    assert len(pinned) == len(pins_of(lock)) > 0
    assert [block for block in pinned if "==" not in block or "--hash=sha256:" not in block] == []


def test_dev_lock_runs_on_the_versions_that_ship() -> None:
    """What is checked is what runs: the development lock contains every pin of the other."""
    assert pins_of("requirements.lock") - pins_of("requirements-dev.lock") == set()
