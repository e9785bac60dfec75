"""The forms of the pages. They give shape and words; what is allowed is the services' to say."""

from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import QuerySet

from control.deployments.models import KillLevel, Node
from control.deployments.plans import KINDS
from control.desks.models import Desk
from control.limits.models import Limit
from control.money import money
from control.web.parameter_form import parameter_fields, parameter_values
from engine.messages import PRICE_SCALE

# (name, label, hint, unit, default)
ENVELOPE = (
    ("max_order_qty", "Largest order", "Shares in one order", "shares", 500_000),
    ("max_order_notional", "Largest order value", "Value of one order", "USD", 250_000),
    (
        "max_position_qty",
        "Largest position",
        "Shares a symbol, long or short, working orders included",
        "shares",
        1_000_000,
    ),
    ("max_gross_notional", "Largest gross exposure", "Over all symbols of the strategy", "USD", 3_000_000),
)


# (name, label, hint, unit, default)
PLAN = (
    ("minutes", "Duration", "From when the session first lets an order be worked", "minutes", 30),
    ("min_slice", "Smallest slice", "Slices are of random size between the two", "shares", 100),
    ("max_slice", "Largest slice", "At most this many shares at once", "shares", 500),
    ("max_participation", "Participation", "At most this share of the market's volume; empty for no limit", "%", ""),
    ("rate", "Rate", "POV: share of the market's volume", "%", 10),
    ("curve", "Volume curve", "VWAP: volume of equal parts of the time, for example 3, 2, 1, 2, 3", "", ""),
    ("urgency", "Urgency", "Shortfall: 0 is an even pace, 3 sends most in the first third", "", 2),
)
PERCENT = frozenset({"max_participation", "rate"})


def _figure(mode: str = "decimal") -> forms.TextInput:
    return forms.TextInput(attrs={"inputmode": mode, "autocomplete": "off"})


class StrategyForm(forms.Form):
    desk = forms.ModelChoiceField(Desk.objects.none(), empty_label=None)
    name = forms.CharField(max_length=80, help_text="Unique on the desk, for example PAIRS-US.")
    kernel = forms.ChoiceField(help_text="The compiled strategy that its versions parameterise.")

    def __init__(self, *args: Any, desks: QuerySet[Desk], kernels: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["desk"].queryset = desks  # type: ignore[attr-defined]
        self.fields["kernel"].choices = kernels  # type: ignore[attr-defined]


class VersionForm(forms.Form):
    """Parameters by the kernel's model, the limit envelope, the data and the capital."""

    dataset = forms.ChoiceField(help_text="What it is prepared from and backtested on.")
    capital = forms.DecimalField(
        max_digits=18,
        decimal_places=4,
        initial=Decimal(1_000_000),
        widget=_figure(),
        help_text="At most, per deployment.",
    )
    note = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What this version tries, for whoever reviews it.",
    )

    def __init__(self, *args: Any, model: Any, datasets: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parameter_names = list(parameter_fields(model))
        self.fields.update(parameter_fields(model))
        self.envelope_names = []
        for name, label, hint, unit, default in ENVELOPE:
            field = forms.DecimalField(
                label=label, help_text=hint, initial=default, max_digits=18, decimal_places=4, widget=_figure()
            )
            field.unit = unit  # type: ignore[attr-defined]
            self.fields[f"envelope.{name}"] = field
            self.envelope_names.append(f"envelope.{name}")
        self.fields["capital"].unit = "USD"  # type: ignore[attr-defined]
        self.fields["dataset"].choices = [(name, name) for name in datasets]  # type: ignore[attr-defined]

    def parameters_part(self) -> list[forms.BoundField]:
        return [self[name] for name in self.parameter_names]

    def envelope_part(self) -> list[forms.BoundField]:
        return [self[name] for name in self.envelope_names]

    def arguments(self) -> dict[str, Any]:
        """What ``version_create`` takes."""
        cleaned = self.cleaned_data
        return {
            "parameters": parameter_values(cleaned),
            "envelope": {name: _envelope_units(name, cleaned[f"envelope.{name}"]) for name, *_ in ENVELOPE},
            "dataset": cleaned["dataset"],
            "capital": cleaned["capital"],
            "note": cleaned["note"],
        }


def _envelope_units(name: str, value: Decimal) -> Any:
    """Money to 1/10,000, shares as they are; a fraction is left for the service to refuse."""
    units = value * PRICE_SCALE if name.endswith("notional") else value
    return int(units) if units == units.to_integral_value() else float(units)


def envelope_rows(envelope: dict[str, int]) -> list[tuple[str, str, Decimal, str]]:
    """(name, label, value, unit) for a page, money in the currency."""
    return [
        (name, label, money(envelope[name]) if unit == "USD" else Decimal(envelope[name]), unit)
        for name, label, _, unit, _ in ENVELOPE
    ]


class DecisionForm(forms.Form):
    comment = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}))
    content_hash = forms.CharField(widget=forms.HiddenInput)


