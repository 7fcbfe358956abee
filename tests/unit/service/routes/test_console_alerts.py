"""What wants attention, from the state of the model and of the rollouts."""

from types import SimpleNamespace

import pytest

from models.errors import StoreError
from models.manifest import Drift, Gate
from service.control.precondition import Precondition
from service.control.writing import Change
from service.reports.ramp_runner import ACTOR
from service.routes.console.alerts import DAY_MS, Alert, model_alerts, rollout_alerts
from tests.unit.service.routes.samples import NOW_MS, Shop


def told(alerts: list[Alert]) -> list[tuple[str, str]]:
    """Take tone and text."""
    return [(one.tone, one.text) for one in alerts]


def test_missing_model_is_told(shop: Shop) -> None:
    """Slots are filled all the same, but not personally."""
    [(tone, text)] = told(list(model_alerts(shop.services)))
    assert (tone, text.startswith("No model is live")) == ("warn", True)


def test_old_forced_and_drifted_model_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight days, a gate that was overruled, users that doubled."""
    manifest = SimpleNamespace(
        created_at_ms=NOW_MS - 8 * DAY_MS,
        gate=Gate(verdict="forced", reason="worse than popularity"),
        drift=Drift(against="v1", changes={}, event_stability=0.0, warnings=["users grew by 100%"]),
    )
    artifacts = type(shop.services.artifacts)
    monkeypatch.setattr(artifacts, "live_version", lambda _self: "v2")
    monkeypatch.setattr(artifacts, "manifest", lambda _self, _version: manifest)
    texts = [text for _, text in told(list(model_alerts(shop.services)))]
    assert texts == [
        "The model was trained 8 days ago; train again.",
        "The live model was forced past the gate: worse than popularity.",
        "The data have drifted: users grew by 100%.",
    ]


def test_ramp_that_was_rolled_back_is_told_until_it_goes_on(shop: Shop) -> None:
    """With the guardrail that was breached; a kill by a person is none."""
    for key in ("fell", "stopped"):
        shop.call("PUT", f"/v1/rollouts/{key}", json={"share": 1.0})
    note = "rolled back: conversion of 'personal' is -20%"
    change = Change("rollout", "fell", ACTOR, Precondition(), note=note, is_approved=True)
    shop.services.control.patch(change, {"killed": True})
    shop.call("POST", "/v1/rollouts/stopped/kill")
    assert told(list(rollout_alerts(shop.services))) == [("bad", f"fell was {note}")]
    shop.call("POST", "/v1/rollouts/fell/resume")
    assert told(list(rollout_alerts(shop.services))) == []


def test_broken_ratio_and_report_are_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only of rollouts that split."""
    shop.call("PUT", "/v1/rollouts/r", json={"share": 0.5})
    shop.call("PUT", "/v1/rollouts/all", json={"share": 1.0})
    verdict = SimpleNamespace(code="do_not_act", sentence="Do not act: broken.")
    report = SimpleNamespace(verdict=verdict)
    place = "service.routes.console.alerts.report_rollout"
    monkeypatch.setattr(place, lambda *_args, **_options: report)
    assert told(list(rollout_alerts(shop.services))) == [("bad", "r: Do not act: broken.")]

    def fail(*_args: object, **_options: object) -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(place, fail)
    [(tone, text)] = told(list(rollout_alerts(shop.services)))
    assert (tone, "the disk is gone" in text) == ("warn", True)


def test_decided_rollout_is_told(shop: Shop) -> None:
    """After thirty days at everyone."""
    shop.call("PUT", "/v1/rollouts/r", json={"share": 1.0})
    assert told(list(rollout_alerts(shop.services))) == []
    shop.advance(31 * DAY_MS)
    [(tone, text)] = told(list(rollout_alerts(shop.services)))
    assert (tone, "has decided" in text) == ("info", True)
