"""Endcap's own log: what is read of it, and what it says of policies whose worth is known."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from models.errors import ConfigError, InputError, StoreError
from service.exposure import Candidate, Exposure, Shown
from service.serve.exploration import draw_seed
from service.serve.learned import Lottery
from service.stores.archiving import archive_old_days
from service.stores.event_database import connect
from tests.unit.service.learning.banner_logs import banner_slate, done, write_log
from training.policy.cli import policy
from training.policy.endcap_log import read_endcap_log

TRUTH = {"a": 0.10, "b": 0.20, "c": 0.30}


def evaluate(*arguments: object) -> Any:
    """Call the command, and read the object that it prints."""
    result = CliRunner().invoke(policy, ["evaluate", *map(str, arguments), "--json"])
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)


def explored(exposure_id: str, shown: list[Shown], **fields: Any) -> Exposure:
    """Make a slate of `a`, `b` and `c`, ordered so by affinity, and by score `c`, `a`, `b`."""
    scores = {"a": 0.2, "b": 0.1, "c": 0.3}
    candidates = tuple(Candidate(banner_id, score, "none") for banner_id, score in scores.items())
    return banner_slate(exposure_id, shown=tuple(shown), candidates=candidates, **fields)


def bring_back(events: Path, table: str) -> None:
    """Put a table's rows back into the store, and leave its files, as a cut does."""
    with closing(connect(events)) as connection:
        for file in events.parent.glob(f"archive/{table}/*/rows.parquet"):
            frame = pl.read_parquet(file, hive_partitioning=False)
            marks = ", ".join("?" * frame.width)
            connection.executemany(
                f"INSERT INTO {table} ({', '.join(frame.columns)}) VALUES ({marks})", frame.rows()
            )


def one(banner_id: str, propensity: float, position: int = 1, source: str = "affinity") -> Shown:
    """Make what stands at a position."""
    return Shown(id=banner_id, position=position, source=source, propensity=propensity)


@pytest.mark.parametrize("archived", [(), ("exposures",), ("events",), ("events", "exposures")])
def test_policies_are_read_from_the_candidates(tmp_path: Path, archived: tuple[str, ...]) -> None:
    """At the second position affinity shows `b` and click rates `a`; a pin is no decision.

    A slate without candidates, to a crawler or elsewhere is left out, and a click twice is one.
    What moved to the archive counts as what did not.
    """
    write_log(
        tmp_path,
        [
            explored("x1", [one("p", 1.0, 1, "pin"), one("c", 0.5, 2), one("a", 0.4, 3)]),
            explored("x2", [one("a", 0.1)], unit_key="v"),
            explored("x3", [one("a", 0.1)], reason="ROBOT"),
            explored("x4", [one("a", 0.1)], placement_id="side"),
            banner_slate("x5", "a"),
        ],
        [done(1, "x2", "a"), done(1, "x2", "a"), done(1, "x1", "p"), done(1, "x1", "a", flags=4)],
    )
    if archived:
        events = tmp_path / "events.sqlite"
        archive_old_days(events, 8, now_ms=4_000_000_000_000)
        for table in {"events", "exposures"} - set(archived):
            bring_back(events, table)
    log = read_endcap_log(tmp_path, placement="hero", rollout=None)
    decisions = log.decisions
    assert [decisions.actions[action] for action in decisions.action] == ["c", "a", "a"]
    assert decisions.position.tolist() == [0, 1, 0]
    assert decisions.propensity.tolist() == [0.5, 0.4, 0.1]
    assert decisions.reward.tolist() == [0.0, 0.0, 1.0]
    assert decisions.unit.tolist() == [0, 0, 1]
    assert log.n_left_out == 1
    assert log.uniform().of_logged(decisions).tolist() == pytest.approx([1 / 3] * 3)
    assert log.affinity().of_logged(decisions).tolist() == [0.0, 0.0, 1.0]
    assert log.click_rate().of_logged(decisions).tolist() == [1.0, 1.0, 0.0]


