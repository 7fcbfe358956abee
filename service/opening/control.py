"""The control plane: what merchandisers set, in effect in this process and followed."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from service.control.current import CurrentConfiguration
from service.control.fleet import check_fleet
from service.control.plane import ControlPlane
from service.opening.ground import Ground
from service.storefront.shop import Storefront, open_storefront
from service.stores.control import ControlStore
from service.stores.pictures import PictureFiles
from service.stores.segment_files import SegmentFiles


class Control(NamedTuple):
    """The store of documents, what is in effect of it, and how it is changed."""

    store: ControlStore
    current: CurrentConfiguration
    plane: ControlPlane
    segment_files: SegmentFiles
    pictures: PictureFiles
    storefront: Storefront | None


def open_control(ground: Ground) -> Control:
    """Open the store, read what is in effect and follow its changes."""
    settings, stack = ground.settings, ground.stack
    store = ControlStore(settings.control_place)
    stack.callback(store.close)
    check_fleet(store, ground.pseudonymiser, ground.home)
    # Its key is written before the keys are read.
    storefront = (
        open_storefront(settings, ground.pseudonymiser, store, ground.now_ms())
        if settings.storefront
        else None
    )
    reader = store.open_reader()
    stack.callback(reader.close)
    segment_files = SegmentFiles(ground.home, store.shared_files)
    current = CurrentConfiguration(
        reader,
        ground.metrics.configuration_revision.set,
        segment_files,
        ground.metrics.control_up.set,
    )
    ground.keep_running(partial(current.watch, settings.control_poll_ms / 1000))
    plane = ControlPlane(store, current, ground.pseudonymiser, ground.now_ms)
    pictures = PictureFiles(ground.home, store.shared_files)
    return Control(store, current, plane, segment_files, pictures, storefront)
