"""The form of a study: for each number of the strategy's model, the values that it may take."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from control.backtests.models import StudyKind
from control.backtests.studies import MOST_RUNS

PREFIX = "space."
MOST_VALUES = 500  # of one parameter


class Values(forms.CharField):
    """Numbers apart by commas, or a range first:last:step; each a whole number where the parameter is one."""

    def __init__(self, *, whole: bool, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.whole = whole

    def to_python(self, value: Any) -> list[int | float]:  # type: ignore[override]
        numbers: list[Decimal] = []
        for part in (super().to_python(value) or "").replace(" ", "").split(","):
            if part:
                numbers += _range(part) if ":" in part else [_number(part)]
        if self.whole and any(number != number.to_integral_value() for number in numbers):
            raise ValidationError("Whole numbers only.")
        return [int(number) if self.whole else float(number) for number in dict.fromkeys(numbers)]


def _range(text: str) -> list[Decimal]:
    parts = [_number(part) for part in text.split(":")]
    if len(parts) != 3 or parts[2] <= 0 or parts[1] < parts[0]:
        raise ValidationError(f"{text} is no range; expected first:last:step, for example 10:50:5.")
    first, last, step = parts
    count = int((last - first) / step) + 1
    if count > MOST_VALUES:
        raise ValidationError(f"{text} has {count:,} values; at most {MOST_VALUES}.")
    return [first + step * position for position in range(count)]


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ValidationError(f"{text} is no number.")
    return number


class StudyForm(forms.Form):
    kind = forms.ChoiceField(choices=StudyKind.choices, initial=StudyKind.GRID)
    samples = forms.IntegerField(
        required=False, initial=100, min_value=1, max_value=MOST_RUNS, help_text="Of a random search: how many runs."
    )
    seed = forms.IntegerField(initial=7, min_value=0, max_value=2**31 - 1, help_text="The same seed draws the same.")
    in_sample_years = forms.IntegerField(
        label="In-sample years", required=False, initial=3, min_value=1, max_value=20,
        help_text="Of a walk-forward: years to choose on; the year after them tests the choice.",
    )  # fmt: skip

    def __init__(self, *args: Any, model: Any, present: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.space_names = []
        for name, field in model.model_fields.items():
            if field.annotation in (int, float):
                title = field.title or name.replace("_", " ").capitalize()
                hint = f"Now {present.get(name, field.default)}. Values by commas, or first:last:step; empty: as it is."
                self.fields[PREFIX + name] = Values(whole=field.annotation is int, label=title, help_text=hint)
                self.space_names.append(PREFIX + name)

    def space_part(self) -> list[forms.BoundField]:
        return [self[name] for name in self.space_names]

    def arguments(self) -> dict[str, Any]:
        """What ``study_request`` takes."""
        cleaned = self.cleaned_data
        space = {name.removeprefix(PREFIX): cleaned[name] for name in self.space_names if cleaned[name]}
        plain = {name: cleaned[name] for name in ("kind", "samples", "seed", "in_sample_years")}
        return {**plain, "space": space}
