"""Buckets: golden vectors, uniformity, independence of stages and salts."""

import math
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from service.rollouts.bucketing import (
    BUCKETS,
    Stage,
    UnitKind,
    bound_of,
    bucket,
    bucket_of,
    bucket_under,
    salted,
)


@pytest.mark.parametrize(
    ("stage", "salt", "unit_kind", "unit_id", "expected"),
    [
        ("enrolment", "home_recs", "user_id", "u1", 75104),
        ("arm", "home_recs", "user_id", "u1", 591175),
        ("holdout", "home_recs", "user_id", "u1", 481928),
        ("layer", "home_recs", "user_id", "u1", 699512),
        ("enrolment", "home_recs", "anonymous_id", "u1", 741296),
        ("enrolment", "a", "user_id", "bc", 184803),
        ("enrolment", "ab", "user_id", "c", 765088),
        ("enrolment", "sälg", "user_id", "Zoë-東京-🛒", 483542),
        ("enrolment", "home_recs", "user_id", "é" * 128, 769554),
        ("enrolment", "", "user_id", "", 629625),
    ],
)
def test_bucket_stays_as_it_is(
    stage: Stage, salt: str, unit_kind: UnitKind, unit_id: str, expected: Any
) -> None:
    """No release moves a unit: these values never change."""
    assert bucket(stage, salt, unit_kind, unit_id) == expected


def test_bucket_is_the_documented_formula() -> None:
    """Anybody can compute a bucket: personalised BLAKE2b over length-prefixed parts."""
    message = b"\0\0\0\x04salt" + b"\0\0\0\x07user_id" + b"\0\0\0\x02u1"
    digest = blake2b(message, digest_size=8, person=b"endcap.arm").digest()
    assert bucket("arm", "salt", "user_id", "u1") == int.from_bytes(digest, "big") * 10**6 // 2**64


def test_bucket_is_uniform() -> None:
    """Of 200,000 units each of 100 equal ranges gets its share, by χ² at 99.9 %."""
    prefix = salted("home_recs", "user_id")
    counts = [0] * 100
    for number in range(200_000):
        counts[bucket_under("enrolment", prefix, f"u{number}") * 100 // BUCKETS] += 1
    statistic = sum((count - 2000) ** 2 / 2000 for count in counts)
    assert chi2.ppf(0.0005, 99) < statistic < chi2.ppf(0.9995, 99)


@pytest.mark.parametrize("share_ppm", [10_000, 50_000, 250_000, 900_000])
def test_share_of_units_is_inside_its_interval(share_ppm: int) -> None:
    """The part of 100,000 units below a share is within 99.9 % of the binomial's mean."""
    n_units, share = 100_000, share_ppm / BUCKETS
    prefix = salted("checkout", "anonymous_id")
    enrolled = sum(
        bucket_under("enrolment", prefix, f"v{number}") < share_ppm for number in range(n_units)
    )
    # 3.29 standard deviations hold 99.9 % of a normal distribution.
    assert abs(enrolled - n_units * share) < 3.29 * math.sqrt(n_units * share * (1 - share))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("enrolment", "home_recs"), ("enrolment", "home_hero")),
        (("enrolment", "home_recs"), ("arm", "home_recs")),
    ],
)
def test_buckets_of_two_rollouts_or_stages_are_independent(
    first: tuple[Stage, str], second: tuple[Stage, str]
) -> None:
    """On 200,000 units one bucket says nothing of the other: χ² of a 10 × 10 table at 99.9 %."""
    n_units, n_cells = 200_000, 10
    prefixes = [salted(salt, "user_id") for _, salt in (first, second)]
    table = [[0] * n_cells for _ in range(n_cells)]
    for number in range(n_units):
        unit = f"u{number}"
        row = bucket_under(first[0], prefixes[0], unit) * n_cells // BUCKETS
        column = bucket_under(second[0], prefixes[1], unit) * n_cells // BUCKETS
        table[row][column] += 1
    rows = [sum(row) for row in table]
    columns = [sum(column) for column in zip(*table, strict=True)]
    statistic = sum(
        (table[i][j] - rows[i] * columns[j] / n_units) ** 2 / (rows[i] * columns[j] / n_units)
        for i in range(n_cells)
        for j in range(n_cells)
    )
    assert statistic < chi2.ppf(0.999, (n_cells - 1) ** 2)


@given(digest=st.integers(0, 2**64 - 1), n_buckets=st.integers(0, BUCKETS))
def test_bound_says_of_every_digest_what_its_bucket_says(digest: int, n_buckets: int) -> None:
    """Bytes below the bound are exactly the digests whose bucket is below the number."""
    written = digest.to_bytes(8, "big")
    assert (written < bound_of(n_buckets)) == (bucket_of(written) < n_buckets)


@pytest.mark.parametrize("n_buckets", [0, 1, 333_333, 500_000, 999_999, BUCKETS])
def test_bound_is_exact_at_its_edge(n_buckets: int) -> None:
    """The first digest of bucket n lies at the bound of n, and the one before it below."""
    first = -(-n_buckets * 2**64 // BUCKETS)
    below = [each for each in (first - 1, first) if 0 <= each < 2**64]
    for digest in below:
        written = digest.to_bytes(8, "big")
        assert (written < bound_of(n_buckets)) == (digest * BUCKETS // 2**64 < n_buckets)
