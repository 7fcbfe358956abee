"""A file of the past through the command line, beside a server that runs on the same home."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from models.artifact import ArtifactStore
from tests.end_to_end.running_server import ENDCAP, run_server, wait_until
from tests.snapshots import tiny_snapshot

SLOT = {"kind": "items", "recipe": "recently_viewed", "count": 2}


def endcap(home: Path, *arguments: str) -> dict[str, Any]:
    """Run a command of `endcap events` as a user would."""
    done = subprocess.run(
        [*ENDCAP, "events", *arguments, "--home", str(home), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.untimed
def test_past_is_imported_once_beside_a_running_server(tmp_path: Path) -> None:
    """Import, import again, export, reconcile; the shopper's next page knows what they viewed."""
    home = tmp_path / "home"
    artifacts = ArtifactStore(home)
    artifacts.promote(artifacts.publish(tiny_snapshot()))
    source = tmp_path / "past.csv"
    source.write_text(
        "user_id,item_id,event,timestamp,price\n"
        "u1,mug,view,2026-01-01T10:00:00Z,\n"
        "u1,cup,view,2026-01-02T10:00:00Z,\n"
        "u2,cup,purchase,2026-01-03,3.50\n"
        "u2,cup,purchase,2026-01-03,dear\n"
    )
    with run_server(home, "--workers", "2") as server:
        server.put("/v1/placements/seen", SLOT)

        def seen() -> list[str]:
            [slate] = server.serve("seen", user={"user_id": "u1"})
            return [item["id"] for item in slate["items"] if slate["tier"] == "personal"]

        assert seen() == []
        first = endcap(home, "import", str(source))
        again = endcap(home, "import", str(source))
        wait_until(lambda: seen() == ["cup", "mug"], 5)
    names = ("received", "accepted", "duplicate", "rejected")
    assert [first[name] for name in names] == [4, 3, 0, 1]
    assert [again[name] for name in names] == [4, 0, 3, 1]
    assert json.loads(Path(first["rejects_file"]).read_text())["reason"] == "price_invalid"
    assert endcap(home, "export", "--output", str(tmp_path / "out.parquet"))["rows"] == 3
    ledger = endcap(home, "reconcile")
    assert [ledger[name] for name in names] == [8, 3, 3, 2]
    assert ledger["is_balanced"]
    assert ledger["unclosed_writers"] == 0
