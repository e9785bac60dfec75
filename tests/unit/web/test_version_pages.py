"""A version through the pages: made by a generated form, decided by another, deployed; refusals at their place."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from control.approvals.services import version_reject
from control.deployments.models import Deployment, Node
from control.strategies.models import Strategy, StrategyVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def entered(dataset_row: str) -> dict[str, Any]:
    """What a quant types; parameters that are left out are sent empty."""
    return {
        "parameters.symbols": "KO, PEP",
        "parameters.entry": "2",
        "envelope.max_order_qty": "2000",
        "envelope.max_order_notional": "100000.50",
        "envelope.max_position_qty": "5000",
        "envelope.max_gross_notional": "1000000",
        "dataset": dataset_row,
        "capital": "1000000",
        "note": "wider entry",
    }


@pytest.fixture
def dataset_row(dataset: str, settings: Any) -> str:
    """The dataset as the control plane knows it."""
    from control.marketdata.models import Dataset
    from engine.history import open_history

    meta = open_history(settings.HISTORY_ROOT).describe(dataset)
    Dataset.objects.create(
        name=dataset,
        adjusted=True,
        survivors_only=True,
        opens_known=False,
        first="2013-01-02",
        last="2013-01-07",
        symbols=list(meta.symbols),
        rows=meta.rows,
        data_hash=meta.data_hash,
    )
    return dataset


def test_a_version_is_made_of_what_was_entered(
    people: SimpleNamespace, strategy: Strategy, entered: dict[str, Any], signed_in: Callable[..., Client]
) -> None:
    answer = signed_in(people.quant).post(reverse("version-new", args=[strategy.pk]), entered)
    version = StrategyVersion.objects.get()
    assert answer["Location"] == reverse("version-detail", args=[version.pk])
    assert (version.parameters["symbols"], version.parameters["entry"]) == (["KO", "PEP"], 2.0)
    assert version.parameters["lookback"] == 30  # the kernel's default
    assert version.envelope["max_order_notional"] == 1_000_005_000  # 100,000.50 USD in 1/10,000
    assert (version.note, version.state, version.created_by) == ("wider entry", "draft", people.quant)


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("parameters.entry", "99", "less than or equal to 10"),
        ("parameters.lookback", "3", "greater than or equal to 5"),
        ("parameters.lookback", "many", "whole number"),
        ("parameters.symbols", "KO NOPE", "NOPE is not in the dataset"),
        ("envelope.max_order_qty", "0", "whole number above 0"),
        ("envelope.max_order_qty", "1.5", "whole number above 0"),
        ("capital", "-5", "expected more than 0"),
        ("capital", "1e3x", "Enter a number"),
        ("dataset", "nowhere", "not one of the available choices"),
        ("envelope.max_order_notional", "1e999999", "no more than 18 digits"),
        ("envelope.max_order_qty", "9e999999999999", "no more than 18 digits"),
        ("parameters.symbols", "KO, " + "Z" * 5_000, "ZZZ... is not in the dataset"),
        ("parameters.symbols", " ".join(f"X{n}" for n in range(500)), "Nor are 490 more."),
    ],
)
def test_every_refusal_stands_at_its_field(
    people: SimpleNamespace,
    strategy: Strategy,
    entered: dict[str, Any],
    signed_in: Callable[..., Client],
    field: str,
    typed: str,
    said: str,
) -> None:
    answer = signed_in(people.quant).post(reverse("version-new", args=[strategy.pk]), entered | {field: typed})
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert list(errors) == [field]
    assert said in " ".join(errors[field])
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert StrategyVersion.objects.count() == 0


def test_a_rule_over_several_parameters_is_told_above_the_form(
    people: SimpleNamespace, strategy: Strategy, entered: dict[str, Any], signed_in: Callable[..., Client]
) -> None:
    wrong = entered | {"parameters.exit": "3"}
    answer = signed_in(people.quant).post(reverse("version-new", args=[strategy.pk]), wrong)
    (said,) = answer.context["form"].non_field_errors()
    assert said == "exit < entry < stop is needed, got 3.0, 2.0, 4.0."
    assert "exit &lt; entry &lt; stop" in answer.content.decode()
    assert StrategyVersion.objects.count() == 0


def test_a_new_version_starts_from_the_newest(
    people: SimpleNamespace, draft: StrategyVersion, signed_in: Callable[..., Client]
) -> None:
    form = signed_in(people.quant).get(reverse("version-new", args=[draft.strategy.pk])).context["form"]
    assert form["parameters.lookback"].value() == draft.parameters["lookback"]
    assert form["envelope.max_order_notional"].value() == "100000"


@pytest.mark.parametrize("number", ["²", "-1", "1" * 5_000, "99", "x"])
def test_a_template_that_there_is_not_is_the_newest_or_none(
    people: SimpleNamespace, draft: StrategyVersion, signed_in: Callable[..., Client], number: str
) -> None:
    address = reverse("version-new", args=[draft.strategy.pk])
    assert signed_in(people.quant).get(address, {"from": number}).status_code == 200


def test_a_refusal_is_said_even_where_the_page_no_longer_offers_the_step(
    people: SimpleNamespace, submitted: StrategyVersion, node: Node, signed_in: Callable[..., Client]
) -> None:
    """Somebody else was faster, or the page is an old one: there is no panel left to hold the refusal."""
    deploy = reverse("version-detail", args=[submitted.pk])
    answer = signed_in(people.trader).post(deploy, {"node": node.pk, "capital": "1000"})
    assert answer.status_code == 422
    assert "only an approved version is deployed" in answer.content.decode()
    version_reject(actor=people.risk_officer, version=submitted, comment="no", content_hash=submitted.content_hash)
    decide = reverse("version-decide", args=[submitted.pk, "approve"])
    answer = signed_in(people.risk_officer).post(decide, {"content_hash": submitted.content_hash})
    assert answer.status_code == 422
    assert "only a submitted version is decided" in answer.content.decode()


def test_a_hash_that_is_not_the_shown_one_is_said_above_the_decision(
    people: SimpleNamespace, submitted: StrategyVersion, signed_in: Callable[..., Client]
) -> None:
    decide = reverse("version-decide", args=[submitted.pk, "approve"])
    answer = signed_in(people.risk_officer).post(decide, {"content_hash": "0" * 64})
    assert "Look at it again" in answer.content.decode()


def test_one_cannot_decide_ones_own_version(
    people: SimpleNamespace, submitted: StrategyVersion, signed_in: Callable[..., Client]
) -> None:
    people.quant.role = "risk_officer"
    people.quant.save()
    client = signed_in(people.quant)
    assert b"Your decision" not in client.get(reverse("version-detail", args=[submitted.pk])).content
    for decision in ("approve", "reject"):
        answer = client.post(
            reverse("version-decide", args=[submitted.pk, decision]),
            {"content_hash": submitted.content_hash, "comment": "fine"},
        )
        assert "is your own; somebody else has to decide it" in str(answer.context["decision_form"].errors)
    assert StrategyVersion.objects.get().state == "submitted"


def test_approval_names_the_hash_that_was_shown(
    people: SimpleNamespace,
    submitted: StrategyVersion,
    backtest_success: Callable[[StrategyVersion], Any],
    signed_in: Callable[..., Client],
) -> None:
    backtest_success(submitted)
    client, address = signed_in(people.risk_officer), reverse("version-decide", args=[submitted.pk, "approve"])
    page = client.get(reverse("version-detail", args=[submitted.pk])).content.decode()
    assert f'value="{submitted.content_hash}"' in page
    assert client.post(address, {"content_hash": "0" * 64}).status_code == 422
    assert StrategyVersion.objects.get().state == "submitted"
    assert client.post(address, {"content_hash": submitted.content_hash}).status_code == 302
    assert StrategyVersion.objects.get().state == "approved"


def test_a_rejection_without_a_reason_is_refused_at_the_comment(
    people: SimpleNamespace, submitted: StrategyVersion, signed_in: Callable[..., Client]
) -> None:
    address = reverse("version-decide", args=[submitted.pk, "reject"])
    answer = signed_in(people.risk_officer).post(address, {"content_hash": submitted.content_hash, "comment": " "})
    assert list(answer.context["decision_form"].errors) == ["comment"]
    assert StrategyVersion.objects.get().state == "submitted"


def test_a_second_deployment_on_the_node_is_refused_at_the_node(
    people: SimpleNamespace, deployment: Deployment, node: Node, signed_in: Callable[..., Client]
) -> None:
    address = reverse("version-detail", args=[deployment.version.pk])
    answer = signed_in(people.trader).post(address, {"node": node.pk, "capital": "1000"})
    assert "is deployed on sim-1 already" in str(answer.context["deploy_form"].errors["node"])
    assert Deployment.objects.count() == 1


def test_buttons_are_offered_by_role_and_state(
    people: SimpleNamespace, draft: StrategyVersion, signed_in: Callable[..., Client]
) -> None:
    address = reverse("version-detail", args=[draft.pk])
    assert b"Submit version 1" in signed_in(people.quant).get(address).content
    assert b"Submit version 1" not in signed_in(people.trader).get(address).content
    assert b"Run backtest" not in signed_in(people.viewer).get(address).content


def test_a_step_that_is_not_ones_own_is_refused_and_changes_nothing(
    people: SimpleNamespace, draft: StrategyVersion, signed_in: Callable[..., Client]
) -> None:
    assert signed_in(people.viewer).post(reverse("version-submit", args=[draft.pk])).status_code == 403
    assert StrategyVersion.objects.get().state == "draft"


def test_a_deployment_is_made_with_the_plan_that_was_chosen(
    people: SimpleNamespace, approved: StrategyVersion, node: Node, signed_in: Callable[..., Client]
) -> None:
    client, address = signed_in(people.trader), reverse("version-detail", args=[approved.pk])
    chosen = {
        "node": node.pk,
        "capital": "1000",
        "plan": "pov",
        "plan.minutes": "45",
        "plan.min_slice": "100",
        "plan.max_slice": "400",
        "plan.rate": "12.5",
    }
    answer = client.post(address, {**chosen, "plan.rate": "much"})
    assert "&#x27;much&#x27; is no number" in answer.content.decode()
    answer = client.post(address, {**chosen, "plan.max_slice": "50"})
    assert answer.context["deploy_form"].errors["plan.min_slice"]
    assert not Deployment.objects.exists()
    client.post(address, chosen)
    plan = Deployment.objects.get().plan
    assert (plan["kind"], plan["minutes"], plan["max_slice"], plan["rate"]) == ("pov", 45, 400, 0.125)
    page = client.get(reverse("deployment-detail", args=[Deployment.objects.get().pk])).content.decode()
    assert "POV over 45 minutes, slices of 100 to 400 shares, 12% of the volume" in page


def test_a_plans_fields_count_for_nothing_where_none_was_chosen(
    people: SimpleNamespace, approved: StrategyVersion, node: Node, signed_in: Callable[..., Client]
) -> None:
    entered = {"node": node.pk, "capital": "1000", "plan": "", "plan.minutes": "rubbish"}
    signed_in(people.trader).post(reverse("version-detail", args=[approved.pk]), entered)
    assert Deployment.objects.get().plan is None
