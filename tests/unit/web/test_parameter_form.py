"""A form is generated from any strategy's parameter model: labels, hints with bounds, kinds of field."""

from typing import Literal

from django import forms
from pydantic import BaseModel, Field

from control.web.parameter_form import WordList, parameter_fields, parameter_values


class Probe(BaseModel):
    window: int = Field(504, ge=126, le=2_520, title="Formation window", description="Trading days")
    level: float = Field(gt=0, lt=1.5)
    side: Literal["long_only", "both"] = "both"
    strict: bool = True
    symbols: list[str] = Field([], description="Empty for all")
    notional: int | None = Field(None, ge=1_000_000)


def test_labels_and_hints_come_from_the_model() -> None:
    fields = parameter_fields(Probe)
    assert fields["parameters.window"].label == "Formation window"
    assert fields["parameters.window"].help_text == "Trading days. 126 to 2,520, default 504."
    assert fields["parameters.level"].label == "Level"
    assert fields["parameters.level"].help_text == "Above 0, below 1.5."
    assert fields["parameters.symbols"].help_text == "Empty for all."
    assert fields["parameters.notional"].help_text == "At least 1,000,000."


def test_each_kind_has_its_field() -> None:
    kinds = {name.removeprefix("parameters."): type(field) for name, field in parameter_fields(Probe).items()}
    assert kinds == {
        "window": forms.IntegerField,
        "level": forms.FloatField,
        "side": forms.ChoiceField,
        "strict": forms.BooleanField,
        "symbols": WordList,
        "notional": forms.IntegerField,
    }
    assert parameter_fields(Probe)["parameters.side"].choices == [("long_only", "long only"), ("both", "both")]


def test_required_is_what_the_model_requires() -> None:
    required = {name for name, field in parameter_fields(Probe).items() if field.required}
    assert required == {"parameters.level"}


def test_words_are_apart_by_commas_or_spaces_and_empty_takes_the_default() -> None:
    form = forms.Form(
        {"parameters.symbols": "KO, PEP  XOM,\nCVX", "parameters.level": "0.5", "parameters.strict": "on"}
    )
    form.fields.update(parameter_fields(Probe))
    form.fields.pop("parameters.side")
    assert form.is_valid(), form.errors
    values = parameter_values(form.cleaned_data)
    assert values == {"symbols": ["KO", "PEP", "XOM", "CVX"], "level": 0.5, "strict": True}
    assert Probe.model_validate(values).window == 504
