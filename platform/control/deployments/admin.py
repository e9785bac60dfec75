"""Nodes and deployments in the admin. Risk officers halt here; nobody deploys here."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from control.administration import ReadOnlyAdmin, ServiceAdmin
from control.deployments import services
from control.deployments.models import Deployment, Kill, Node
from control.deployments.selectors import deployments_visible_to, kills_visible_to, nodes_visible_to


@admin.register(Node)
class NodeAdmin(ServiceAdmin):
    visible_to = staticmethod(nodes_visible_to)
    list_display = ["name", "revision", "epoch", "last_seen", "created_at"]
    ordering = ["name"]
    actions = ["renew_token"]

    def get_fields(self, request: HttpRequest, obj: Node | None = None) -> list[str]:
        return ["name", "revision", "epoch", "last_seen", "created_at"] if obj else ["name"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "manage_node")

    has_manage_permission = has_add_permission

    def save_model(self, request: HttpRequest, obj: Node, form: forms.ModelForm, change: bool) -> None:
        token = services.node_register(actor=request.user, name=form.cleaned_data["name"])
        obj.pk = Node.objects.values_list("pk", flat=True).get(name=form.cleaned_data["name"])
        self._show(request, obj.name, token)

    def save_related(self, request: HttpRequest, form: forms.ModelForm, formsets: list[Any], change: bool) -> None:
        """A node has nothing related that is edited here."""

    @admin.action(description="Renew the token", permissions=["manage"])
    def renew_token(self, request: HttpRequest, rows: QuerySet[Node]) -> None:
        for node in rows:
            self._show(request, node.name, services.node_renew_token(actor=request.user, node=node))

    def _show(self, request: HttpRequest, name: str, token: str) -> None:
        text = f"The token of {name}, shown this once: {token}"
        self.message_user(request, text, messages.WARNING)


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(deployments_visible_to)
    list_display = ["__str__", "stage", "desired", "state", "capital", "created_by", "created_at", "stopped_at"]
    list_filter = ["desired", "state", "node"]
    ordering = ["-created_at"]
    actions = ["pause", "flatten", "stop"]

    def has_halt_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, "halt_deployment")

    @admin.action(description="Pause: no new orders", permissions=["halt"])
    def pause(self, request: HttpRequest, rows: QuerySet[Deployment]) -> None:
        self._halt(request, rows, services.deployment_pause, "pausing")

    @admin.action(description="Flatten: close every position, then stop", permissions=["halt"])
    def flatten(self, request: HttpRequest, rows: QuerySet[Deployment]) -> None:
        self._halt(request, rows, services.deployment_flatten, "flattening")

    @admin.action(description="Stop: cancel orders, keep positions", permissions=["halt"])
    def stop(self, request: HttpRequest, rows: QuerySet[Deployment]) -> None:
        self._halt(request, rows, services.deployment_stop, "stopping")

    def _halt(
        self, request: HttpRequest, rows: QuerySet[Deployment], service: Callable[..., Deployment], done: str
    ) -> None:
        def call(deployment: Deployment) -> object:
            return service(actor=request.user, deployment=deployment)

        self.call_for_each(request, rows, call, done)


@admin.register(Kill)
class KillAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(kills_visible_to)
    list_display = ["scope", "level", "killed_by_name", "killed_at", "host", "rearm_asked_by", "rearmed_names"]
    list_filter = ["level"]
    ordering = ["-epoch"]
