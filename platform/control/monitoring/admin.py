"""Nodes' newest heartbeats in the admin: to read."""

from django.contrib import admin

from control.administration import ReadOnlyAdmin
from control.monitoring.models import NodeStatus
from control.monitoring.selectors import statuses_visible_to


@admin.register(NodeStatus)
class NodeStatusAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(statuses_visible_to)
    list_display = ["node", "received_at", "core_alive", "venue_connected", "session_date", "session_phase", "events"]
    ordering = ["node__name"]
