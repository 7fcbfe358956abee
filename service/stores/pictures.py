"""Uploaded pictures: one file for each content, named by its hash, never changed.

Where several machines share the control store it holds them too, and each machine keeps a copy of
what it was asked for.

What a picture is, its bytes say, not its name. SVG is refused: it may hold scripts, and what makes
it safe today may not tomorrow.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from models.durable import replace_file
from models.errors import InputError, NotFoundError
from service.stores.sqlite import reported

if TYPE_CHECKING:
    from service.stores.shared_files import SharedFiles

TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "avif": "image/avif",
}
"""Media type by the ending of its file."""
_HASH = re.compile(r"[0-9a-f]{32}")
_DAY_MS = 86_400_000
_AVIF_BRANDS = (b"avif", b"avis")


class PictureError(InputError):
    """What was sent is no picture that is kept."""

    code = "picture_invalid"


class PictureSizeError(PictureError):
    """The picture is larger than the settings allow."""

    code = "body_too_large"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture."""

    hash: str
    media_type: str
    content: bytes


def kind_of(content: bytes) -> str | None:
    """Say what kind of picture some bytes are, a key of `TYPES`; nothing if none."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if content[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    # The brand is one of those that the box of the file's type lists.
    box = content[: min(int.from_bytes(content[:4], "big"), 64)]
    if box[4:8] == b"ftyp" and any(brand in box[8:] for brand in _AVIF_BRANDS):
        return "avif"
    return None


class PictureFiles:
    """The folder of pictures below a home, and what machines share of it."""

    def __init__(self, home: Path, shared: SharedFiles | None = None) -> None:
        self._folder = home / "pictures"
        self._shared = shared
        self._asking = Lock()
        """Of who asks the others: that takes a connection, and anybody may name what never was."""

    def write(self, content: bytes, *, max_bytes: int) -> Picture:
        """Keep a picture; one that is there already stays as it is.

        Raises
        ------
        PictureError
            If it is too large, or no picture that browsers show safely.
        """
        if len(content) > max_bytes:
            raise PictureSizeError(
                f"the picture has {len(content)} bytes, more than {max_bytes} "
                "(ENDCAP_PICTURE_LIMIT_BYTES); save it smaller"
            )
        kind = kind_of(content)
        if kind is None:
            head = content[:512].lstrip().lower()
            what = (
                "an SVG, which may run scripts" if b"<svg" in head else "no picture that is known"
            )
            raise PictureError(f"this is {what}; send a PNG, JPEG, WebP, GIF or AVIF")
        name = blake2b(content, digest_size=16).hexdigest()
        path = self._folder / f"{name}.{kind}"
        with reported(path):
            if path.exists():
                path.touch()  # it is wanted again, see `expire`
            else:
                self._folder.mkdir(parents=True, exist_ok=True)
                replace_file(path, content)
        if self._shared is not None:
            self._shared.put("pictures", path.name, content)
        return Picture(name, TYPES[kind], content)

    def share(self) -> int:
        """Give this machine's pictures to the others, and count them."""
        assert self._shared is not None
        n_files = 0
        with reported(self._folder):
            for path in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
                if _HASH.fullmatch(path.stem) and path.suffix[1:] in TYPES:
                    self._shared.put("pictures", path.name, path.read_bytes())
                    n_files += 1
        return n_files

    def expire(self, named: Collection[str], *, kept_days: int, now_ms: int) -> list[str]:
        """Remove pictures that nothing has named for longer than `kept_days`; return their hashes.

        The time of a file says when it was last uploaded or named by one of `named`, so this has to
        be called more often than that.
        """
        gone = set()
        if self._shared is not None:
            gone |= self._expire_shared(self._shared, named, now_ms - kept_days * _DAY_MS, now_ms)
        with reported(self._folder):
            for path in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
                if not _HASH.fullmatch(path.stem) or path.suffix[1:] not in TYPES:
                    continue
                if path.stem in named:
                    os.utime(path, (now_ms / 1000, now_ms / 1000))
                elif path.stat().st_mtime * 1000 < now_ms - kept_days * _DAY_MS:
                    path.unlink()
                    gone.add(path.stem)
        return sorted(gone)

    def read(self, name: str) -> Picture:
        """Read a picture by its hash; raise `NotFoundError` if there is none."""
        if _HASH.fullmatch(name):
            picture = self._find(name)
            if picture is None and self._shared is not None:
                with self._asking:
                    picture = self._find(name) or self._fetch(self._shared, name)
            if picture is not None:
                return picture
        raise NotFoundError(f"there is no picture {name[:40]!r}; upload it with POST /v1/pictures")

    def _fetch(self, shared: SharedFiles, name: str) -> Picture | None:
        """Copy what the others have, and read it."""
        for known in shared.names("pictures", f"{name}."):
            shared.copy("pictures", known, self._folder / known)
        return self._find(name)

    def _find(self, name: str) -> Picture | None:
        """Read this machine's copy."""
        for kind, media_type in TYPES.items():
            path = self._folder / f"{name}.{kind}"
            with reported(path):
                if path.exists():
                    return Picture(name, media_type, path.read_bytes())
        return None

    @staticmethod
    def _expire_shared(
        shared: SharedFiles, named: Collection[str], before_ms: int, now_ms: int
    ) -> set[str]:
        files = {name: name.partition(".")[0] for name in shared.names("pictures")}
        shared.touch("pictures", [name for name, stem in files.items() if stem in named], now_ms)
        old = shared.unused_since("pictures", before_ms)
        shared.delete("pictures", old)
        return {files[name] for name in old if name in files}
