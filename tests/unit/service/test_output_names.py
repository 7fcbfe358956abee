"""A file that is written is what its name says."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from models.errors import ConfigError
from service.cli.events import export
from service.output_names import check_output


@pytest.mark.parametrize("name", ["log.parquet", "log.PARQUET", "log.pq", "log", "2026.11.23"])
def test_name_that_promises_nothing_else_is_taken(name: str) -> None:
    """Nobody here knows what `.pq` or `.23` stands for."""
    check_output(Path(name), ".parquet")


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.csv.gz", "log.XLSX"])
def test_name_of_another_format_is_refused(name: str) -> None:
    """It says what to call the file."""
    with pytest.raises(ConfigError, match=r"name it log\S*\.parquet$"):
        check_output(Path(name), ".parquet")


def test_export_of_events_is_not_called_csv(tmp_path: Path) -> None:
    """`endcap train` would read it as CSV, and fail after a night."""
    arguments = ["--output", str(tmp_path / "log.csv"), "--home", str(tmp_path)]
    done = CliRunner().invoke(export, arguments)
    assert isinstance(done.exception, ConfigError)
    assert not (tmp_path / "log.csv").exists()
