"""One pair in plain Python, written to be obviously right: what `pairs.update_pair` must agree with.

Windows are lists, moments are summed from scratch, the Kalman filter is in matrices; nothing is shared with the
compiled code but the words. Slow: it is for tests, and the floor that the benchmark compares with.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class ReferencePair:
    """As PAIR and PAIR_SETTINGS, by their names. ``beside`` is log(b) - reference."""

    hedge_ratio: float
    intercept: float
    reference: float
    kalman: bool
    rolling: bool
    lookback: int
    interval: int
    weight: float
    state_noise: float
    spread_noise: float
    entry: float
    exit: float
    stop: float
    state_variance: float
    samples: list[float] = field(default_factory=list)
    next_sample: int = 0
    stance: int = 0
    stopped: bool = False
    spread: float = 0.0
    z: float | None = None

    def __post_init__(self) -> None:
        self._state = np.array([self.hedge_ratio, self.intercept])
        self._covariance = np.eye(2) * self.state_variance

    def update(self, log_a: float, log_b: float, now: int) -> None:
        observed = np.array([log_b - self.reference, 1.0])
        self.spread = log_a - float(observed @ self._state)
        mean, deviation = self._moments()
        self.z = (self.spread - mean) / deviation if deviation else None
        if now >= self.next_sample:
            self.next_sample = now + self.interval
            if self.kalman:
                self._filter(observed)
            self.samples.append(self.spread)
        if self.z is not None:
            self._move()

    @property
    def hedge(self) -> float:
        return float(self._state[0])

    def half_life(self) -> float:
        """Of the samples: the regression of each step on how far it began from the mean of those before."""
        squares = products = 0.0
        for index in range(1, len(self.samples)):
            before = self.samples[:index]
            away = before[-1] - _weighted_mean(before, self.weight)
            older = (1 - self.weight) ** (len(self.samples) - 1 - index)
            squares += older * away * away
            products += older * away * (self.samples[index] - before[-1])
        if products >= 0 or squares <= 0:
            return math.inf
        remains = 1 + products / squares
        return math.log(0.5) / math.log(remains) if remains > 0 else 0.0

    def _moments(self) -> tuple[float, float]:
        """(mean, deviation) of the samples so far; deviation 0 while there are too few."""
        if len(self.samples) < self.lookback:
            return 0.0, 0.0
        if self.rolling:
            window = self.samples[-self.lookback :]
            mean = sum(window) / len(window)
            return mean, math.sqrt(sum((x - mean) ** 2 for x in window) / (len(window) - 1))
        weights = sample_weights(len(self.samples), self.weight)
        mean = sum(w * x for w, x in zip(weights, self.samples, strict=True))
        return mean, math.sqrt(sum(w * (x - mean) ** 2 for w, x in zip(weights, self.samples, strict=True)))

    def _filter(self, observed: np.ndarray) -> None:
        """Predict, then correct (Kalman 1960), for a state that is a random walk."""
        predicted = self._covariance + np.eye(2) * self.state_noise
        scale = float(observed @ predicted @ observed) + self.spread_noise
        gain = predicted @ observed / scale
        self._state = self._state + gain * self.spread
        self._covariance = predicted - np.outer(gain, observed) @ predicted

    def _move(self) -> None:
        assert self.z is not None
        away = abs(self.z) if self.stance == 0 else -self.z * self.stance
        if self.stance == 0 and self.stopped:
            self.stopped = away > self.exit
        elif self.stance == 0 and self.entry < away < self.stop:
            self.stance = -1 if self.z > 0 else 1
        elif self.stance != 0 and away >= self.stop:
            self.stance, self.stopped = 0, True
        elif self.stance != 0 and away <= self.exit:
            self.stance = 0


def sample_weights(count: int, weight: float) -> list[float]:
    """Weights of ``count`` samples, oldest first: sample n enters with max(weight, 1 / n), and what was there before
    keeps the rest."""
    weights: list[float] = []
    for n in range(1, count + 1):
        share = max(weight, 1 / n)
        weights = [w * (1 - share) for w in weights] + [share]
    return weights


def _weighted_mean(samples: Sequence[float], weight: float) -> float:
    return sum(w * x for w, x in zip(sample_weights(len(samples), weight), samples, strict=True))
