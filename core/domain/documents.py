"""A JSON object becomes a frozen value, by the annotations of its class: the schema is written once."""

from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class WrongValue(ValueError):
    """A value of a document is missing, or is not of the type it must have.

    Attributes:
        name: of the field; value: what stands there, `MISSING` when nothing does.
    """

    def __init__(self, name: str, value: Any) -> None:
        super().__init__(f"{name} is {'missing' if value is MISSING else f'{value!r:.40}'}")
        self.name = name
        self.value = value


def read(kind: type[T], document: Any, name: str = "document") -> T:
    """The value of a dataclass that a JSON object describes.

    Keys that the class does not have are ignored, so that a newer studio may write more. A number that must be a
    float may be whole. Nothing is converted: text is no number, and a number is no switch.

    Args:
        name: of the object, for the error.

    Raises:
        WrongValue: a value is missing, or of another type than its annotation says.
    """
    if not isinstance(document, dict):
        raise WrongValue(name, document)
    values = {}
    schema: Callable[[Any], tuple[tuple[Field[Any], Any], ...]] = _schema
    for field, hint in schema(kind):
        if field.name in document:
            values[field.name] = _value(hint, document[field.name], field.name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise WrongValue(field.name, MISSING)
    return kind(**values)


@cache
def _schema(kind: Any) -> tuple[tuple[Field[Any], Any], ...]:
    hints = get_type_hints(kind)
    return tuple((field, hints[field.name]) for field in fields(kind) if field.init)


def _value(hint: Any, value: Any, name: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):  # X | None
        (other,) = (each for each in inner if each is not NoneType)
        return None if value is None else _value(other, value, name)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise WrongValue(name, value)
        return tuple(_value(inner[0], each, name) for each in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise WrongValue(name, value)
        return {key: _value(inner[1], each, name) for key, each in value.items()}
    if hint is Any:
        return value
    if is_dataclass(hint):
        return read(hint, value, name)  # type: ignore[arg-type]
    wanted = (int, float) if hint is float else hint
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        raise WrongValue(name, value)
    return value
