"""Files as shops export them: what cannot be trusted is counted with its next step, or refused."""

import gzip
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from models.errors import ConfigError, InputError, RejectedShareError
from models.past import FIX_ENCODING
from training.load import Loaded, load_dataset
from training.mapping import Mapping
from training.marks import BLANK, EXTRA_FIELDS
from training.policy.files import read_log
from training.read import scan_files

HEADER = "user_id,item_id,event,timestamp,order_id"
GOOD = "u1,a,view,2026-01-02,"
ANY = Mapping(max_reject_share=1.0)


def load(
    folder: Path,
    *rows: str,
    encoding: str = "utf-8",
    header: str = HEADER,
    mapping: Mapping = ANY,
    catalog: str | None = None,
) -> Loaded:
    """Load rows of CSV, and a catalogue if one is given."""
    log, items = folder / "log.csv", folder / "items.csv"
    log.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
    if catalog is not None:
        items.write_bytes(catalog.encode(encoding))
    files = [] if catalog is None else [str(items)]
    return load_dataset([str(log)], files, mapping, pseudonym=str, rejects=None)


def test_ids_that_lost_a_letter_are_rejected(tmp_path: Path) -> None:
    """In Latin-1 `Ä1` and `Ö1` would become one item, and two customers one: none is kept."""
    rows = [
        GOOD,
        "u1,Ä1,view,2026-01-02,",
        "u1,Ö1,view,2026-01-02,",
        "ü1,a,view,2026-01-02,",
        "u1,a,view,2026-01-02,Nö",
    ]
    found = load(tmp_path, *rows, encoding="latin-1")
    assert found.rows["interactions"].rejected == {
        "item_id_not_utf8": 2,
        "order_id_not_utf8": 1,
        "user_id_not_utf8": 1,
    }
    assert list(found.dataset.item_ids) == ["a"]
    assert load(tmp_path, *rows).rows["interactions"].kept == 5


def test_refusal_of_a_file_says_how_to_convert_it(tmp_path: Path) -> None:
    """A Latin-1 file is refused with the command that makes it UTF-8."""
    with pytest.raises(RejectedShareError, match="iconv -f cp1252 -t utf-8"):
        load(tmp_path, "u1,Ä1,view,2026-01-02,", encoding="latin-1", mapping=Mapping())


def test_catalog_keeps_lossy_texts_but_no_lossy_ids(tmp_path: Path) -> None:
    """A title without its umlaut is kept and counted; an item whose id lost one is rejected."""
    catalog = "item_id,title\nÄ1,Lamp\na,Türkis\nb,Lamp\n"
    rows = load(tmp_path, GOOD, encoding="latin-1", catalog=catalog).rows["catalog"]
    assert (rows.kept, rows.not_utf8, rows.rejected) == (2, 1, {"item_id_not_utf8": 1})


@pytest.mark.parametrize("written", ["1785542400", "20260801", "202608011230", "1970-01-01"])
def test_time_before_there_were_shops_is_rejected(tmp_path: Path, written: str) -> None:
    """Seconds or a date without dashes among ISO dates cost their own rows, not the whole log."""
    found = load(tmp_path, GOOD, f"u2,b,view,{written},", "u3,c,view,1785542400000,")
    assert found.rows["interactions"].rejected == {"timestamp_before_1980": 1}
    assert found.dataset.interactions.at_ms.tolist() == [1_767_312_000_000, 1_785_542_400_000]


def test_numbers_in_a_typed_column_follow_the_same_rule(tmp_path: Path) -> None:
    """Seconds as integers of a Parquet file are rejected row by row, with what to do."""
    path = tmp_path / "log.parquet"
    columns = {"user_id": ["u", "v"], "item_id": ["a", "b"], "event": ["view", "view"]}
    pl.DataFrame({**columns, "timestamp": [1_785_542_400, 1_785_542_400_000]}).write_parquet(path)
    with pytest.raises(RejectedShareError, match="multiply seconds by 1000"):
        load_dataset([str(path)], [], Mapping(), pseudonym=str, rejects=None)


