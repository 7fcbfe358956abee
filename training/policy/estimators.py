"""What a policy earns, estimated from the log of another one: IPS, SNIPS, doubly robust. Pure.

References
----------
Horvitz, Thompson (1952), for IPS. Swaminathan, Joachims (2015), The Self-Normalized Estimator for
Counterfactual Learning, for SNIPS. Dudík, Langford, Li (2011), Doubly Robust Policy Evaluation and
Learning, arXiv:1103.4601. Owen (2013), Monte Carlo theory, methods and examples, chapter 9, for the
effective sample size. Satterthwaite (1946), An Approximate Distribution of Estimates of Variance
Components, doi:10.2307/3002019, for the degrees of freedom.
"""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from scipy.special import stdtrit

from training.policy.decisions import Decisions, Floats, Policy, Rows

LEVEL = 0.95
N_FOLDS = 5
PRIOR_CLICKS = 4.0
"""Rewards that the rate of all actions is worth beside an action's own."""
MIN_EFFECTIVE = 100
MIN_HEAVY = 200
"""Decisions that the spread of the weights rests on, below which intervals may be too narrow."""
MAX_LOG_MARGIN = 50.0
MAX_ONE_SHARE = 0.1


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A reward per filled position, with a 95 % interval."""

    value: float
    low: float
    high: float


class Estimated(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one policy."""

    policy: str
    ips: Annotated[Value, Meta(description="Weighted rewards per decision: unbiased.")]
    snips: Annotated[Value, Meta(description="Per weight: nearly unbiased, and steadier.")]
    dr: Annotated[Value, Meta(description="A model of the reward, corrected by weights.")]
    effective_sample_size: float
    mean_weight: Annotated[float, Meta(description="1 where the log covers the policy.")]
    max_weight: float
    top_share: Annotated[float, Meta(description="Weight of the heaviest hundredth of decisions.")]
    clipped_share: Annotated[float, Meta(description="Share of decisions whose weight was cut.")]
    warnings: tuple[str, ...]


