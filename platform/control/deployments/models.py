"""Engine nodes and what runs on them. The engine asks for the desired state; this is where it stands."""

import uuid

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q


class Node(models.Model):
    """One engine host. Of its token only the SHA-256 is kept.

    ``revision`` numbers the desired state and grows with each change; ``epoch`` grows with each core
    that takes the node over, and fences the one before; ``kill_epoch`` is the newest that its engine has applied.
    """

    name = models.SlugField(max_length=40, unique=True)
    token_hash = models.CharField(max_length=64, unique=True)
    epoch = models.PositiveBigIntegerField(default=0)
    revision = models.PositiveBigIntegerField(default=0)
    kill_epoch = models.PositiveBigIntegerField(default=0)
    last_seen = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        triggers = [
            pgtrigger.Protect(
                name="numbers_only_grow",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__epoch__lt=pgtrigger.F("old__epoch"))  # type: ignore[call-arg]
                | pgtrigger.Q(new__revision__lt=pgtrigger.F("old__revision"))  # type: ignore[call-arg]
                | pgtrigger.Q(new__kill_epoch__lt=pgtrigger.F("old__kill_epoch")),  # type: ignore[call-arg]
            )
        ]

    def __str__(self) -> str:
        return self.name


class Stage(models.TextChoices):
    SIM = "sim", "SIM"


class Desired(models.TextChoices):
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    FLAT = "flat"


class ReportedState(models.TextChoices):
    """What the engine says (``engine.messages.StrategyStateName``); ``pending`` until it says anything."""

    PENDING = "pending"
    LOADING = "loading"
    RUNNING = "running"
    PAUSED = "paused"
    FLATTENING = "flattening"
    STOPPED = "stopped"
    FAULTED = "faulted"
    REFUSED = "refused"


_ONLY_APPROVED = """
IF (SELECT state FROM strategies_strategyversion WHERE id = NEW.version_id) IS DISTINCT FROM 'approved' THEN
    RAISE EXCEPTION 'only an approved version is deployed: %', NEW.version_id USING ERRCODE = 'check_violation';
END IF;
IF (SELECT strategy_id FROM strategies_strategyversion WHERE id = NEW.version_id) <> NEW.strategy_id THEN
    RAISE EXCEPTION 'the deployment names another strategy than its version' USING ERRCODE = 'check_violation';
END IF;
RETURN NEW;
"""