def test_estimates_find_what_policies_earn(tmp_path: Path) -> None:
    """6,000 slates as serving chooses them: uniform earns .2, affinity .1, click rates .3."""
    rng = np.random.default_rng(7)
    scores = np.array([0.2, 0.1, 0.3])
    draws = rng.beta(scores[:, None] * 20, 20 - scores[:, None] * 20, (3, 256)).astype(np.float32)
    lottery = Lottery(scores, draws, 1)
    exposures, events = [], []
    for unit in range(6_000):
        seed = draw_seed("user_id", str(unit), "hero", 0)
        [placed] = lottery.play(0.5, seed)
        banner_id = "abc"[placed.number]
        shown = [one(banner_id, placed.propensity)]
        exposures.append(explored(f"x{unit}", shown, unit_key=f"{unit}"))
        if rng.random() < TRUTH[banner_id]:
            events.append(done(1, f"x{unit}", banner_id))
    write_log(tmp_path, exposures, events)
    found = evaluate("--home", tmp_path)
    truths = {"uniform": 0.2, "affinity": 0.1, "click_rate": 0.3}
    assert [told["policy"] for told in found["policies"]] == list(truths)
    for told in found["policies"]:
        for estimator in ("ips", "snips", "dr"):
            interval = told[estimator]
            assert interval["low"] < truths[told["policy"]] < interval["high"], told
        assert told["warnings"] == []
        assert told["dr"]["high"] - told["dr"]["low"] < 0.1


def test_a_home_that_has_nothing_to_say_is_told(tmp_path: Path) -> None:
    """No store, then no slate that was left to chance, then options that do not go together."""
    with pytest.raises(StoreError, match="name the home of a server"):
        evaluate("--home", tmp_path)
    write_log(tmp_path, [banner_slate("x1", "a")])
    with pytest.raises(InputError, match="of 1 slates of banners none was left to chance"):
        evaluate("--home", tmp_path)
    with pytest.raises(ConfigError, match="go with --log"):
        evaluate("--home", tmp_path, "--column", "action=a")


def test_files_name_their_columns_and_policies(tmp_path: Path) -> None:
    """A log as CSV and a policy as JSON Lines; an action that the log has not is warned of."""
    log, policy_file = tmp_path / "log.csv", tmp_path / "policy.jsonl"
    rows = {"banner": ["a", "b"] * 200, "p": [0.5] * 400, "reward": [1, 0] * 200}
    pl.DataFrame(rows).write_csv(log)
    policy_file.write_text('{"action":"a","probability":0.75}\n{"action":"z","probability":0.25}\n')
    columns = ("--column", "action=banner", "--column", "propensity=p")
    with pytest.raises(InputError, match="no column 'banner' for the action"):
        evaluate("--log", log, "--policy-file", policy_file, *columns)
    policy_file.write_text('{"banner":"a","probability":0.75}\n{"banner":"z","probability":0.25}\n')
    found = evaluate("--log", log, "--policy-file", policy_file, *columns)
    uniform, given = found["policies"]
    assert uniform["ips"]["value"] == 0.5
    assert given["ips"]["value"] == pytest.approx(0.75)
    assert "25.0% of what the policy shows was never logged" in given["warnings"][0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--policy", "affinity"], "needs the candidates of Endcap's own log"),
        (["--column", "nothing"], "is not NAME=COLUMN"),
        (["--column", "propensity=none"], "no column 'none' for the propensity"),
        (["--column", "propensity=reward"], "lack an action, a reward, or a propensity"),
        (["--placement", "hero"], "are of Endcap's own log"),
    ],
)
def test_wrong_options_are_told(tmp_path: Path, arguments: list[str], told: str) -> None:
    """Each names the value, the rule and the next step."""
    log = tmp_path / "log.csv"
    pl.DataFrame({"action": ["a"], "propensity": [0.5], "reward": [0]}).write_csv(log)
    with pytest.raises((ConfigError, InputError), match=told):
        evaluate("--log", log, *arguments)


def test_probabilities_must_add_up(tmp_path: Path) -> None:
    """Half a policy is none."""
    log, half = tmp_path / "log.csv", tmp_path / "half.csv"
    pl.DataFrame({"action": ["a"], "propensity": [0.5], "reward": [0]}).write_csv(log)
    pl.DataFrame({"action": ["a"], "probability": [0.5]}).write_csv(half)
    with pytest.raises(InputError, match=r"add up to 0\.500"):
        evaluate("--log", log, "--policy-file", half)


def test_table_is_for_people(tmp_path: Path) -> None:
    """A row for each policy, and warnings on standard error."""
    log = tmp_path / "log.csv"
    pl.DataFrame({"action": ["a", "b"], "propensity": [0.5, 0.5], "reward": [0, 1]}).write_csv(log)
    result = CliRunner().invoke(policy, ["evaluate", "--log", str(log)])
    assert "uniform" in result.stdout
    assert "warning: uniform: the estimate rests on 2" in " ".join(result.stderr.split())
