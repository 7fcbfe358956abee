"""The command line: what it prints, and that a refusal is one line with exit code 2."""

import json
import socket
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.running_server import ENDCAP

pytestmark = pytest.mark.untimed


def test_port_in_use_is_a_clear_error(tmp_path: Path) -> None:
    """The second server on a port says what to do and exits with 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = subprocess.run(
            [*ENDCAP, "serve", "--home", str(tmp_path), "--port", port],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert refused.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in refused.stderr
    assert "choose another --port" in refused.stderr
    # The first keys were not made by the start that failed: the next one still shows them.
    assert not (tmp_path / "control.sqlite").exists()
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["serve", "--port", "70000"], "--port is '70000': Expected `int` <= 65535"),
        (["serve", "--workers", "x"], "--workers is 'x'"),
        (["serve", "--archive-days", "3", "--port", "0"], "3 days are too few to archive after"),
        (["serve", "--cors-origins", "javascript:", "--port", "0"], "'javascript:' is no origin"),
        (["keys", "revoke", "key_x"], "key 'key_x' does not exist"),
        (
            ["keys", "create", "--scope", "admin", "--home", "/dev/null/home"],
            "/dev/null/home/control.sqlite cannot be",
        ),
        (["keys", "list", "--home", "no_such"], "there is no home at 'no_such'"),
        (["report", "r", "--home", "no_such"], "there is no home at 'no_such'"),
        (["events", "reconcile", "--home", "no_such"], "there is no home at 'no_such'"),
        (["users", "erase", "u1", "--home", "no_such"], "there is no home at 'no_such'"),
        (["audit", "verify", "--home", "no_such"], "there is no home at 'no_such'"),
        (["serve", "--home", "/dev/null/home", "--port", "0"], "cannot write to --home"),
        (["demo", "--home", "/dev/null/home"], "cannot write to --home /dev/null/home"),
        (
            ["train", "--interactions", "/dev", "--catalog", "/dev"],
            "'/dev' is a folder; name its files, such as '/dev/*.parquet'",
        ),
    ],
)
def test_bad_option_is_a_clear_error(tmp_path: Path, options: list[str], said: str) -> None:
    """A wrong value is named with its rule, in one line, with exit code 2."""
    refused = subprocess.run(
        [*ENDCAP, options[0], *_homed(options[1:], tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    if options[0] == "serve":  # no key that nobody saw, and no home
        assert list(tmp_path.iterdir()) == []


def _homed(options: list[str], home: Path) -> list[str]:
    return options if "--home" in options else [*options, "--home", str(home)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which is Linux's")
@pytest.mark.parametrize("options", [["--json"], []])
def test_output_that_is_full_is_a_clear_error(tmp_path: Path, options: list[str]) -> None:
    """A disk without room for what a command prints is one line and exit code 2."""
    with Path("/dev/full").open("w") as full:
        refused = subprocess.run(
            [*ENDCAP, "keys", "list", "--home", str(tmp_path), *options],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert refused.returncode == 2
    assert refused.stderr == (
        "endcap: cannot write the output: No space left on device; make room where it goes to\n"
    )


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("events.sqlite", b"no database, but long enough to look at" * 100),
        ("pseudonym.key", b"\xff\xfe"),
    ],
)
def test_start_that_fails_is_a_clear_error(
    tmp_path: Path, workers: str, name: str, content: bytes
) -> None:
    """When a home cannot be used the command ends, with 2, one line and no traceback."""
    (tmp_path / name).write_bytes(content)
    refused = subprocess.run(
        [*ENDCAP, "serve", "--home", str(tmp_path), "--port", "0", "--workers", workers],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert name in line
    assert "Traceback" not in line
    # As with a port in use, no key was made that nobody has seen.
    assert not (tmp_path / "control.sqlite").exists()


def test_keys_command_makes_lists_and_revokes(tmp_path: Path) -> None:
    """`--json` prints one object; a listed key is without its secret."""

    def keys(*options: str) -> dict[str, object]:
        ran = subprocess.run(
            [*ENDCAP, "keys", *options, "--home", str(tmp_path), "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        printed: dict[str, object] = json.loads(ran.stdout)
        return printed

    made = keys("create", "--scope", "trainer", "--name", "nightly")
    assert str(made["key"]).startswith("endcap_trainer_")
    info = made["info"]
    assert isinstance(info, dict)
    assert keys("list") == {"keys": [info]}
    assert keys("revoke", info["id"])["revoked_at_ms"]