class Deployment(models.Model):
    """One approved version on one node, live until ``stopped_at``. ``plan`` (``engine.messages.Plan``) is how its
    orders are worked, null for at once; ``plan_hash`` names it to the engine.

    ``strategy`` repeats the version's, so that the database can hold one live deployment a strategy and node.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey("strategies.StrategyVersion", on_delete=models.PROTECT, related_name="deployments")
    strategy = models.ForeignKey("strategies.Strategy", on_delete=models.PROTECT, related_name="deployments")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="deployments")
    stage = models.CharField(max_length=8, choices=Stage.choices, default=Stage.SIM)
    desired = models.CharField(max_length=8, choices=Desired.choices, default=Desired.RUNNING)
    state = models.CharField(max_length=12, choices=ReportedState.choices, default=ReportedState.PENDING)
    reason = models.TextField(blank=True)
    capital = models.DecimalField(max_digits=18, decimal_places=4)
    plan = models.JSONField(null=True)
    plan_hash = models.CharField(max_length=64, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["strategy", "node"],
                condition=Q(stopped_at__isnull=True),
                name="deployment_one_live_a_strategy_and_node",
            ),
            models.CheckConstraint(condition=Q(capital__gt=0), name="deployment_capital_positive"),
            models.CheckConstraint(
                condition=Q(plan__isnull=True, plan_hash="") | (Q(plan__isnull=False) & ~Q(plan_hash="")),
                name="deployment_plan_has_its_hash",
            ),
            models.CheckConstraint(
                condition=Q(stopped_at__isnull=True) | Q(desired__in=["stopped", "flat"]),
                name="deployment_stopped_as_desired",
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="only_approved", when=pgtrigger.Before, operation=pgtrigger.Insert, func=_ONLY_APPROVED
            ),
            pgtrigger.ReadOnly(
                name="what_runs_is_immutable",
                fields=["id", "version", "strategy", "node", "stage", "capital", "plan", "plan_hash"]
                + ["created_by", "created_at"],
            ),
            pgtrigger.Protect(
                name="stopped_is_final",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__stopped_at__isnull=False),  # type: ignore[call-arg]
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.version} on {self.node}"

    @property
    def live(self) -> bool:
        return self.stopped_at is None


class KillLevel(models.TextChoices):
    """The ladder, least first (``engine.core.kill``)."""

    PAUSE = "pause", "Pause: no new orders"
    REDUCE_ONLY = "reduce-only", "Reduce only"
    CANCEL = "cancel", "Cancel working orders"
    FLATTEN = "flatten", "Flatten: cancel, then close positions"
    DISCONNECT = "disconnect", "Disconnect from the venue"


class Kill(models.Model):
    """A kill, from here or from an engine host, in force until two persons have re-armed it, none of whom killed.

    ``scope`` is "firm", "desk:NAME", "strategy:NAME", "symbol:S" or "venue:V"; every node is told. ``epoch`` is ms UTC
    and above every epoch before it. On an engine host people are names; they are users here where such users are.
    """

    scope = models.CharField(max_length=120)
    level = models.CharField(max_length=12, choices=KillLevel.choices)
    epoch = models.PositiveBigIntegerField()
    reason = models.CharField(max_length=400, blank=True)
    host = models.ForeignKey(Node, on_delete=models.PROTECT, null=True, related_name="kills")
    killed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    killed_by_name = models.CharField(max_length=200)
    killed_at = models.DateTimeField(auto_now_add=True)
    rearm_asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    rearm_asked_at = models.DateTimeField(null=True)
    rearmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    rearmed_names = models.CharField(max_length=400, blank=True)
    rearmed_at = models.DateTimeField(null=True)
    rearm_epoch = models.PositiveBigIntegerField(null=True)

    class Meta:
        ordering = ["-epoch"]
        constraints = [
            models.UniqueConstraint(fields=["scope", "epoch"], name="kill_once"),
            models.CheckConstraint(
                condition=Q(rearm_asked_by__isnull=True)
                | Q(killed_by__isnull=True)
                | ~Q(rearm_asked_by=models.F("killed_by")),
                name="kill_rearm_not_asked_by_the_killer",
            ),
            models.CheckConstraint(
                condition=Q(rearmed_by__isnull=True) | Q(killed_by__isnull=True) | ~Q(rearmed_by=models.F("killed_by")),
                name="kill_not_rearmed_by_the_killer",
            ),
            models.CheckConstraint(
                condition=Q(rearmed_by__isnull=True)
                | (Q(rearm_asked_by__isnull=False) & ~Q(rearmed_by=models.F("rearm_asked_by"))),
                name="kill_rearmed_by_two_persons",
            ),
            models.CheckConstraint(
                condition=Q(rearmed_at__isnull=True, rearmed_by__isnull=True, rearm_epoch__isnull=True)
                | (Q(rearmed_at__isnull=False, rearm_epoch__gt=models.F("epoch")) & ~Q(rearmed_names="")),
                name="kill_rearmed_as_a_whole",
            ),
        ]
        indexes = [models.Index(fields=["scope"], condition=Q(rearmed_at__isnull=True), name="kill_in_force")]
        triggers = [
            pgtrigger.ReadOnly(
                name="what_was_killed_is_immutable",
                fields=["scope", "level", "epoch", "reason", "host", "killed_by", "killed_by_name", "killed_at"],
            ),
            pgtrigger.Protect(
                name="rearmed_is_final",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__rearmed_at__isnull=False),  # type: ignore[call-arg]
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.scope}: {self.get_level_display()}"

    @property
    def in_force(self) -> bool:
        return self.rearmed_at is None
