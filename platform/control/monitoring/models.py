"""What each engine node said last."""

from django.db import models


class NodeStatus(models.Model):
    """The newest heartbeat of a node. ``received_at`` is the wall clock here, ``session_time`` the engine's."""

    node = models.OneToOneField("deployments.Node", on_delete=models.CASCADE, related_name="status")
    received_at = models.DateTimeField()
    journal = models.CharField(max_length=64)
    build = models.CharField(max_length=64)
    venue = models.CharField(max_length=16)
    revision = models.BigIntegerField()
    core_alive = models.BooleanField()
    session_date = models.DateField(null=True)
    session_phase = models.CharField(max_length=16)
    session_time = models.BigIntegerField()
    feed_age_ms = models.BigIntegerField()
    venue_connected = models.BooleanField()
    events = models.BigIntegerField()
    anomalies = models.BigIntegerField()
    breaks = models.JSONField(default=list, help_text='symbols that do not trade; "" for all of them')
    limits_number = models.BigIntegerField(default=0, help_text="of the bundle that the engine goes by, 0 for none")
    limits_until = models.BigIntegerField(default=0, help_text="until when it is valid, on the engine's clock")
    venues = models.JSONField(default=list, help_text="each venue: name, dark, connected, stale, feed_age_ms")
    latches = models.JSONField(default=list, help_text="what is killed at the engine: scope and level of each")

    class Meta:
        verbose_name_plural = "node statuses"

    def __str__(self) -> str:
        return f"{self.node_id} at {self.received_at:%Y-%m-%d %H:%M:%S}"

    @property
    def venue_names(self) -> list[str]:
        return [one["name"] for one in self.venues] or [self.venue]

    @property
    def venues_shown(self) -> str:
        """Each venue, with what is wrong there."""
        rows = [(one["name"], not one["connected"], one["stale"]) for one in self.venues]
        return ", ".join(
            f"{name} ({'no order session' if down else 'stale'})" if down or stale else name
            for name, down, stale in rows or [(self.venue, False, False)]
        )
