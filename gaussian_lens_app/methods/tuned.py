"""Methods with other settings, by name: `gaussian-vae:steps=2,variant=whole`."""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import itertools
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gaussian_lens_app.errors import MethodError
from gaussian_lens_app.methods.base import Method


def tuned(method: Method, text: str) -> Method:
    """The method with the settings of `text` ("key=value,key=value", "inner.key" for settings in settings) changed.

    Raises MethodError with the settings there are, or with what a setting may be.
    """
    settings = settings_of(method)
    for part in text.split(","):
        key, given, value = part.partition("=")
        if not given:
            raise MethodError(f"{part!r} is no setting: write {method.name}:KEY=VALUE,KEY=VALUE.")
        settings = _changed(method.name, settings, key.strip(), value.strip())
    other = copy.copy(method)
    other.settings = settings  # pyright: ignore[reportAttributeAccessIssue]
    return other


def settings_of(method: Method) -> Any:
    """The frozen dataclass that says what a method does; MethodError for one that chooses its own."""
    settings = getattr(method, "settings", None)
    if settings is None:
        raise MethodError(
            f"{method.name} takes its settings from the machine: none can be given (--prior chooses its prior)."
        )
    return settings


def listed(settings: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Each setting as it would be given, with its present value; and what it is for, where its class says so."""
    said = _documented(type(settings))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from listed(value, f"{before}{field.name}.")
        elif _kinds(settings, field.name):
            yield f"{before}{field.name}={value}", said.get(field.name, "")


def _documented(kind: type) -> dict[str, str]:
    """What stands under the fields of a class and of those it comes from, by field."""
    said: dict[str, str] = {}
    for one in kind.__mro__[-2::-1]:
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in itertools.pairwise(body.body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                said[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return said


def _changed(name: str, settings: Any, key: str, text: str) -> Any:
    first, dot, rest = key.partition(".")
    inner = getattr(settings, first, None)
    if dot and dataclasses.is_dataclass(inner):
        return dataclasses.replace(settings, **{first: _changed(name, inner, rest, text)})
    kinds = _kinds(settings, key)
    if not kinds:
        raise MethodError(f"{name} has no setting {key!r}: `gsr methods {name}` lists them.")
    return dataclasses.replace(settings, **{key: _read(name, key, text, kinds)})


def _kinds(settings: Any, key: str) -> tuple[Any, ...]:
    """What a setting may be, as types and words; empty for none that can be written in a word."""
    hint = get_type_hints(type(settings)).get(key)
    if get_origin(hint) is Literal:
        return get_args(hint)
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    words = tuple(member for member in members if member in (bool, int, float, str, Path))
    return (*words, None) if words and types.NoneType in members else words


def _read(name: str, key: str, text: str, kinds: tuple[Any, ...]) -> Any:
    if text in kinds:
        return text
    if None in kinds and text == "None":
        return None
    if bool in kinds and text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float, Path, str):
        if kind in kinds:
            try:
                value = kind(text)
            except ValueError:
                continue
            if isinstance(value, (int, float)) and not value >= 0:  # NaN neither
                raise MethodError(f"{text!r} cannot be {key} of {name}: it takes no number below 0.")
            return value
    raise MethodError(f"{text!r} cannot be {key} of {name}: it takes {', '.join(map(_word, kinds))}.")


def _word(kind: Any) -> str:
    if isinstance(kind, type):
        return "true or false" if kind is bool else kind.__name__
    return str(kind)
