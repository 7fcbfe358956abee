"""The published OpenAPI document of OFREP, made to say what it means, for checking answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # published without types
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # as above

Check = Callable[[str, object], None]


def schema_check(document: Path) -> Check:
    """Return a function that raises unless an answer is what a named component describes.

    In the document, ``"value": 1`` matches several branches of a `oneOf`: an integer is a number,
    and the branch without a value takes everything. So no answer could be valid; here one matching
    branch is enough.
    """
    described: dict[str, Any] = yaml.safe_load(document.read_text())
    schemas = described["components"]["schemas"]
    values = schemas["evaluationSuccess"]["allOf"][1]
    values["anyOf"] = values.pop("oneOf")
    flags = schemas["bulkEvaluationSuccess"]["properties"]["flags"]["items"]
    flags["anyOf"] = flags.pop("oneOf")

    def check(name: str, answer: object) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
        Draft202012Validator(schema).validate(answer)

    return check
