"""Makes rows of exposures, before the store is locked and in whichever process has them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import astuple

from service.exposure import Exposure

COLUMNS = Exposure.__struct_fields__
assert COLUMNS[-2:] == ("candidates", "shown")

_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode

Value = str | int | bool | None


class ExposureRows(msgspec.Struct, array_like=True, gc=False):
    """Rows of exposures, ready to be inserted."""

    values: list[Value] = []
    """Row after row, in the order of `COLUMNS`."""
    dealt: list[str] = []
    """Keys of whoever was dealt a variant by chance as no user."""

    def __len__(self) -> int:
        return len(self.values) // len(COLUMNS)


def exposure_rows(exposures: Sequence[Exposure]) -> ExposureRows:
    """Make rows; what was shown becomes JSON.

    Raises
    ------
    ValueError
        If a text is not Unicode.
    """
    values: list[Value] = []
    dealt: set[str] = set()
    for exposure in exposures:
        values += astuple(exposure)
        candidates = exposure.candidates
        values[-2] = _encode(candidates).decode() if candidates else None
        values[-1] = _encode(exposure.shown).decode()
        if exposure.user_key is None and exposure.unit_key and exposure.reason == "SPLIT":
            dealt.add(exposure.unit_key)
    return ExposureRows(values, list(dealt))


def pack_exposures(exposures: Sequence[Exposure]) -> msgspec.Raw:
    """Make rows, and write them as they go to another process.

    Raises
    ------
    ValueError
        If a text is not Unicode.
    """
    return msgspec.Raw(_pack(exposure_rows(exposures)))


def unpack_exposures(packed: Sequence[msgspec.Raw]) -> ExposureRows:
    """Lay the rows of all pieces end to end.

    Raises
    ------
    msgspec.MsgspecError
        If a piece was not written by `pack_exposures`.
    """
    values: list[Value] = []
    dealt: set[str] = set()
    for piece in packed:
        rows = _unpack(piece)
        values += rows.values
        dealt.update(rows.dealt)
    return ExposureRows(values, list(dealt))


_unpack = msgspec.msgpack.Decoder(ExposureRows).decode
