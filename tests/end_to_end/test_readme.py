"""The README's shell blocks, run word by word as a newcomer would paste them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.running_server import reserved_port

pytestmark = pytest.mark.untimed

ROOT = Path(__file__).resolve().parents[2]
MARK = "<!-- runs: tests/end_to_end/test_readme.py -->\n```sh\n"


def readme_script(port: int) -> str:
    """Join the marked blocks into one script; the setup line is what `make install` did already."""
    text = (ROOT / "README.md").read_text()
    blocks = [part.partition("```")[0] for part in text.split(MARK)[1:]]
    assert len(blocks) >= 5
    script = "\n".join(blocks)
    setup = "make install && . .venv/bin/activate\n"
    assert script.startswith(setup)
    script = script.removeprefix(setup).replace("localhost:8080", f"127.0.0.1:{port}")
    return re.sub(r"^curl ", "curl --silent --show-error --fail-with-body ", script, flags=re.M)


def paste(commands: str, port: int, folder: Path) -> str:
    """Run commands in a shell, stop the server that they start, and return what they print."""
    programs = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
    script = "set -euo pipefail\ntrap 'kill -TERM %1 && wait %1' EXIT\n" + commands
    process = subprocess.Popen(
        [shutil.which("bash") or "bash", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": programs, "ENDCAP_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=220)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, errors[-4000:] + output[-4000:]
    return output


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_readme_blocks_work_pasted(
    tmp_path: Path, require_tool: Callable[[str, str], Path]
) -> None:
    """Every command of the quickstart and the API section succeeds and answers what it promises."""
    require_tool("curl", "apt-get install curl")
    with reserved_port() as port:
        output = paste(readme_script(port), port, tmp_path)
    answers = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    slates = [slate for answer in answers for slate in answer.get("placements", ())]
    by_placement = {(slate["id"], slate["kind"]) for slate in slates}
    assert by_placement == {("home_recs", "items"), ("home_hero", "banners")}
    assert all(slate.get("items") or slate.get("banners") for slate in slates)
    (accepted,) = [place for place, answer in enumerate(answers) if answer.get("accepted") == 2]
    assert answers[accepted + 1]["placements"][0]["tier"] == "personal"
    assert any(answer.get("share") == 0.25 and answer["epoch"] == 3 for answer in answers)
    assert "home_recs: all epochs" in output


def test_every_answer_shown_ends_its_line() -> None:
    """A prompt comes on a line of its own: no answer of the service ends with a newline."""
    commands = re.split(r"^(?=curl |endcap )", readme_script(8080), flags=re.M)
    asked = [command.rstrip() for command in commands if command.startswith("curl ")]
    assert len(asked) >= 8
    assert [command for command in asked if not command.endswith("; echo")] == []


@pytest.mark.parametrize("written", ["demo", "demo.json", "shop"])
def test_what_the_quickstart_writes_is_ignored_by_git(written: str) -> None:
    """Whoever follows it in a clone has a clean tree afterwards."""
    assert re.search(rf"(--home|>) {re.escape(written)}\s", readme_script(8080))
    rules = (ROOT / ".gitignore").read_text().splitlines()
    assert {f"/{written}", f"/{written}/"} & set(rules)


def test_readme_stops_waiting_for_a_server_that_could_not_start(
    tmp_path: Path, require_tool: Callable[[str, str], Path]
) -> None:
    """The message of the server is the last thing seen, instead of nothing for ever."""
    require_tool("curl", "apt-get install curl")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens, so nothing answers there
        port = int(taken.getsockname()[1])
        lines = readme_script(port).splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("endcap serve"))
        server = shlex.join([str(ROOT / ".venv/bin/endcap"), "serve", "--port", str(port)])
        ended = subprocess.run(
            [shutil.which("bash") or "bash", "-c", "\n".join([f"{server} &", lines[start + 1]])],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.stderr.strip().splitlines()[-1].startswith("endcap: cannot listen on")