def estimate(decisions: Decisions, policy: Policy, *, clip: float | None = None) -> Estimated:
    """Estimate a policy's reward per decision; there must be one decision at least.

    `clip` is the largest weight; it trades variance for bias towards what was logged.
    """
    full = policy.of_logged(decisions) / decisions.propensity
    weight = full if clip is None else np.minimum(full, clip)
    total = float(weight.sum())
    effective = _n_alike(weight)
    ones = np.ones(len(decisions))
    heaviest = np.sort(weight)[::-1][: max(1, len(decisions) // 100)]
    return Estimated(
        policy=policy.name,
        ips=_ratio(decisions.unit, weight * decisions.reward, ones, weight),
        snips=_ratio(decisions.unit, weight * decisions.reward, weight, weight),
        dr=doubly_robust(decisions, policy, weight, *reward_model(decisions)),
        effective_sample_size=effective,
        mean_weight=total / len(decisions),
        max_weight=float(weight.max()),
        top_share=float(heaviest.sum()) / total if total else 0.0,
        clipped_share=float((full > weight).mean()),
        warnings=tuple(_warn(decisions, policy, full, effective, _n_alike(weight**2))),
    )


def _n_alike(weight: Floats) -> float:
    """Return how many equal weights would say as much (Kish's effective sample size)."""
    total = float(weight.sum())
    return total**2 / float((weight**2).sum()) if total else 0.0


def measured(decisions: Decisions) -> Value:
    """Say what the logging policy earned."""
    ones = np.ones(len(decisions))
    return _ratio(decisions.unit, decisions.reward, ones, ones)


def doubly_robust(
    decisions: Decisions, policy: Policy, weight: Floats, model: Floats, fold: Rows
) -> Value:
    """Add to the rewards that a model expects of the policy what the log says the model misses.

    `model` and `fold` are as `reward_model` gives them.
    """
    baseline = np.empty(len(decisions))
    for one in range(len(model)):
        for position in range(decisions.n_positions):
            chosen = (fold == one) & (decisions.position == position)
            if chosen.any():
                baseline[chosen] = (policy.table @ model[one, position])[policy.row[chosen]]
    expected = model[fold, decisions.position, decisions.action]
    terms = baseline + weight * (decisions.reward - expected)
    value, error, quantile = _linear(decisions.unit, terms, np.ones(len(decisions)))
    found = _interval(value, quantile * error)
    if (weight * decisions.reward).any():
        return found
    # Nothing corrects the model then, and the spread of its errors is next to none.
    return Value(value=value, low=min(value, 0.0), high=max(found.high, _rule_of_three(weight)))


def reward_model(decisions: Decisions) -> tuple[Floats, Rows]:
    """Expect a reward of each action at each position, from the other folds' decisions alone.

    Returns
    -------
    ndarray of float64, shape (N_FOLDS, n_positions, n_actions)
        Rates shrunk to the action's rate at all positions, and that to the rate of all actions.
    ndarray of intp, shape (n_decisions,)
        The fold of each decision; a unit is in one alone.
    """
    fold = decisions.unit % N_FOLDS
    shape = (N_FOLDS, decisions.n_positions, len(decisions.actions))
    flat = np.ravel_multi_index((fold, decisions.position, decisions.action), shape)
    n = np.bincount(flat, minlength=math.prod(shape)).reshape(shape).astype(np.float64)
    rewards = np.bincount(flat, weights=decisions.reward, minlength=math.prod(shape))
    rewards = rewards.reshape(shape)
    n, rewards = n.sum(axis=0) - n, rewards.sum(axis=0) - rewards
    overall = (rewards.sum(axis=(1, 2)) + 1e-6) / (n.sum(axis=(1, 2)) + 1)
    base = overall[:, None, None]
    worth = PRIOR_CLICKS / base
    place = (rewards.sum(axis=2, keepdims=True) + PRIOR_CLICKS) / (
        n.sum(axis=2, keepdims=True) + worth
    )
    expected = (n * place).sum(axis=1, keepdims=True)
    relative = (rewards.sum(axis=1, keepdims=True) + PRIOR_CLICKS) / (expected + PRIOR_CLICKS)
    above = place * relative
    return (rewards + PRIOR_CLICKS) / (n + PRIOR_CLICKS / above), fold


def _ratio(unit: Rows, y: Floats, x: Floats, weight: Floats) -> Value:
    """Divide two sums; none may be below zero."""
    if not float(x.sum()):
        return Value(value=0.0, low=0.0, high=1.0)
    value, error, quantile = _linear(unit, y, x)
    if value <= 0:
        return Value(value=value, low=0.0, high=_rule_of_three(weight))
    return _interval(value, quantile * error)


def _rule_of_three(weight: Floats) -> float:
    """Bound a rate of which no reward was seen."""
    return 3 / max(_n_alike(weight), 3.0)


def _interval(value: float, margin: float) -> Value:
    """Put an interval around a value: of the logarithm, for few rewards are no bell curve.

    A doubly robust value may be below zero, and has no logarithm then.
    """
    if value <= 0:
        return Value(value=value, low=value - margin, high=value + margin)
    spread = math.exp(min(margin / value, MAX_LOG_MARGIN))
    return Value(value=value, low=value / spread, high=value * spread)


def _linear(unit: Rows, y: Floats, x: Floats) -> tuple[float, float, float]:
    """Return the sum of y by that of x, its standard error over units, and Student's quantile.

    The error (delta method) is itself estimated, from the few units whose weighted rewards are
    large. Its degrees of freedom are those of Satterthwaite: twice its square by its variance.
    """
    value = float(y.sum() / x.sum())
    residuals = np.bincount(unit, weights=y - value * x)
    n_units = len(np.unique(unit))
    if n_units < 2:
        return value, math.inf, 1.0
    squares, fourths = float((residuals**2).sum()), float((residuals**4).sum())
    error = math.sqrt(squares * n_units / (n_units - 1)) / float(x.sum())
    varies = fourths - squares**2 / n_units
    freedom = min(n_units - 1, 2 * squares**2 / varies if varies > 0 else math.inf)
    return value, error, float(stdtrit(freedom, 0.5 + LEVEL / 2))


def _warn(
    decisions: Decisions, policy: Policy, weight: Floats, effective: float, heavy: float
) -> list[str]:
    warnings = []
    unseen = _unseen_share(decisions, policy)
    if unseen > 0.001:
        warnings.append(
            f"{unseen:.1%} of what the policy shows was never logged there: nothing is known of it"
        )
    mean, error, _ = _linear(decisions.unit, weight, np.ones(len(weight)))
    if abs(mean - 1) > max(0.02, 4 * error if math.isfinite(error) else 0.0):
        warnings.append(
            f"weights average {mean:.2f} and not 1: the log's propensities do not cover the policy"
        )
    if effective < MIN_EFFECTIVE:
        warnings.append(
            f"the estimate rests on {effective:.0f} effective decisions, too few for its "
            "intervals to hold: log more, or compare a policy that is nearer to the logged one"
        )
    if effective >= MIN_EFFECTIVE and heavy < MIN_HEAVY:
        warnings.append(
            f"a few heavy weights, {heavy:.0f} of them alike, say how wide the intervals are; they "
            "may be too narrow: log more, or bound weights by --clip, with bias"
        )
    total = float(weight.sum())
    if total and float(weight.max()) > MAX_ONE_SHARE * total:
        warnings.append("one decision has over a tenth of all weight; --clip bounds it, with bias")
    return warnings


def _unseen_share(decisions: Decisions, policy: Policy) -> float:
    """Return how much of the policy goes to actions that no decision of their position logged."""
    unseen = 0.0
    for position in range(decisions.n_positions):
        here = decisions.position == position
        seen = np.zeros(len(decisions.actions))
        seen[decisions.action[here]] = 1.0
        share = policy.table @ (1.0 - seen)
        unseen += float(share[policy.row[here]].sum())
    return unseen / len(decisions)
