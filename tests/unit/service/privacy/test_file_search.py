"""A search through the files of a home takes no lock from those who have them open."""

import io
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from service.privacy.file_search import files_holding, main

TRY_TO_WRITE = """
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0).execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    print(error)
"""


@pytest.mark.parametrize("n_others", [0, 100])
def test_search_names_files_by_their_bytes(tmp_path: Path, n_others: int) -> None:
    """In folders too, and across the pieces it reads, also among many that are looked for."""
    others = [b"somebody else %d" % number for number in range(n_others)]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "far").write_bytes(b"x" * ((1 << 20) - 6) + b"the needle")
    (tmp_path / "near").write_bytes(b"...needle")
    (tmp_path / "none").write_bytes(b"nee dle")
    found = files_holding(tmp_path, [b"needle", b"the needle", b"\x00\xff", *others])
    assert found == ["a/far", "near"]


def test_search_goes_on_where_files_come_and_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy of a model and a draft that are removed while it looks are in no way."""
    for folder in ("cache", "kept"):
        (tmp_path / folder / "old").mkdir(parents=True)
        (tmp_path / folder / "old" / "rows").write_bytes(b"needle")
    (tmp_path / "cache" / "draft").write_bytes(b"needle")
    is_file = Path.is_file

    def remove_first(path: Path) -> bool:
        was_file = is_file(path)
        if path.name == "draft":
            shutil.rmtree(path.parent)
        return was_file

    monkeypatch.setattr(Path, "is_file", remove_first)
    asked = json.dumps([str(tmp_path), [b"needle".hex()]])
    monkeypatch.setattr(sys, "stdin", io.StringIO(asked))
    main()
    assert json.loads(capsys.readouterr().out) == ["kept/old/rows"]


def test_search_leaves_the_locks_of_a_database(tmp_path: Path) -> None:
    """Who writes while the files are searched is still alone with the database afterwards."""
    path = tmp_path / "some.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE t (x)")
    connection.execute("BEGIN IMMEDIATE")
    assert files_holding(tmp_path, [b"CREATE"]) == ["some.sqlite"]
    other = [sys.executable, "-c", TRY_TO_WRITE, str(path)]
    answer = subprocess.run(other, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "database is locked"
    connection.close()
