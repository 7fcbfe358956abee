"""Uploaded lists: both formats, every mistake, pieces that end anywhere, look-ups."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConflictError, InputError, StoreError
from service.control.upload import MAX_LINE_BYTES, MemberReader, UploadError
from service.rollouts.conditions import InSegment
from service.rollouts.definition import Rollout
from service.rollouts.segment import MemberList, Segment
from service.rollouts.visitor import Visitor
from service.stores.segment_files import KEPT, SegmentFiles
from tests.unit.service.control.samples import PSEUDONYMISER, Worker


def reader(**limits: int) -> MemberReader:
    """Make a reader with room for the tests."""
    return MemberReader(PSEUDONYMISER, **{"max_bytes": 1_000_000, "max_members": 10_000, **limits})


def read(body: bytes, piece: int = 7) -> MemberReader:
    """Feed a body in pieces of some bytes."""
    made = reader()
    for begin in range(0, len(body), piece):
        made.feed(body[begin : begin + piece])
    return made


def key_of(user_id: str, kind: Any = "user_id") -> str:
    """Return the pseudonym."""
    return PSEUDONYMISER.pseudonym(kind, user_id)


def members(made: MemberReader) -> MemberList:
    """Finish a list."""
    numbers = made.finish()
    assert made.unit is not None
    return MemberList(made.unit, memoryview(numbers.tobytes()).cast("Q"))


@pytest.mark.parametrize(
    "body",
    [
        b"user_id\nu1\nu2\nu1\n",
        b"\xef\xbb\xbfuser_id\r\nu1\r\n\r\nu2\r\nu1",
        b'\nname,user_id,country\nx,u1,AE\n"y, z","u2",SA\n,u1,\n',
        b'{"user_id": "u1"}\n{"x": 1, "user_id": "u2"}\n\n{"user_id":"u1"}',
        gzip.compress(b"user_id\nu1\nu2\nu1\n", mtime=0),
        gzip.compress(b"user_id\nu1\nu", mtime=0) + gzip.compress(b"2\nu1\n", mtime=0),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_list_is_read_in_every_form(body: bytes, piece: int) -> None:
    """CSV with and without other columns, JSON Lines, gzip: two members, one of them twice."""
    made = read(body, piece)
    found = members(made)
    assert (made.n_received, len(found), made.n_rejected) == (3, 2, 0)
    assert [found.has(key_of(one), None) for one in ("u1", "u2", "u3")] == [True, True, False]
    assert not found.has(None, key_of("u1"))


def test_list_of_visitors_is_asked_with_their_ids() -> None:
    """A list of anonymous ids holds visitors, and no user of the same name."""
    found = members(read("anonymous_id\n東京\n".encode()))
    assert found.has(None, key_of("東京", "anonymous_id"))
    assert not found.has(key_of("東京"), None)


def test_wrong_lines_are_counted_and_shown() -> None:
    """A wrong line is left out with its number and reason, and spoils nothing else."""
    lines = [f"u{number}" for number in range(100)]
    lines[10], lines[20], lines[30], lines[40] = '""', "x" * 257, "a\0b", "\udcff"
    body = "\n".join(["user_id", *lines]).encode("utf-8", "surrogateescape")
    made = read(body)
    assert len(members(made)) == 96
    assert [bad.line for bad in made.shown] == [12, 22, 32, 42]
    assert made.reasons == {"has no user_id": 1, "has an id that is none": 3}


def test_line_that_no_csv_has_is_counted() -> None:
    """With another line's end inside, or a cell of more characters than one may have."""
    lines = [f"u{number},x" for number in range(100)]
    lines[10], lines[20] = "u10,x\ry", f"{'u' * 140_000},x"
    made = read("\n".join(["user_id,name", *lines]).encode(), 400_000)
    assert (len(members(made)), made.reasons) == (98, {"is no line of a CSV": 2})


def test_list_may_begin_with_many_empty_lines() -> None:
    """They cost what they are long, and no more."""
    made = read(b"\n" * 900_000 + b'user_id\nu1\n""\n' + b"u2\n" * 30, 1_000_000)
    assert (made.finish().size, made.shown[0].line) == (2, 900_003)


