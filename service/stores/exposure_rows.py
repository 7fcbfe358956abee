"""Makes rows of exposures, before the store is locked and in whichever process has them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import astuple

from service.exposure import Exposure

COLUMNS = Exposure.__struct_fields__
assert COLUMNS[-2:] == ("candidates", "shown")

_UNIT_KEY = COLUMNS.index("unit_key")
_ARRAY = b"\xdd"
"""How MessagePack begins an array whose length stands in the next four bytes."""
_HEAD_BYTES = 5

_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder()

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


class PackedExposures:
    """Rows of page after page, written one behind the other as they go to another process.

    A page is a few hundred bytes at the end of a buffer, and its exposures are forgotten: whoever
    sends thousands of pages touches a few buffers.
    """

    def __init__(self) -> None:
        self._n_pages = 0
        self._written = bytearray(_HEAD_BYTES)
        self.n_exposures = 0

    def add(self, exposures: Sequence[Exposure]) -> None:
        """Write the exposures of a page; on an error nothing of it is written.

        Raises
        ------
        ValueError
            If a text is not Unicode.
        """
        self._add(exposure_rows(exposures), len(exposures))

    def finish(self) -> msgspec.Raw:
        """Return all of it as one piece; nothing may be added after that."""
        self._written[:_HEAD_BYTES] = _ARRAY + self._n_pages.to_bytes(4)
        return msgspec.Raw(self._written)

    def _add(self, rows: ExposureRows, n_exposures: int) -> None:
        end = len(self._written)
        try:
            _pack.encode_into(rows, self._written, end)
        except BaseException:
            del self._written[end:]
            raise
        self._n_pages += 1
        self.n_exposures += n_exposures

    @classmethod
    def each_of(cls, piece: msgspec.Raw) -> list[msgspec.Raw]:
        """Make a piece of each exposure of a piece, whatever is wrong with one of them."""
        pieces = []
        for values_of_all, dealt in _unpack_anything(piece):
            for begin in range(0, len(values_of_all), len(COLUMNS)):
                values = values_of_all[begin : begin + len(COLUMNS)]
                one = cls()
                unit = values[_UNIT_KEY]
                one._add(ExposureRows(values, [key for key in dealt if key == unit]), 1)
                pieces.append(one.finish())
        return pieces


def pack_exposures(exposures: Sequence[Exposure]) -> msgspec.Raw:
    """Make rows, and write them as one piece.

    Raises
    ------
    ValueError
        If a text is not Unicode.
    """
    packed = PackedExposures()
    packed.add(exposures)
    return packed.finish()


def unpack_exposures(packed: Sequence[msgspec.Raw]) -> ExposureRows:
    """Lay the rows of all pieces end to end.

    Raises
    ------
    msgspec.MsgspecError
        If a piece was not written by `PackedExposures`.
    """
    values: list[Value] = []
    dealt: set[str] = set()
    for piece in packed:
        for rows in _unpack(piece):
            values += rows.values
            dealt.update(rows.dealt)
    return ExposureRows(values, list(dealt))


_unpack = msgspec.msgpack.Decoder(list[ExposureRows]).decode
_unpack_anything = msgspec.msgpack.Decoder().decode
