"""A Django form generated from a pydantic model: label, description, default and bounds come from the model.

The model itself stays the judge: the service validates the whole set and its refusals are put back at
their fields, so a rule over several fields needs no second home here.
"""

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from django import forms
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

PREFIX = "parameters."


class WordList(forms.CharField):
    """Several words, apart by commas or spaces."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        text = super().to_python(value)
        return [word for word in text.replace(",", " ").split() if word]


def parameter_fields(model: type[BaseModel]) -> dict[str, forms.Field]:
    """One form field for each of the model's, named ``parameters.<name>`` as the services name them."""
    return {PREFIX + name: _field(name, info) for name, info in model.model_fields.items()}


def parameter_values(cleaned: dict[str, Any]) -> dict[str, Any]:
    """What ``model_validate`` takes, from a form's cleaned data; what was left empty takes its default."""
    values = {name.removeprefix(PREFIX): value for name, value in cleaned.items() if name.startswith(PREFIX)}
    return {name: value for name, value in values.items() if value is not None}


def _field(name: str, info: FieldInfo) -> forms.Field:
    kind = _plain(info.annotation)
    options: dict[str, Any] = {
        "label": info.title or name.replace("_", " ").capitalize(),
        "help_text": _hint(info),
        "required": info.is_required() and kind not in (list, bool),
        "initial": None if info.default is PydanticUndefined else info.default,
    }
    if get_origin(kind) is Literal:
        return forms.ChoiceField(choices=[(value, str(value).replace("_", " ")) for value in get_args(kind)], **options)
    if kind is bool:
        return forms.BooleanField(**options)
    if kind is int:
        return forms.IntegerField(widget=forms.TextInput(attrs={"inputmode": "numeric"}), **options)
    if kind is float:
        return forms.FloatField(widget=forms.TextInput(attrs={"inputmode": "decimal"}), **options)
    if kind is list:
        return WordList(widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}), **options)
    return forms.CharField(**options)


def _plain(annotation: Any) -> Any:
    """``int | None`` -> int, ``list[str]`` -> list; a Literal stays."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not NoneType)
    return list if get_origin(annotation) in (list, tuple, set, frozenset) else annotation


def _hint(info: FieldInfo) -> str:
    """The description, the bounds, and the default: "Trading days. 126 to 2520, default 504." """
    bounds = _bounds(info)
    default = info.default
    told = (
        []
        if default in (PydanticUndefined, None, "", []) or isinstance(default, bool)
        else [f"default {_told(default)}"]
    )
    limits = ", ".join([bounds, *told] if bounds else told)
    parts = [(info.description or "").rstrip("."), limits[:1].upper() + limits[1:]]
    return ". ".join(part for part in parts if part) + ("." if any(parts) else "")


def _bounds(info: FieldInfo) -> str:
    low, high = "", ""
    for rule in info.metadata:
        match rule:
            case annotated_types.Ge(ge=value):
                low = _told(value)
            case annotated_types.Gt(gt=value):
                low = f"above {_told(value)}"
            case annotated_types.Le(le=value):
                high = _told(value)
            case annotated_types.Lt(lt=value):
                high = f"below {_told(value)}"
    if low and high:
        return f"{low} to {high}" if not high.startswith("below") else f"{low}, {high}"
    return low if low.startswith("above") else f"at least {low}" if low else f"at most {high}" if high else ""


def _told(value: Any) -> str:
    """A bound or default as it is read: 10,000,000, not 10000000; 60, not 60.0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) or not value.is_integer() else f"{int(value):,}"
