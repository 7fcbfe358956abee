"""Whom a visitor of the demo's storefront may be: shoppers with a history and a clear taste."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from training.simulation.departments import STYLES
from training.simulation.world import World

SHOP_NAME = "Larch & Line"
CURRENCY = "£"
SIGN_FILE = "storefront.json"
N_PERSONAS = 5
_NAMES = ("Mira", "Theo", "Ines", "Omar", "Lena", "Jonas", "Aylin", "Hugo", "Nadia", "Felix")
_REGULARS = 300
"""They are looked for among so many who come most."""


class Persona(msgspec.Struct, frozen=True, kw_only=True):
    """One of them, as the storefront reads it."""

    user_id: str
    name: str
    about: str


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """What the storefront reads from its file in the home."""

    name: str
    currency: str
    personas: list[Persona]


def choose_personas(world: World) -> list[Persona]:
    """Choose regulars whose favourite departments differ, the clearest tastes first, all named."""
    shoppers = world.shoppers
    regulars = np.argsort(-np.where(shoppers.is_newcomer, 0.0, shoppers.activity))[:_REGULARS]
    ordered = np.sort(shoppers.leaf_taste[regulars], axis=1)
    clearness = ordered[:, -2:].sum(axis=1) - 2.0 * ordered.mean(axis=1)
    chosen: dict[str, int] = {}
    for row in regulars[np.argsort(-clearness)].tolist():
        department = _favourites(world, row)[0].split(" > ", 1)[0]
        if shoppers.first_seen_ms[row] >= 0 and len(chosen) < len(_NAMES):
            chosen.setdefault(department, row)
    return [
        Persona(user_id=shoppers.user_ids[row], name=name, about=_about(world, row))
        for name, row in zip(_NAMES, chosen.values(), strict=False)
    ]


def mix(personas: list[Persona], treated: set[str]) -> list[Persona]:
    """Take `N_PERSONAS`, both arms in turn while there are any, beginning with a treated one."""
    arms = (
        [persona for persona in personas if persona.user_id in treated],
        [persona for persona in personas if persona.user_id not in treated],
    )
    turns = sorted((turn, arm) for arm in (0, 1) for turn in range(len(arms[arm])))
    return [arms[arm][turn] for turn, arm in turns][:N_PERSONAS]


def write_sign(personas: list[Persona], home: Path) -> None:
    """Tell the storefront its name and its personas."""
    sign = Sign(name=SHOP_NAME, currency=CURRENCY, personas=personas)
    partial = home / f"{SIGN_FILE}.partial"
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(sign)))
    partial.replace(home / SIGN_FILE)


def _favourites(world: World, row: int) -> list[str]:
    return [world.shop.leaves[leaf] for leaf in np.argsort(-world.shoppers.leaf_taste[row])[:2]]


def _about(world: World, row: int) -> str:
    leaves = [path.rpartition(" > ")[2].lower() for path in _favourites(world, row)]
    style = STYLES[int(np.argmax(world.shoppers.style_taste[row]))][0]
    return f"{leaves[0]} and {leaves[1]}, {style}"
