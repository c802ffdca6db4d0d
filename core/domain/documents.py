"""A JSON object becomes a frozen value. The annotations of its class are the only schema."""

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reading = Callable[[Any, str], Any]
"""Takes a value of a document and the name of its field. Returns the value for its class, or raises WrongValue."""


class WrongValue(ValueError):
    """A value of a document is missing or has the wrong type.

    Attributes:
        name: of the field; value: the value found there, `MISSING` if there is none.
    """

    def __init__(self, name: str, value: Any) -> None:
        super().__init__(f"{name} is {'missing' if value is MISSING else f'{value!r:.40}'}")
        self.name = name
        self.value = value


def read(kind: type[T], document: Any, name: str = "document") -> T:
    """The value of a dataclass that a JSON object describes.

    Unknown keys are ignored, so a newer studio may write more. An integer is accepted for a float. Nothing is
    converted: text is no number, and a number is no boolean.

    Args:
        name: of the object, for the error.

    Raises:
        WrongValue: a value is missing, or its type differs from its annotation.
    """
    if not isinstance(document, dict):
        raise WrongValue(name, document)
    values = {}
    for field, needed, reading in _schema(kind):  # type: ignore[arg-type]
        if field in document:
            values[field] = reading(document[field], field)
        elif needed:
            raise WrongValue(field, MISSING)
    return kind(**values)


@cache
def _schema(kind: Any) -> tuple[tuple[str, bool, Reading], ...]:
    """The fields of a class: the name, whether a document must have it, and the function that reads it."""
    hints = get_type_hints(kind)
    return tuple((field.name, field.default is MISSING and field.default_factory is MISSING,
                  _reading(hints[field.name])) for field in fields(kind) if field.init)


def _reading(hint: Any) -> Reading:
    """The function that reads a value with this annotation. It is made once: a library holds 100,000 documents."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):  # X | None
        (other,) = (_reading(each) for each in inner if each is not NoneType)
        return lambda value, name: None if value is None else other(value, name)
    if origin is tuple:
        return _listed(_reading(inner[0]))
    if origin is dict:
        return _mapped(_reading(inner[1]))
    if hint is Any:
        return lambda value, name: value
    if is_dataclass(hint):
        return lambda value, name: read(hint, value, name)  # type: ignore[arg-type]
    return _plain(hint)


def _listed(each: Reading) -> Reading:
    def reading(value: Any, name: str) -> Any:
        if not isinstance(value, list | tuple):
            raise WrongValue(name, value)
        return tuple([each(one, name) for one in value])
    return reading


def _mapped(each: Reading) -> Reading:
    def reading(value: Any, name: str) -> Any:
        if not isinstance(value, dict):
            raise WrongValue(name, value)
        return {key: each(one, name) for key, one in value.items()}
    return reading


def _plain(hint: Any) -> Reading:
    allowed = (int, float) if hint is float else (hint,)

    def reading(value: Any, name: str) -> Any:
        if type(value) not in allowed and (isinstance(value, bool) or not isinstance(value, allowed)):
            raise WrongValue(name, value)
        return value
    return reading