def test_catalog_moments_in_seconds_are_rejected(tmp_path: Path) -> None:
    """`updated_at` decides which value is newest; a date of 1975 is one, a small number is none."""
    catalog = "item_id,created_at,updated_at\na,1975-05-01,2026-01-01\nb,,20260801\n"
    rows = load(tmp_path, GOOD, catalog=catalog).rows["catalog"]
    assert (rows.kept, rows.rejected) == (1, {"updated_at_before_1980": 1})


def test_rows_longer_than_the_header_are_rejected(tmp_path: Path) -> None:
    """A comma out of quotes moves what follows; empty fields at the end move nothing."""
    moved = "u1,a,view,2026-01-02,o1,x,y"
    found = load(tmp_path, GOOD, moved, "u1, a, b,view,2026-01-02,", f"{GOOD},,")
    assert found.rows["interactions"].rejected == {
        "row_has_extra_fields": 1,
        "event_unknown": 1,
    }
    assert found.rows["interactions"].kept == 2


def test_blank_lines_are_dropped_and_counted(tmp_path: Path) -> None:
    """Blank lines do not make a file bad; a row that lacks its user alone still does."""
    found = load(tmp_path, GOOD, "", ",,,,", GOOD, "", ",a,view,2026-01-02,").rows["interactions"]
    assert (found.read, found.kept) == (6, 2)
    assert found.dropped == {"blank": 3}
    assert found.rejected == {"user_id_missing": 1}


def test_only_columns_that_are_asked_for_make_a_row_blank(tmp_path: Path) -> None:
    """A file with none of them has no blank rows: it is told what is missing."""
    path = tmp_path / "log.csv"
    path.write_text("a,b\n1,2\n\n")
    frame = scan_files(str(path), ["user_id"])[0].collect()
    assert frame[BLANK].to_list() == [False, False]
    assert frame[EXTRA_FIELDS].to_list() == [False, False]


def test_blank_lines_of_a_policy_log_are_no_bad_rows(tmp_path: Path) -> None:
    """`endcap policy` reads the same files, and refuses them from 5 % of bad rows on."""
    path = tmp_path / "log.csv"
    path.write_text("action,propensity,reward\n\na,0.5,1\n\nb,0.5,0\n\n")
    log = read_log(str(path), {})
    assert (len(log.decisions), log.n_bad) == (2, 0)


def test_doubled_column_is_an_error_that_names_it(tmp_path: Path) -> None:
    """Which of two columns `price` holds the price nobody can say; unnamed ones do no harm."""
    with pytest.raises(InputError, match="more than one column 'price'"):
        load(
            tmp_path,
            "u,a,view,2026-01-02,1,2",
            header="user_id,item_id,event,timestamp,price,price",
        )
    assert load(tmp_path, f"{GOOD},,", header=f"{HEADER},,").rows["interactions"].kept == 1


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_other_delimiters_are_recognised(tmp_path: Path, sign: str, name: str) -> None:
    """A header in one piece with another sign in it is told, with what writes it anew."""
    with pytest.raises(InputError, match=rf"divided by {name}.*csv\.writer.*log\.csv > NEW\.csv"):
        load(tmp_path, header=HEADER.replace(",", sign))


def test_workbook_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """It is of no format that is read, but can be saved as one."""
    path = tmp_path / "items.xlsx"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="save a workbook as CSV"):
        scan_files(str(path), ["item_id"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
@pytest.mark.parametrize(
    ("name", "before"), [("of shop.csv", ""), ("log.csv.gz", ""), ("log.csv", "sep=;\r\n")]
)
def test_told_command_makes_a_file_that_is_read(
    tmp_path: Path, name: str, before: str, encoding: str
) -> None:
    """Excel writes a byte order mark, or Windows-1252, and quotes, which have a dash and a €."""
    written = before + '"user_id";"item_id"\r\n"u1";"Mütze – 5 €"\r\n'
    text = written.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    with pytest.raises(InputError) as raised:
        scan_files(str(tmp_path / name), ["user_id"])
    command = str(raised.value).partition("anew with: ")[2]
    own = command.replace("python3", shlex.quote(sys.executable))
    subprocess.run(own, shell=True, check=True, cwd=tmp_path, timeout=60)
    rows = scan_files(str(tmp_path / "NEW.csv"), ["user_id"])[0].collect()
    assert rows.select("user_id", "item_id").rows() == [("u1", "Mütze – 5 €")]


def test_told_conversion_keeps_what_windows_writes_beyond_latin_1(tmp_path: Path) -> None:
    """Its dashes, quotes and € are control characters in Latin-1, which nobody would see."""
    path = tmp_path / "log.csv"
    path.write_bytes("Größe – 5 €".encode("cp1252"))
    encoding = FIX_ENCODING.partition("-f ")[2].split()[0]
    assert path.read_text(encoding) == "Größe – 5 €"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_utf_16_is_named(tmp_path: Path, name: str, encoding: str) -> None:
    """With or without a byte order mark it is recognised, in either format."""
    path = tmp_path / name
    path.write_text(f"{HEADER}\n{GOOD}\n" if name == "log.csv" else '{"user_id": "u"}\n', encoding)
    with pytest.raises(InputError, match=r"UTF-16.*iconv -f utf-16") as raised:
        scan_files(str(path), ["user_id"])
    assert str(raised.value).isprintable()


def test_what_is_no_text_is_not_printed(tmp_path: Path) -> None:
    """A picture, or a workbook, with the name of a text reaches no terminal."""
    path = tmp_path / "log.csv"
    path.write_bytes(b"PK\x03\x04\x14\x1b[31m\xff\n\x00\x01\x02\n")
    with pytest.raises(InputError, match="is no text") as raised:
        scan_files(str(path), ["user_id"])
    assert str(raised.value).isprintable()


def test_lines_that_end_with_a_carriage_return_are_named(tmp_path: Path) -> None:
    """Such a file is one line, a header without rows: the message says which sign to replace."""
    path = tmp_path / "log.csv"
    path.write_bytes(f"{HEADER}\r{GOOD}\r".encode())
    with pytest.raises(InputError, match=r"carriage return alone.*tr"):
        scan_files(str(path), ["user_id"])
    path.write_bytes(f"{HEADER}\r\n{GOOD}\r\n".encode())
    assert len(scan_files(str(path), ["user_id"])[0].collect()) == 1


def test_missing_column_of_a_header_in_latin_1_names_the_encoding(tmp_path: Path) -> None:
    """A column that the mapping names may be there, but not as UTF-8."""
    with pytest.raises(ConfigError, match=r"no column 'item_id'.*iconv"):
        load(tmp_path, GOOD, header="user_id,Stück,event,timestamp,order_id", encoding="latin-1")


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_quote_that_does_not_end_is_told_with_its_row(tmp_path: Path, name: str) -> None:
    """The row is that of the quote, blank lines counted, and no text of the file is shown."""
    rows = [HEADER, GOOD, "", 'u1,"a\nb",view,2026-01-02,', 'u1,"a,view,2026-01-02,', GOOD]
    pl.DataFrame({"line": rows}).write_csv(
        tmp_path / name,
        include_header=False,
        quote_style="never",
        compression="gzip" if name.endswith(".gz") else "uncompressed",
    )
    with pytest.raises(InputError) as raised:
        load_dataset([str(tmp_path / name)], [], ANY, pseudonym=str, rejects=None)
    message = str(raised.value)
    assert "a text in quotes does not end in row 4" in message
    assert "`" not in message


@pytest.mark.parametrize(
    ("column", "value", "reason", "step"),
    [
        ("available", "perhaps", "available_unknown", "out_of_stock"),
        ("attributes", "['red']", "attributes_invalid", "double quotes"),
    ],
)
def test_catalog_values_that_say_nothing_are_rejected(
    tmp_path: Path, column: str, value: str, reason: str, step: str
) -> None:
    """What may be neither yes nor no, or is Python where JSON was meant, is told with a way out."""
    catalog = f"item_id,{column}\nb,{value}\na,\n"
    assert load(tmp_path, GOOD, catalog=catalog).rows["catalog"].rejected == {reason: 1}
    with pytest.raises(RejectedShareError, match=f"{reason}.*{step}"):
        load(tmp_path, GOOD, catalog=catalog, mapping=Mapping())
