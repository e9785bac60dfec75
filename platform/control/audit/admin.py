"""The trail in the admin: to read."""

from django.contrib import admin

from control.administration import ReadOnlyAdmin
from control.audit.models import AuditRow
from control.audit.selectors import rows_visible_to


@admin.register(AuditRow)
class AuditRowAdmin(ReadOnlyAdmin):
    visible_to = staticmethod(rows_visible_to)
    list_display = ["id", "at", "actor_name", "action", "object_type", "object_id", "desk", "sequence"]
    list_filter = ["action", "object_type", "desk"]
    search_fields = ["actor_name", "object_id"]
    ordering = ["-id"]
    show_full_result_count = False
