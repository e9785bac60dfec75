"""What the agent makes of a manifest before the core may run it: proof of its content, and its artifact."""

import threading
from dataclasses import dataclass

from engine.content import content_hash, plan_hash
from engine.errors import BadInput
from engine.execution.plans import plan_schedule
from engine.history import open_history
from engine.live.config import Config
from engine.live.limits import manifest_limits
from engine.messages import Manifest
from engine.research.cointegration import FormationCache
from engine.strategies.base import Closes, formation_date
from engine.strategies.registry import strategy


@dataclass(frozen=True)
class Moment:
    """Where the session stands: ``closed`` once the session of ``date`` (yyyymmdd) has closed."""

    date: int
    closed: bool

    @property
    def warm_to(self) -> int:
        """The first date whose close has not come; ``prepare`` fills its windows with what lies before."""
        return self.date + 1 if self.closed else self.date


class Preparation:
    """Blocking; call it from a thread. One call at a time: the history's panel is kept between calls."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._history = open_history(config.history)
        self._cache = FormationCache(config.formations)
        self._closes: dict[str, Closes] = {}
        self._lock = threading.Lock()

    def verify(self, manifest: Manifest) -> None:
        """Raises BadInput when this engine's content hash, or the history's, is not the one that was approved."""
        own = content_hash(manifest.strategy, manifest.parameters, manifest.envelope, manifest.data)
        if own != manifest.content_hash:
            raise BadInput(
                "content_hash", "content_hash", manifest.content_hash, f"{own}, which is what this engine has"
            )
        if manifest.plan is not None and manifest.plan_hash != (own := plan_hash(own, manifest.plan)):
            raise BadInput("plan_hash", "plan_hash", manifest.plan_hash, f"{own}, which is that of this plan")
        stored = self._history.describe(manifest.data.dataset).data_hash
        if stored != manifest.data.data_hash:
            raise BadInput(
                "data_hash", "data.data_hash", manifest.data.data_hash, f"{stored}, which this engine's history has"
            )

    def parameter_record(self, manifest: Manifest) -> bytes:
        registered = strategy(manifest.strategy)
        return registered.parameter_record(registered.parameters(manifest.parameters))

    def plan(self, manifest: Manifest) -> bytes:
        """The SCHEDULE by which the step works its parents; nothing without a plan. Raises BadInput."""
        return plan_schedule(manifest.plan).tobytes() if manifest.plan else b""

    def limits(self, manifest: Manifest) -> bytes:
        return manifest_limits(self._config, manifest)

    def formation(self, manifest: Manifest, date: int) -> int:
        """The date as of which what trades on ``date`` is formed: its year's first trading day."""
        return formation_date(self._panel(manifest).dates, date)

    def artifact(self, manifest: Manifest, moment: Moment) -> bytes:
        """Formed as of the year's first session, windows filled up to ``moment``. Raises BadInput."""
        with self._lock:
            registered = strategy(manifest.strategy)
            return registered.prepare(
                self._panel(manifest),
                registered.parameters(manifest.parameters),
                as_of=self.formation(manifest, moment.date),
                warm_to=moment.warm_to,
                instruments=self._config.symbols,
                cache=self._cache,
            )

    def _panel(self, manifest: Manifest) -> Closes:
        name = manifest.data.dataset
        known = self._closes.get(name)
        if known is None or known.data_hash != manifest.data.data_hash:
            dates, symbols, prices = self._history.closes(name)
            known = self._closes[name] = Closes(dates, symbols, prices, manifest.data.data_hash)
        return known
