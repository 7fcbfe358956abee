"""The shop's back office over HTTP: sets the shop up and reads the counters."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from training.simulation.api import Body
from training.simulation.processes import DemoError

ANSWERS_WITHIN_S = 30.0
_POLL_S = 0.1


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says it has handed over and put on disk."""

    exposures_assigned: int = 0
    exposures_stored: int = 0
    exposures_dropped: int = 0
    events_accepted: int = 0
    events_duplicate: int = 0
    events_rejected: int = 0


class _Flag(msgspec.Struct, frozen=True):
    variant: str


@dataclass(frozen=True, slots=True)
class Office:
    """Calls under an admin key."""

    client: httpx.AsyncClient

    async def put(self, path: str, document: Body) -> None:
        """Create or replace a document.

        Raises
        ------
        DemoError
            If the service refuses it; it says why.
        """
        response = await self.client.put(path, json=document)
        if response.is_error:
            raise DemoError(
                f"PUT {path} was answered {response.status_code}: {response.text[:400]}"
            )

    async def is_treated(self, rollout: str, user_id: str) -> bool:
        """Ask whether a user is in an arm of a rollout other than its control; nothing is logged.

        Raises
        ------
        DemoError
            If the service refuses to say.
        """
        body = {"context": {"targetingKey": user_id}}
        response = await self.client.post(f"/ofrep/v1/evaluate/flags/{rollout}", json=body)
        if response.is_error:
            raise DemoError(f"rollout {rollout} was not evaluated: {response.text[:400]}")
        return msgspec.json.decode(response.content, type=_Flag).variant != "control"

    async def read_ledger(self) -> Ledger | None:
        """Read the counters of all workers; nothing where the server does not answer in time."""
        try:
            response = await self.client.get("/metrics")
        except httpx.HTTPError:
            return None
        return None if response.is_error else parse_ledger(response.text)

    async def wait_for_model(self, version: str) -> None:
        """Wait until a model version answers.

        Raises
        ------
        DemoError
            If it does not within `ANSWERS_WITHIN_S`.
        """
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                while not shows_model((await self.client.get("/metrics")).text, version):
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise DemoError(
                f"model {version} is live, but the server does not answer with it after "
                f"{ANSWERS_WITHIN_S:.0f} s; see serve.log"
            ) from error


def shows_model(metrics: str, version: str) -> bool:
    """Tell from Prometheus' text format whether a model version answers."""
    return any(
        sample.labels.get("version") == version and sample.value == 1
        for family in text_string_to_metric_families(metrics)
        if family.name == "endcap_model_info"
        for sample in family.samples
    )


def parse_ledger(metrics: str) -> Ledger:
    """Find the counters in Prometheus' text format; what never counted is 0."""
    counts: dict[tuple[str, str], int] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            counts[sample.name, sample.labels.get("verdict", "")] = round(sample.value)
    return Ledger(
        exposures_assigned=counts.get(("endcap_exposures_served_total", ""), 0),
        exposures_stored=counts.get(("endcap_exposures_stored_total", ""), 0),
        exposures_dropped=counts.get(("endcap_exposures_dropped_total", ""), 0),
        events_accepted=counts.get(("endcap_events_total", "accepted"), 0),
        events_duplicate=counts.get(("endcap_events_total", "duplicate"), 0),
        events_rejected=counts.get(("endcap_events_total", "rejected"), 0),
    )
