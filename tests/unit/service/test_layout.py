"""What is said of the folders of `service`: whoever looks for something finds it there."""

import re
from pathlib import Path

import service

HERE = Path(service.__file__).parent
GUIDE = HERE.parent / "CONTRIBUTING.md"


def folders() -> set[str]:
    """Name the packages that lie directly in `service`."""
    return {file.parent.name for file in HERE.glob("*/__init__.py")}


def test_docstring_names_each_folder() -> None:
    """The docstring of `service` has a line for each of its folders, and for no other."""
    assert set(re.findall(r"^    (\w+) {2,}\w", service.__doc__ or "", re.MULTILINE)) == folders()


def test_guide_names_each_folder() -> None:
    """The table in CONTRIBUTING.md says of each folder and file what it is good for."""
    guide = GUIDE.read_text(encoding="utf-8")
    table = guide.partition("### Inside `service/`")[2].partition("## ")[0]
    assert set(re.findall(r"`(\w+)/`", table)) == folders()
    assert all((HERE / file).is_file() for file in re.findall(r"`(\w+\.py)`", table))


def test_few_files_lie_beside_the_folders() -> None:
    """What has a folder of its own idea lies in it: a stranger sees the others at a glance."""
    assert len(list(HERE.glob("*.py"))) <= 15
