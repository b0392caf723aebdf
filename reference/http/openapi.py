"""The API's description (OpenAPI 3.1), made from the endpoints themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import TypeAdapter

from reference.http import problems
from reference.http.endpoint import Endpoint
from reference.http.problems import Kind

_REFERENCE = "#/components/schemas/{model}"
_PROBLEM = {"$ref": _REFERENCE.format(model="Problem")}


def describe(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The description of these routes, as JSON."""
    forms = _Forms(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    schemes: dict[str, Any] = {}
    for endpoint in endpoints:
        schemes.update(endpoint.guard.schemes)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, forms)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Turnstile reference",
            "version": "1",
            "description": "Errors are problem documents (RFC 9457).",
        },
        "paths": paths,
        "components": {
            "schemas": {**forms.shared, "Problem": dict(problems.SCHEMA)},
            "securitySchemes": schemes,
        },
    }


class _Forms:
    """The JSON schemas of all bodies and answers; what they share is named once."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        asked: list[tuple[str, Any, TypeAdapter[Any]]] = []
        for endpoint in endpoints:
            if endpoint.body is not None:
                asked.append((f"{endpoint.name}:body", "validation", endpoint.body))
            if endpoint.answer is not None:
                asked.append((f"{endpoint.name}:answer", "serialization", endpoint.answer))
        found, shared = TypeAdapter.json_schemas(asked, ref_template=_REFERENCE)
        self._found = {key: schema for (key, _mode), schema in found.items()}
        self.shared: dict[str, Any] = shared.get("$defs", {})

    def body(self, endpoint: Endpoint) -> dict[str, Any]:
        """Of what is sent."""
        schema = dict(self._found[f"{endpoint.name}:body"])
        if endpoint.any_object:  # the form is what is to be expected, and not what is asked for
            return {"type": "object", "x-expected": schema}
        return schema

    def answer(self, endpoint: Endpoint) -> dict[str, Any]:
        """Of what comes back."""
        return dict(self._found[f"{endpoint.name}:answer"])


def _operation(endpoint: Endpoint, forms: _Forms) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "responses": {str(endpoint.status): _answer(endpoint, forms), **_problems(endpoint)},
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.guard.schemes:
        operation["security"] = [{name: [] for name in endpoint.guard.schemes}]
    if parameters := _parameters(endpoint):
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": forms.body(endpoint)}},
        }
    return operation


def _answer(endpoint: Endpoint, forms: _Forms) -> dict[str, Any]:
    schema = forms.answer(endpoint) if endpoint.answer is not None else {"type": "string"}
    return {"description": endpoint.summary, "content": {endpoint.media_type: {"schema": schema}}}


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    found = [
        {
            "name": one.name,
            "in": one.where,
            "required": one.default is ...,
            "description": one.description,
            "schema": one.form.json_schema(),
        }
        for one in endpoint.parameters
    ]
    sealed = endpoint.seal.headers if endpoint.seal is not None else ()
    signed = [
        {
            "name": name,
            "in": "header",
            "required": True,
            "description": "The signature over the body.",
            "schema": {"type": "string"},
        }
        for name in sealed
    ]
    return [*found, *signed]


def _problems(endpoint: Endpoint) -> dict[str, Any]:
    """Every no that this route knows, by status; kinds that share one are told apart by their `type`."""
    kinds: list[Kind] = list(endpoint.problems)
    if endpoint.guard.refusal is not None:
        kinds.append(endpoint.guard.refusal)
    if endpoint.parameters:
        kinds.append(problems.INVALID)
    if endpoint.body is not None:
        kinds += [problems.MALFORMED, problems.TOO_LARGE, problems.WRONG_MEDIA_TYPE]
        kinds += [] if endpoint.any_object else [problems.INVALID]
    if endpoint.seal is not None:
        kinds.append(problems.BAD_SIGNATURE)
    titles: dict[int, list[str]] = {}
    for kind in kinds:
        if kind.title not in titles.setdefault(kind.status, []):
            titles[kind.status].append(kind.title)
    return {
        str(status): {
            "description": "; ".join(said),
            "content": {problems.MEDIA_TYPE: {"schema": _PROBLEM}},
        }
        for status, said in sorted(titles.items())
    }
