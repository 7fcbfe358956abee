"""A person of very many pseudonyms is taken out of the trail in a few statements."""

from pathlib import Path

import sqlalchemy as sa

from service.control.trail import check_trail, read_page
from service.stores.audit import AuditEntry
from service.stores.control import ControlStore

NAMES = [f"user_key:{number:032x}" for number in range(700)]


def test_only_names_that_stand_there_are_looked_for_alone(tmp_path: Path) -> None:
    """Two of seven hundred stand in the trail; the writer is not held for each of the others."""
    store = ControlStore(tmp_path / "control.sqlite")
    with store.transaction() as transaction:
        for number, text in enumerate((NAMES[3], "x", NAMES[699], f"[{NAMES[3]}]")):
            transaction.audit.append(
                AuditEntry(number, "tester", "rollout", "r", None, f'{{"a": "{text}"}}')
            )
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    sa.event.listen(store._database.engine, "before_cursor_execute", note)
    with store.transaction() as transaction:
        found = transaction.redaction.replace(NAMES, "nobody")
    assert (found.n_rows, found.first_revision) == (3, 1)
    assert len(statements) < 50
    assert check_trail(store).is_whole
    changes = read_page(store, before=None, limit=9).changes
    after = [(one.after or {})["a"] for one in changes]
    assert after == ["[nobody]", "nobody", "x", "nobody"]
    store.close()
