"""Policies of a real shop, each estimated from the log of the other: ZOZOTOWN's banners.

The estimates of IPS and SNIPS are those of the Open Bandit Pipeline, obp 0.4.1, on the same files
and the same probabilities; it wants PyTorch, so its figures are written down here.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from training.policy.cli import policy

COLUMNS = ("action=item_id", "reward=click", "propensity=propensity_score")
MEASURED = {"men": {"random": 0.0046, "bts": 0.0069}, "women": {"random": 0.0046, "bts": 0.0046}}
"""Click rates of the 10,000 rows of each policy."""
FULL = {"men": 0.0067, "women": 0.0064}
"""The Thompson policy's, on all rows that were published of it."""


def evaluate(*arguments: object) -> Any:
    """Call the command, and read the object that it prints."""
    columns = [part for column in COLUMNS for part in ("--column", column)]
    texts = ["evaluate", *map(str, arguments), *columns, "--json"]
    result = CliRunner().invoke(policy, texts)
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


@pytest.mark.data
@pytest.mark.parametrize(
    ("campaign", "ips", "snips"),
    [
        ("men", 0.005656266700835461, 0.0057398647019513655),
        ("women", 0.0058056917829497874, 0.005833036087191038),
    ],
)
def test_random_log_tells_what_thompson_sampling_earned(
    shared_data: Path, campaign: str, ips: float, snips: float
) -> None:
    """The measured click rate, here and on all rows, lies in all three intervals."""
    files = shared_data / "open-bandit"
    name = f"{campaign}/{campaign}.parquet"
    found = evaluate("--log", files / "random" / name, "--policy-log", files / "bts" / name)
    uniform, thompson = found["policies"]
    assert found["logged"]["value"] == pytest.approx(MEASURED[campaign]["random"])
    assert uniform["ips"]["value"] == pytest.approx(MEASURED[campaign]["random"])
    assert thompson["ips"]["value"] == pytest.approx(ips, rel=1e-9)
    assert thompson["snips"]["value"] == pytest.approx(snips, rel=1e-9)
    assert thompson["effective_sample_size"] > 2_500
    assert thompson["warnings"] == []
    for estimator in ("ips", "snips", "dr"):
        interval = thompson[estimator]
        for truth in (MEASURED[campaign]["bts"], FULL[campaign]):
            assert interval["low"] < truth < interval["high"], (estimator, truth)


@pytest.mark.data
@pytest.mark.parametrize(
    ("campaign", "ips", "snips", "is_sound"),
    [
        ("men", 0.003008626327256482, 0.0031894231622774027, True),
        ("women", 0.00743757754192316, 0.0023730461434477677, False),
    ],
)
def test_thompson_log_tells_what_chance_earned(
    shared_data: Path, campaign: str, ips: float, snips: float, is_sound: bool
) -> None:
    """The random policy's measured click rate lies in all three intervals.

    Thompson sampling for women showed some items with a propensity of a millionth: that the
    estimate rests on two decisions is told.
    """
    name = f"{campaign}/{campaign}.parquet"
    found = evaluate("--log", shared_data / "open-bandit" / "bts" / name, "--policy", "uniform")
    assert found["logged"]["value"] == pytest.approx(MEASURED[campaign]["bts"])
    [uniform] = found["policies"]
    assert uniform["ips"]["value"] == pytest.approx(ips, rel=1e-9)
    assert uniform["snips"]["value"] == pytest.approx(snips, rel=1e-9)
    for estimator in ("ips", "snips", "dr"):
        interval = uniform[estimator]
        assert interval["low"] < MEASURED[campaign]["random"] < interval["high"], estimator
    told = any("effective decisions" in text for text in uniform["warnings"])
    assert told is not is_sound
