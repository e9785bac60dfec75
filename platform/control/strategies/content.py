"""Checking what a version is made of, and its content hash.

Everything that is wrong is collected, so that a form can show it all at once: parameters by the kernel's
own model, symbols by the dataset, the envelope and the capital by their types.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from django.conf import settings
from pydantic import ValidationError

from control.errors import Problem, invalid
from control.money import PLACES, money_units
from control.strategies.models import StrategyVersion
from engine.errors import BadInput
from engine.history import open_history
from engine.messages import DataContract, LimitEnvelope, Manifest

CAPITAL_STEP = Decimal(1).scaleb(-PLACES)
CAPITAL_MOST = Decimal("10000000000")
MOST_NAMED = 10  # unknown symbols


@dataclass(frozen=True)
class Content:
    """What a version holds, checked. ``parameters`` has the kernel's defaults filled in."""

    parameters: dict[str, Any]
    envelope: LimitEnvelope
    data: DataContract
    capital: Decimal
    content_hash: str


def kernels() -> dict[str, Any]:
    """Name -> ``engine.strategies.base.Strategy``. Imported here: it loads the kernels' machine code."""
    from engine.strategies.registry import STRATEGIES

    return STRATEGIES


def content_checked(
    *, kernel: str, parameters: dict[str, Any], envelope: LimitEnvelope | dict[str, Any], dataset: str, capital: Any
) -> Content:
    """Raises ``InvalidInput`` with every field that is wrong."""
    problems: list[Problem] = []
    checked_parameters = _parameters(kernel, parameters, problems)
    checked_envelope = _envelope(envelope, problems)
    checked_capital = capital_checked(capital, problems)
    data = _data(dataset, checked_parameters.get("symbols") or [], problems)
    if problems or checked_envelope is None or data is None:
        raise invalid(problems, "version_invalid")
    return Content(
        checked_parameters,
        checked_envelope,
        data,
        checked_capital,
        _hash(kernel, checked_parameters, checked_envelope, data),
    )


def present_hash(version: StrategyVersion) -> str:
    """The content hash that this build of the engine gives the version's stored content.

    It differs from the stored one after the engine, the lock file or the strategy's code has changed.
    """
    return _hash(version.strategy.kernel, version.parameters, _stored_envelope(version), _stored_data(version))


def hash_with(version: StrategyVersion, parameters: dict[str, Any]) -> str:
    """The content hash of the version with other ``parameters`` (all of them), by this build of the engine."""
    return _hash(version.strategy.kernel, parameters, _stored_envelope(version), _stored_data(version))


def manifest_of(version: StrategyVersion, *, deployment: str, stage: Any, capital: Decimal) -> Manifest:
    """The version as an engine is given it, with the content hash that was approved; ``capital`` in the currency."""
    return Manifest(
        deployment=deployment,
        version=str(version.pk),
        strategy=version.strategy.kernel,
        content_hash=version.content_hash,
        parameters=version.parameters,
        envelope=_stored_envelope(version),
        data=_stored_data(version),
        stage=stage,
        capital=money_units(capital),
        desk=version.strategy.desk.name,
        name=version.strategy.name,
    )


def _stored_envelope(version: StrategyVersion) -> LimitEnvelope:
    return msgspec.convert(version.envelope, LimitEnvelope)


def _stored_data(version: StrategyVersion) -> DataContract:
    return DataContract(version.dataset, version.data_hash)


def capital_checked(value: Any, problems: list[Problem]) -> Decimal:
    """A positive amount with at most four decimals; adds to ``problems`` and returns 0 where it is not."""
    try:
        capital = Decimal(str(value))
        if not capital.is_finite() or not 0 < capital <= CAPITAL_MOST or capital != capital.quantize(CAPITAL_STEP):
            raise InvalidOperation
    except InvalidOperation:
        problems.append(
            Problem("capital", f"{value} is no capital; expected more than 0, at most 10,000,000,000, four decimals.")
        )
        return Decimal(0)
    return capital


def _parameters(kernel: str, parameters: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
    if kernel not in kernels():
        problems.append(
            Problem("kernel", f"{kernel} is no kernel of this engine; expected {', '.join(sorted(kernels()))}.")
        )
        return {}
    try:
        model = kernels()[kernel].parameters_model.model_validate(parameters)
    except ValidationError as error:
        for fault in error.errors():
            field = ".".join(["parameters", *(str(part) for part in fault["loc"])])
            problems.append(Problem(field, _told(fault)))
        return {}
    return model.model_dump(mode="json")


def _told(fault: Any) -> str:
    """A fault of pydantic's as a sentence. A rule of the model's own says everything itself."""
    if fault["type"] == "value_error":
        return f"{str(fault['ctx']['error']).removesuffix('.')}."
    return f"{fault['msg']} (was {_shown(fault['input'])})."


def _shown(value: Any) -> str:
    return _shortened(repr(value))


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def _envelope(envelope: LimitEnvelope | dict[str, Any], problems: list[Problem]) -> LimitEnvelope | None:
    """Every limit is a whole number above 0; a limit of 0 would let nothing pass and be a mistake here."""
    values = msgspec.to_builtins(envelope)
    if not isinstance(values, dict):
        problems.append(Problem("envelope", "The limit envelope is an object with one number a limit."))
        return None
    known = LimitEnvelope.__struct_fields__
    before = len(problems)
    problems += [Problem(f"envelope.{name}", "There is no such limit.") for name in sorted(set(values) - set(known))]
    for name in known:
        value = values.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**63:
            problems.append(
                Problem(f"envelope.{name}", f"{_shown(value)} is no limit; expected a whole number above 0.")
            )
    return None if len(problems) > before else LimitEnvelope(**values)


def _data(dataset: str, symbols: list[str], problems: list[Problem]) -> DataContract | None:
    try:
        meta = open_history(settings.HISTORY_ROOT).describe(dataset)
    except BadInput as error:
        problems.append(Problem("dataset", f"{dataset!r} is no dataset here; expected {error.expected}."))
        return None
    unknown = sorted(set(symbols) - set(meta.symbols))
    for symbol in unknown[:MOST_NAMED]:
        problems.append(Problem("parameters.symbols", f"{_shortened(symbol)} is not in the dataset {dataset}."))
    if len(unknown) > MOST_NAMED:
        more = len(unknown) - MOST_NAMED
        problems.append(Problem("parameters.symbols", f"Nor are {more:,} more."))
    return DataContract(dataset, meta.data_hash)


def _hash(kernel: str, parameters: dict[str, Any], envelope: LimitEnvelope, data: DataContract) -> str:
    from engine.content import content_hash

    return content_hash(kernel, parameters, envelope, data)
