"""Frozen dataclasses to plain JSON data, back, and their JSON Schema, by their annotations.

A field's type is a scalar, Any, X | None, Mapping[str, X], tuple[X, ...], tuple[X, Y], another
dataclass, or a union of dataclasses that differ in their fields.  A field with a default may be
absent from the data.  A sequence of dataclasses that are points (:func:`columns`) is one object:
each field once, with the values of all points.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin

T = TypeVar("T")
_MAPPINGS = (Mapping, dict)
_POINTS: set[Any] = set()
_SCALARS: dict[Any, Any] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    types.NoneType: "null",
}


def columns(kind: type[T]) -> type[T]:
    """Mark a dataclass as a point of a curve: decorates it."""
    _POINTS.add(kind)
    return kind


def to_json(value: Any) -> Any:
    """Turn dataclasses, mappings and sequences into plain JSON data."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: to_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        points = value and type(value[0]) in _POINTS
        return _to_columns(value) if points else [to_json(part) for part in value]
    return value


def _to_columns(points: Sequence[Any]) -> dict[str, list[Any]]:
    """Write points field by field, without fields that all have their default."""
    table = {f: [to_json(getattr(point, f.name)) for point in points] for f in fields(points[0])}
    return {f.name: column for f, column in table.items() if set(column) != {f.default}}


def from_json(kind: type[T], data: Any) -> T:
    """Rebuild a value of a type from :func:`to_json`'s data.

    Args:
        kind: a dataclass, or another type that a field may have.
        data: plain JSON data.

    Raises:
        ValueError: the data does not have the type's shape; the message names the field.

    >>> from_json(tuple[int, ...], [1, 2])
    (1, 2)
    """
    read: T = _read(kind, data, getattr(kind, "__name__", str(kind)))
    return read


def has_fields(kind: type[Any], data: Mapping[str, Any]) -> bool:
    """Return whether data has all that a dataclass requires: of the kinds of a union, which."""
    return all(field.name in data for field in fields(kind) if _is_required(field))


def schema_of(kind: Any) -> dict[str, Any]:
    """Write a type's JSON Schema."""
    if is_dataclass(kind):
        return _schema_of_dataclass(kind)
    if _is_union(kind):
        return {"anyOf": [schema_of(part) for part in get_args(kind)]}
    if get_args(kind) and get_args(kind)[0] in _POINTS:
        return _schema_of_points(get_args(kind)[0])
    if get_args(kind):
        return _schema_of_container(kind, get_args(kind))
    return {} if kind is Any else {"type": _SCALARS[kind]}


def _schema_of_container(kind: Any, parts: tuple[Any, ...]) -> dict[str, Any]:
    if get_origin(kind) in _MAPPINGS:
        return {"type": "object", "additionalProperties": schema_of(parts[1])}
    if parts[-1] is Ellipsis:
        return {"type": "array", "items": schema_of(parts[0])}
    each = [schema_of(part) for part in parts]
    return {"type": "array", "prefixItems": each, "minItems": len(each), "maxItems": len(each)}


def _schema_of_points(kind: Any) -> dict[str, Any]:
    """Write the schema of columns, and of the rows that earlier versions wrote."""
    row = _schema_of_dataclass(kind)
    each = {n: {"type": "array", "items": part} for n, part in row["properties"].items()}
    return {"anyOf": [row | {"properties": each}, {"type": "array", "items": row}]}


def _schema_of_dataclass(kind: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "description": (kind.__doc__ or "").split("\n")[0],
        "additionalProperties": False,
        "required": [field.name for field in fields(kind) if _is_required(field)],
        "properties": {name: schema_of(part) for name, part in _hints(kind).items()},
    }


def _read(kind: Any, data: Any, place: str) -> Any:
    if kind is Any:
        return data
    if kind in _SCALARS:
        return _read_scalar(kind, data, place)
    if _is_union(kind):
        return _read_union(get_args(kind), data, place)
    if is_dataclass(kind):
        return _read_dataclass(kind, data, place)
    parts = get_args(kind)
    if get_origin(kind) in _MAPPINGS:
        _require(isinstance(data, Mapping), place, "an object", data)
        return {key: _read(parts[1], part, f"{place}.{key}") for key, part in data.items()}
    if parts[0] in _POINTS and isinstance(data, Mapping):
        data = _to_rows(data, place)
    _require(isinstance(data, list | tuple), place, "an array", data)
    kinds = [parts[0]] * len(data) if parts[-1] is Ellipsis else list(parts)
    _require(len(kinds) == len(data), place, f"{len(kinds)} items", data)
    return tuple(
        _read(part, item, f"{place}[{i}]")
        for i, (part, item) in enumerate(zip(kinds, data, strict=True))
    )


def _to_rows(data: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    alike = all(isinstance(column, list | tuple) for column in data.values())
    alike = alike and len({len(column) for column in data.values()}) == 1
    _require(alike, place, "columns of one length", data)
    return [dict(zip(data, row, strict=True)) for row in zip(*data.values(), strict=True)]


def _read_scalar(kind: Any, data: Any, place: str) -> Any:
    accepted = (int, float) if kind is float else kind
    fits = isinstance(data, accepted) and (kind is bool or not isinstance(data, bool))
    _require(fits, place, kind.__name__, data)
    return data


def _read_union(kinds: tuple[Any, ...], data: Any, place: str) -> Any:
    problems = []
    for kind in kinds:
        try:
            return _read(kind, data, place)
        except ValueError as error:
            problems.append(str(error))
    raise ValueError("; ".join(problems))


def _read_dataclass(kind: Any, data: Any, place: str) -> Any:
    _require(isinstance(data, Mapping), place, "an object", data)
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(data.keys() - known.keys())
    _require(not unknown, place, f"only {', '.join(known)}", ", ".join(unknown))
    missing = [n for n, field in known.items() if n not in data and _is_required(field)]
    _require(not missing, place, f"{', '.join(missing)} too", sorted(data))
    hints = _hints(kind)
    values = {name: _read(hints[name], part, f"{place}.{name}") for name, part in data.items()}
    return kind(**values)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _require(fits: bool, place: str, rule: str, data: Any) -> None:
    if not fits:
        raise ValueError(f"{place} must have {rule}, got {str(data)[:60]!r}")