def test_json_lines_that_are_none_are_counted() -> None:
    """What is no object, or has no text under the name, is left out."""
    good = [b'{"user_id": "u%d"}' % number for number in range(100)]
    made = read(b"\n".join([*good, b"[1]", b"{", b'{"user_id": 7}', b'{"anonymous_id": "a"}']))
    assert len(members(made)) == 100
    assert made.reasons == {"is no JSON object": 2, "has no user_id": 2}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty"),
        (b"u1\nu2\n", "names neither user_id nor anonymous_id"),
        (b"user_id,name\ru1,x\ru2,y\r", "names neither user_id nor anonymous_id"),
        (b'{"id": "u1"}', "names neither"),
        (b"user_id\n" + b"\n".join([b"u1"] * 9 + [b"''", b'""']), "1 of 11 lines are wrong"),
        (b"user_id\n" + b"x" * (MAX_LINE_BYTES + 10), "line 2 is longer"),
        (b"user_id\n" + b"\n" * 1_100_000, "longer than 1000000 bytes"),
        (gzip.compress(b"user_id\n" + b"\n" * 1_100_000), "longer than 1000000 bytes"),
        (gzip.compress(b"user_id\nu1\n", mtime=0)[:-9], "ends too early"),
        (gzip.compress(b"user_id\nu1\n", mtime=0) * 2 + b"\x1f\x8b\x08", "ends too early"),
        (gzip.compress(b"user_id\nu1\n", mtime=0) + b"u2\n", "is no gzip"),
        (b"\x1f\x8bnonsense", "is no gzip"),
        (b"user_id\n" + b"".join(b"u%d\n" % n for n in range(10_001)), "more than 10000 members"),
    ],
)
def test_list_as_a_whole_is_refused(body: bytes, message: str) -> None:
    """What cannot be a list is refused before anything is stored."""
    with pytest.raises(UploadError, match=message):
        read(body, 1000).finish()


@given(
    st.sets(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20))
)
def test_list_holds_exactly_its_members(ids: set[str]) -> None:
    """Whatever the ids, quoted as CSV wants it, each is found and no other is."""
    plain = {one for one in ids if not set(one) & set('"\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029')}
    plain = {one for one in plain if one.strip() == one and one.strip("\ufeff") == one}
    found = members(read(("user_id\n" + "".join(f'"{one}"\n' for one in plain)).encode()))
    assert len(found) == len(plain)
    assert all(found.has(key_of(one), None) for one in plain)
    assert not found.has(key_of("somebody else of 33 characters..."), None)


def test_files_keep_what_a_slow_worker_may_look_for(tmp_path: Path) -> None:
    """The newest files stay, an old one goes; a missing or cut file is an error that names it."""
    files = SegmentFiles(tmp_path)
    lists = [np.arange(size, dtype=np.uint64) for size in range(KEPT + 2)]
    contents = [files.write("vip", numbers) for numbers in lists]
    assert files.open("vip", contents[-1], KEPT + 1).tolist() == list(range(KEPT + 1))
    assert len(list((tmp_path / "segments" / "vip").iterdir())) == KEPT
    with pytest.raises(StoreError, match="No such file"):
        files.open("vip", contents[0], 0)
    with pytest.raises(StoreError, match="not 8 a member"):
        files.open("vip", contents[-1], 3)


def test_list_stays_while_an_audience_asks(tmp_path: Path) -> None:
    """An audience needs its list; the list is replaced in effect at once, and goes last."""
    worker = Worker(tmp_path)
    rollout = Rollout(share=1.0, audience=InSegment(segment="vip"))
    with pytest.raises(InputError, match="segment 'vip' of the audience is not uploaded"):
        worker.put("rollout", "r", rollout)
    for user_id in ("u1", "u2"):
        numbers = read(f"user_id\n{user_id}\n".encode()).finish()
        content = worker.segment_files.write("vip", numbers)
        worker.put("segment", "vip", Segment(unit="user_id", n_members=1, content=content))
        worker.put("rollout", "r", rollout)
        configuration = worker.current.get()
        audience = configuration.rollouts["r"].audience
        assert audience is not None
        for asked in ("u1", "u2"):
            visitor = Visitor(key_of(asked), None, now_ms=0, segments=configuration.segments)
            assert audience(visitor) is (asked == user_id)
    with pytest.raises(
        ConflictError, match="segment 'vip' is asked by the audience of rollout 'r'"
    ):
        worker.delete("segment", "vip")
    worker.delete("rollout", "r")
    worker.delete("segment", "vip")
    assert worker.current.get().segments == {}
    worker.close()
