"""Stripe's OpenAPI description as a judge of answers: stricter than Stripe, because an invented field is a fault too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator


class Description:
    """What Stripe says its API takes and answers.

    Attributes:
        version: of the API.
        paths: as in the document.
    """

    def __init__(self, path: Path) -> None:
        document = json.loads(path.read_text(encoding="utf-8"))
        self.version: str = document["info"]["version"]
        self.paths: dict[str, Any] = document["paths"]
        self._components = {"schemas": _strict(document["components"]["schemas"])}

    def complaints(self, body: object, schema: dict[str, Any]) -> list[str]:
        """What is wrong with a body; empty when nothing is."""
        validator = Draft202012Validator({**_strict(schema), "components": self._components})
        return [
            f"{'.'.join(str(part) for part in error.absolute_path)}: {error.message}"
            for error in validator.iter_errors(body)
        ]

    def of_object(self, name: str) -> dict[str, Any]:
        """The schema of a kind of object."""
        return {"$ref": f"#/components/schemas/{name}"}

    def of_answer(self, method: str, template: str, status: int) -> dict[str, Any]:
        """The schema of an endpoint's answers."""
        responses = self.paths[template][method.lower()]["responses"]
        response = responses.get(str(status), responses["default"])
        schema: dict[str, Any] = response["content"]["application/json"]["schema"]
        return schema

    def taken_by(self, method: str, template: str) -> set[str]:
        """The names of an endpoint's parameters."""
        operation = self.paths[template][method.lower()]
        if method == "GET":
            return {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        content = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]
        return set(content["schema"].get("properties", {}))


def _strict(schema: Any) -> Any:
    """JSON Schema of today: `nullable` becomes a type, and objects have no fields but those that are listed."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {
        key: _strict(value) for key, value in schema.items() if key not in ("nullable", "example", "examples")
    }
    if isinstance(plain.get("properties"), dict) and plain.get("type") == "object":
        plain.setdefault("additionalProperties", False)
    if schema.get("nullable") is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain
