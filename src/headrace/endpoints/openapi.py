"""The OpenAPI document of a server, made from the fields of its endpoints."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.endpoints.service import Field, Traffic

_TYPES = {"number": "number", "boolean": "boolean", "text": "string"}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "what", "why", "fix"],
            "properties": {name: {"type": "string"} for name in ("code", "what", "why", "fix")},
        }
    },
}
_STATUSES = {
    "400": "The body cannot be read",
    "401": "A token is needed",
    "404": "There is no such endpoint or version",
    "413": "The body or the number of rows is too large",
    "415": "The content type is not taken",
    "422": "A row does not fit",
    "429": "Too many requests wait",
    "503": "No answer now",
}


def document(traffic: Traffic) -> dict[str, Any]:
    """The document for the endpoints that are loaded now."""
    paths: dict[str, Any] = {
        "/endpoints": {"get": _reading("The endpoints, their versions and fields")},
        "/ready": {"get": _open("Whether requests are taken; 503 while they are not", "ready", 200, 503)},
        "/live": {"get": _open("Whether the process answers", "live", 200)},
    }
    schemas: dict[str, Any] = {"Error": _ERROR, "Answer": _answer()}
    for name in traffic.endpoints():
        schemas[f"{name}.record"] = _record(traffic.versions(name)[0].fields)
        paths[f"/predict/{name}"] = {"post": _predicting(name)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Headrace", "version": version("headrace")},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
    }


def _record(fields: Sequence[Field]) -> dict[str, Any]:
    record: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "required": [each.name for each in fields if each.required],
        "properties": {each.name: _value(each) for each in fields},
    }
    entities = {each.name: {"type": _TYPES[each.kind]} for each in fields if each.entity}
    looked_up = [each.name for each in fields if each.view is not None]
    if entities and looked_up:  # an entity is null only where nothing is looked up by it
        record["anyOf"] = [{"properties": entities}, {"required": looked_up}]
    return record


def _value(each: Field) -> dict[str, Any]:
    value: dict[str, Any] = {"type": [_TYPES[each.kind], "null"]}
    if each.kind == "number":  # of 64 bits, as everything that computes with it has it
        value |= {"minimum": -sys.float_info.max, "maximum": sys.float_info.max}
    said = [f"Looked up in {each.view} where it is left out."] if each.view else []
    if each.entity:
        said.append("Features are looked up by it.")
    if each.key:
        said.append("The label of the answer is found by it when it is known; the model does not see it.")
    if each.closed and each.categories is not None:
        value["enum"] = [*each.categories, None]
    elif each.categories:
        said.append("Any other text than the examples counts as missing.")
        value["examples"] = list(each.categories[:5])
    return {**value, "description": " ".join(said)} if said else value


def _predicting(name: str) -> dict[str, Any]:
    record = {"$ref": f"#/components/schemas/{name}.record"}
    records = {"type": "array", "items": record}
    properties = {
        "records": records,
        "at": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "As of when features are looked up; else now. Without a zone it is in UTC.",
        },
        "features": {"type": "boolean", "description": "Whether to answer the values that the model saw."},
        "explain": {
            "type": "integer",
            "minimum": 0,
            "maximum": 100,
            "description": "How many contributions to answer.",
        },
        "version": {
            "type": ["string", "null"],
            "minLength": 1,
            "description": "A loaded version, by its key or the beginning of it.",
        },
    }
    settings = {"type": "object", "additionalProperties": False, "required": ["records"], "properties": properties}
    body = {"anyOf": [settings, records, record], "description": "Records with settings, or records alone."}
    return {
        "operationId": f"predict_{name}",
        "summary": f"Predict with {name}",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": _content("The predictions, in the order of the records", "Answer"), **_errors()},
    }


def _answer() -> dict[str, Any]:
    numbers = {"type": "object", "additionalProperties": {"type": "number"}}
    prediction = {
        "type": "object",
        "required": ["id", "prediction"],
        "properties": {
            "id": {"type": "string"},
            "prediction": {"type": "number"},
            "features": {"type": "object"},
            "contributions": numbers,
            "version": {"type": "string", "description": "Where two versions answer the records of one request."},
            "model": {"type": "string"},
        },
    }
    return {
        "type": "object",
        "required": ["predictions", "version", "model"],
        "properties": {
            "predictions": {"type": "array", "items": prediction},
            "version": {"type": "string"},
            "model": {"type": "string"},
            "warnings": {"type": "array", "items": {"type": "string"}},
        },
    }


def _reading(summary: str) -> dict[str, Any]:
    done = {"description": summary, "content": {"application/json": {"schema": {"type": "object"}}}}
    return {"summary": summary, "responses": {"200": done, "401": _errors()["401"], "503": _errors()["503"]}}


def _open(summary: str, name: str, *statuses: int) -> dict[str, Any]:
    """A path that anyone may ask, with one truth to tell."""
    schema = {"type": "object", "required": [name], "properties": {name: {"type": "boolean"}}}
    said = {"description": summary, "content": {"application/json": {"schema": schema}}}
    return {"summary": summary, "security": [], "responses": {str(status): said for status in statuses}}


def _content(description: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}


def _errors() -> dict[str, Any]:
    return {status: _content(description, "Error") for status, description in _STATUSES.items()}
