"""Reading nodes and deployments, and the desired state that a node's engine is sent."""

import msgspec
from django.db.models import QuerySet

from control.accounts.models import User
from control.accounts.permissions import allowed
from control.deployments.kills import kills_for
from control.deployments.models import Deployment, Kill, Node
from control.deployments.plans import plan_stored
from control.deployments.tokens import token_hash
from control.desks.selectors import desks_visible_to
from control.limits.selectors import newest_bundle
from control.strategies.content import manifest_of
from control.trading.resolutions import resolutions_for
from engine import messages


def nodes_visible_to(user: User) -> QuerySet[Node]:
    """Every signed-in user sees all nodes; what runs on them stays with the desks."""
    return Node.objects.all() if allowed(user, "deployments.view_node") else Node.objects.none()


def deployments_visible_to(user: User) -> QuerySet[Deployment]:
    return Deployment.objects.filter(strategy__desk__in=desks_visible_to(user)).select_related(
        "version__strategy", "strategy__desk", "node", "created_by"
    )


def kills_visible_to(user: User) -> QuerySet[Kill]:
    """Everybody who may see kills sees all of them: what is stopped concerns every desk. Newest first."""
    rows = Kill.objects.select_related("killed_by", "rearm_asked_by", "rearmed_by", "host")
    return rows if allowed(user, "deployments.view_kill") else rows.none()


def node_by_token(token: str) -> Node | None:
    """The node whose token this is, or None."""
    return Node.objects.filter(token_hash=token_hash(token)).first()


def deployments_of(node: Node) -> set[str]:
    """The names (UUIDs as text) of all deployments that the node has ever had, as engines report them."""
    return {str(pk) for pk in Deployment.objects.filter(node=node).values_list("pk", flat=True)}


def desired_for(node: Node) -> messages.Desired:
    """Everything the node should run now, with the revision that it is."""
    # The revision first: a change in between gives newer deployments an older number, and is sent again.
    revision = Node.objects.values_list("revision", flat=True).get(pk=node.pk)
    live = (
        Deployment.objects.filter(node=node, stopped_at__isnull=True)
        .select_related("version__strategy__desk")
        .order_by("created_at")
    )
    bundle = newest_bundle(node)
    return messages.Desired(
        revision=revision,
        deployments=[messages.Deployed(_manifest(deployment), deployment.desired) for deployment in live],
        kills=kills_for(),
        resolutions=resolutions_for(node),
        limits=bundle.document if bundle is not None else "",
    )


def _manifest(deployment: Deployment) -> messages.Manifest:
    manifest = manifest_of(
        deployment.version, deployment=str(deployment.pk), stage=deployment.stage, capital=deployment.capital
    )
    plan = plan_stored(deployment.plan)
    return msgspec.structs.replace(manifest, plan=plan, plan_hash=deployment.plan_hash)
