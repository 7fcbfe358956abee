"""What machines that share a control plane must agree on before one may serve."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from models.errors import ConfigError
from models.pseudonym import KEY_FILE, KEY_VARIABLE, Pseudonymiser
from service.stores.control import ControlStore

_FACT = "pseudonym key"


def check_fleet(store: ControlStore, pseudonymiser: Pseudonymiser, home: Path) -> None:
    """Hold this machine's pseudonym key to the others'; the first machine's counts.

    Raises
    ------
    ConfigError
        If it is another one: lists, forced units and shares would mean other people here.
    """
    with store.transaction() as transaction:
        agrees = transaction.shared_facts.agree(_FACT, _digest(pseudonymiser))
    if not agrees:
        raise ConfigError(
            f"the pseudonym key of {home} is not that of the other machines; copy {KEY_FILE} from "
            f"the home of one of them over it, or give all the same {KEY_VARIABLE}"
        )


def replace_fleet_key(store: ControlStore, pseudonymiser: Pseudonymiser) -> None:
    """Make another pseudonym key the one that all machines need from now on."""
    with store.transaction() as transaction:
        transaction.shared_facts.replace(_FACT, _digest(pseudonymiser))


def _digest(pseudonymiser: Pseudonymiser) -> str:
    return sha256(pseudonymiser.derive("fleet")).hexdigest()
