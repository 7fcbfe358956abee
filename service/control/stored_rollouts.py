"""Rollouts inside a transaction: the epoch and phase they stand in, and all of them compiled."""

from __future__ import annotations

import msgspec

from service.control.configuration import Configuration
from service.control.consent import Consent, check_jump, in_phase
from service.control.current import decode_document
from service.control.documents import Document, DocumentKind
from service.rollouts.compiled import CompiledRollout
from service.rollouts.definition import Rollout, opens_epoch
from service.stores.control import ControlTransaction


def in_epoch(
    transaction: ControlTransaction, current: Document | None, rollout: Rollout, consent: Consent
) -> tuple[Rollout, bool]:
    """Stamp epoch and phase, and say whether the epoch is new; its number outlives a deletion."""
    before = current if isinstance(current, Rollout) else None
    rollout = in_phase(before, rollout, consent)
    check_jump(before, rollout, consent)
    if isinstance(current, Rollout):
        rollout = msgspec.structs.replace(rollout, epoch=current.epoch)
        if not opens_epoch(current, rollout):
            return rollout, False
    epoch = transaction.last_epoch(rollout.key) + 1
    return msgspec.structs.replace(rollout, epoch=epoch), True


def compile_stored(transaction: ControlTransaction) -> dict[str, CompiledRollout]:
    """Compile every rollout as the transaction sees it."""
    kinds: tuple[DocumentKind, ...] = ("rollout", "layer", "holdout")
    stored = [decode_document(each) for kind in kinds for each in transaction.list_documents(kind)]
    return Configuration.compile(0, stored).rollouts
