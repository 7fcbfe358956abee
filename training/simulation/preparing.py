"""Before the first visitor: a world, a trained model, keys, a server, its placements."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
from rich.console import Console
from rich.status import Status

from models.artifact import ArtifactStore
from models.errors import ConfigError
from training.simulation.config import WorldConfig
from training.simulation.files import WorldFacts, WorldFiles
from training.simulation.invitation import addresses_of
from training.simulation.office import Office
from training.simulation.personas import choose_personas, mix, write_sign
from training.simulation.processes import (
    DemoError,
    NewKey,
    Server,
    is_free,
    run_endcap,
    start_server,
)
from training.simulation.retraining import train
from training.simulation.shelves import ROLLOUT, BannerPlan, documents, plan_banners
from training.simulation.traffic import Pace
from training.simulation.world import World

_LINE_WIDTH = 90


class DemoPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line."""

    home: Path
    world: WorldConfig
    port: int = 8080
    n_workers: int = 1
    share: float = 0.5
    """Share of the units that the rollout treats."""
    pace: Pace = Pace(visits_per_s=40.0)
    seconds: float | None = None
    """When to end; without it, at Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that is ready when the first visitor comes."""

    world: World
    facts: WorldFacts
    files: WorldFiles
    artifacts: ArtifactStore
    banners: list[BannerPlan]
    server: Server
    admin_key: str
    shoppers: list[httpx.AsyncClient]
    """Under a publishable key, one for every visit that may go on at one time."""
    office: Office


async def prepare(plan: DemoPlan, console: Console, cleanup: AsyncExitStack) -> Stage:
    """Get everything ready; what was started ends with `cleanup`.

    Raises
    ------
    ConfigError
        If the home holds another world, or cannot be written to.
    DemoError
        If the trainer or the server fails.
    """
    try:
        plan.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to --home {plan.home}: {error}") from error
    files = WorldFiles(plan.home / "world")
    world, facts = _make_world(files, plan.world, console)
    # The server can answer before there is a model, so the two slow starts share their time.
    with console.status("training and starting the server …") as status:
        async with asyncio.TaskGroup() as group:
            training = group.create_task(_train(plan.home, files, console, status))
            opening = group.create_task(_open(plan, world, facts, console, cleanup))
        opened, artifacts = opening.result(), training.result()
    shoppers = [
        await cleanup.enter_async_context(
            _client(opened.server, opened.publishable_key, opened.tls)
        )
        for _ in range(plan.pace.n_at_once)
    ]
    stage = Stage(
        world=world,
        facts=facts,
        files=files,
        artifacts=artifacts,
        banners=plan_banners(world.shop),
        server=opened.server,
        admin_key=opened.admin_key,
        shoppers=shoppers,
        office=opened.office,
    )
    version = artifacts.live_version()
    assert version is not None  # _train has seen to it
    await stage.office.wait_for_model(version)
    return stage


def _client(server: Server, key: str, tls: ssl.SSLContext) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=server.url,
        headers={"Authorization": f"Bearer {key}"},
        verify=tls,
        timeout=10.0,
    )


def say(console: Console, what: str, how: str, took_s: float | None = None) -> None:
    """Print one finished step."""
    took = "" if took_s is None else f" [dim]({took_s:.1f} s)[/]"
    console.print(f"[green]✓[/] [bold]{what:<8}[/] {how}{took}", highlight=False)


def _make_world(
    files: WorldFiles, config: WorldConfig, console: Console
) -> tuple[World, WorldFacts]:
    begin = time.monotonic()
    if files.exists():
        world, facts = files.read()
        if msgspec.structs.replace(config, now_ms=facts.config.now_ms) != facts.config:
            kept = facts.config
            raise ConfigError(
                f"{files.folder} holds another shop ({kept.n_items} items, {kept.n_shoppers} "
                f"shoppers, seed {kept.seed}); ask for the same one or choose another --home"
            )
        verb = "opened"
    else:
        world, facts = files.write(config)
        verb = "made"
    say(
        console,
        "shop",
        f"{verb}: {config.n_items:,} items, {config.n_shoppers:,} shoppers, "
        f"{facts.n_rows:,} rows of {config.days} days",
        time.monotonic() - begin,
    )
    return world, facts


async def _train(home: Path, files: WorldFiles, console: Console, status: Status) -> ArtifactStore:
    artifacts = ArtifactStore(home)
    version = artifacts.live_version()
    if version is not None:
        say(console, "model", f"{version} is live already")
        return artifacts
    begin = time.monotonic()
    await train(home, files, lambda line: status.update(f"training: {line[:_LINE_WIDTH]}"))
    version = artifacts.live_version()
    if version is None:
        raise DemoError(f"training ended, but no model is live in {home}; see 'endcap models list'")
    say(console, "model", f"{version} is live", time.monotonic() - begin)
    return artifacts


@dataclass(frozen=True, slots=True)
class _Opened:
    server: Server
    admin_key: str
    publishable_key: str
    office: Office
    tls: ssl.SSLContext


async def _open(
    plan: DemoPlan,
    world: World,
    facts: WorldFacts,
    console: Console,
    cleanup: AsyncExitStack,
) -> _Opened:
    """Start the server and put up what does not need a model."""
    begin = time.monotonic()
    taken = not is_free(plan.port)
    server = await start_server(plan.home, 0 if taken else plan.port, plan.n_workers)
    cleanup.push_async_callback(server.stop)
    admin_key, publishable_key = [
        server.keys.get(scope) or await _create_key(plan.home, scope)
        for scope in ("admin", "publishable")
    ]
    where = f"{server.url}, {plan.n_workers} worker{'s' if plan.n_workers > 1 else ''}"
    note = f" [yellow](port {plan.port} is taken)[/]" if taken else ""
    say(console, "server", where + note, time.monotonic() - begin)
    tls = ssl.create_default_context()  # slow to make, so the clients share one
    office = Office(await cleanup.enter_async_context(_client(server, admin_key, tls)))
    shelves = documents(plan_banners(world.shop), facts.best_sellers, plan.share)
    for path, document in shelves:
        await office.put(path, document)
    # Some are in each arm, so that one sees both whatever the seed.
    known = choose_personas(world)
    treated = {one.user_id for one in known if await office.is_treated(ROLLOUT, one.user_id)}
    write_sign(mix(known, treated), plan.home)
    shop = addresses_of(server.url)["shop"]
    say(console, "shelves", f"{len(shelves)} documents; {shop} fills when the model is live")
    return _Opened(server, admin_key, publishable_key, office, tls)


async def _create_key(home: Path, scope: str) -> str:
    named = ("--scope", scope, "--name", f"demo {scope}")
    made = await run_endcap("keys", "create", *named, "--home", str(home))
    return msgspec.convert(made, NewKey).key