class DeployForm(forms.Form):
    node = forms.ModelChoiceField(Node.objects.none(), empty_label=None, help_text="The engine that will run it.")
    capital = forms.DecimalField(max_digits=18, decimal_places=4, widget=_figure())
    plan = forms.ChoiceField(
        label="Execution",
        required=False,
        choices=[("", "At once, at the touch"), *KINDS.items()],
        help_text="How its orders are worked; the fields below say more where there is a plan.",
    )

    def __init__(self, *args: Any, nodes: QuerySet[Node], most: Decimal, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["node"].queryset = nodes  # type: ignore[attr-defined]
        capital = self.fields["capital"]
        capital.unit = "USD"  # type: ignore[attr-defined]
        capital.help_text = f"At most the approved {most.normalize():,f}."
        capital.initial = most.normalize().quantize(Decimal(1)) if most == most.to_integral_value() else most
        for name, label, hint, unit, default in PLAN:
            field = forms.CharField(label=label, help_text=hint, required=False, initial=default, widget=_figure())
            field.unit = unit  # type: ignore[attr-defined]
            self.fields[f"plan.{name}"] = field

    def plan_part(self) -> list[forms.BoundField]:
        return [self[f"plan.{name}"] for name, *_ in PLAN]

    def clean(self) -> dict[str, Any]:
        """A plan's fields count only where a plan was chosen, and then as far as they were filled in."""
        cleaned = super().clean() or {}
        kind = cleaned.get("plan")
        entered = {name: str(cleaned.pop(f"plan.{name}", "")).strip() for name, *_ in PLAN}
        cleaned["plan"] = None
        if kind:
            filled = {name: self._number(name, text) for name, text in entered.items() if text}
            cleaned["plan"] = {"kind": kind, **filled}
        return cleaned

    def _number(self, name: str, text: str) -> Any:
        try:
            if name == "curve":
                return [float(part) for part in text.split(",")]
            return float(text) / (100 if name in PERCENT else 1)
        except ValueError:
            self.add_error(f"plan.{name}", f"{text!r} is no number.")
            return 0


class NodeForm(forms.Form):
    name = forms.CharField(max_length=40, help_text="Letters, digits, - and _; for example sim-2.")


class LimitForm(forms.Form):
    """The firm's limit, or a desk's: all four values at once."""

    desk = forms.ModelChoiceField(Desk.objects.none(), required=False, empty_label="The firm", label="Of")
    max_order_qty = forms.IntegerField(label="Largest order", min_value=0, widget=_figure("numeric"))
    max_order_notional = forms.DecimalField(
        label="Largest order value", min_value=0, max_digits=16, decimal_places=4, widget=_figure()
    )
    max_position_qty = forms.IntegerField(
        label="Largest position",
        min_value=0,
        widget=_figure("numeric"),
        help_text="Of one symbol over all nodes, long or short, working orders included.",
    )
    max_gross_notional = forms.DecimalField(
        label="Largest gross exposure", min_value=0, max_digits=16, decimal_places=4, widget=_figure()
    )
    reason = forms.CharField(required=False, max_length=400, help_text="For the trail and for who has to agree.")

    def __init__(self, *args: Any, desks: QuerySet[Desk], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["desk"].queryset = desks  # type: ignore[attr-defined]
        for name in ("max_order_qty", "max_position_qty"):
            self.fields[name].unit = "shares"  # type: ignore[attr-defined]
        for name in ("max_order_notional", "max_gross_notional"):
            self.fields[name].unit = "USD"  # type: ignore[attr-defined]


class AllotmentForm(forms.Form):
    """What ``allotment_set`` takes."""

    limit = forms.ModelChoiceField(Limit.objects.none(), empty_label=None, label="Of the limit of")
    node = forms.ModelChoiceField(Node.objects.none(), empty_label=None)
    position_qty = forms.IntegerField(label="Position a symbol", min_value=0, widget=_figure("numeric"))
    gross_notional = forms.DecimalField(
        label="Gross exposure", min_value=0, max_digits=16, decimal_places=4, widget=_figure()
    )

    def __init__(self, *args: Any, limits: QuerySet[Limit], nodes: QuerySet[Node], **kwargs: Any) -> None:
        super().__init__(*args, auto_id="id_allot_%s", **kwargs)
        self.fields["limit"].queryset = limits  # type: ignore[attr-defined]
        self.fields["node"].queryset = nodes  # type: ignore[attr-defined]
        self.fields["position_qty"].unit = "shares"  # type: ignore[attr-defined]
        self.fields["gross_notional"].unit = "USD"  # type: ignore[attr-defined]


class KillForm(forms.Form):
    """``killed`` is the scope as services name it."""

    scope = forms.ChoiceField(label="What", choices=())
    symbol = forms.CharField(required=False, max_length=16, help_text="Which, where a symbol is killed.")
    level = forms.ChoiceField(
        choices=KillLevel.choices, initial=KillLevel.CANCEL, help_text="Each does more than the one before."
    )
    reason = forms.CharField(
        required=False, max_length=400, help_text="For the trail; it does not have to be said first."
    )

    def __init__(self, *args: Any, scopes: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scope"].choices = scopes  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        scope, symbol = cleaned.get("scope"), str(cleaned.get("symbol", "")).strip().upper()
        if scope == "symbol" and not symbol:
            self.add_error("symbol", "Which symbol?")
        cleaned["killed"] = f"symbol:{symbol}" if scope == "symbol" else scope
        return cleaned
