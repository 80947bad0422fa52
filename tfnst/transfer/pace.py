"""Steps of each scale of a run, fewer if time runs out or the loss stops falling."""

from __future__ import annotations

import numpy as np

# Cost of entering a scale, mainly for its targets, in steps.
_ENTERING = 2.0
# Number of steps that are timed before time is planned.
_MEASURED = 3
# Largest share of `max_time` between two looks at the clock.
_LEAST_CONTROL = 0.03
# A scale is left out if it would get a smaller share of its steps, and less than one.
_LEAST_SHARE = 0.1
# Share by which the mean loss must fall from one `patience` of steps to the next.
_LEAST_GAIN = 0.01


class Pace:
    """Plan of the steps of a run, scale by scale.

    `max_time` leaves all remaining scales the same share of their steps, so that the
    finest one is reached. If that share would be below a tenth, and less than a step,
    the finest scales are left out. The plan is renewed after each group of steps, from
    the time it took. The schedule of learning rates follows the planned number of
    steps, and so reaches its end.

    `patience` compares the mean total loss of that number of steps with the mean of as
    many steps before, and ends the scale if it is less than 1 % lower. This is checked
    after each multiple of `patience` steps at a scale, so that it does not depend on
    how steps are grouped.

    Args:
        pixels: pixels of each scale, coarse to fine.
        steps: steps of each scale, from the settings.
        max_time: seconds from the start of the run; None for no limit.
        patience: number of steps; None for no limit.

    Attributes:
        steps: planned steps of each scale, int array [scales].
    """

    def __init__(
        self,
        pixels: np.ndarray,
        steps: np.ndarray,
        *,
        max_time: float | None = None,
        patience: int | None = None,
    ) -> None:
        self._pixels = np.asarray(pixels, np.float64)
        self._wanted = np.array(steps)
        self.steps = np.array(steps)
        self._max_time = max_time
        self._patience = patience
        self._reasons: set[str] = set()
        # Seconds for a step of one pixel, measured at the latest scale.
        self._rate, self._measured = 0.0, 0
        self._scale, self._spent, self._stepped = -1, 0.0, 0
        self._fraction = 0.0

    @property
    def total(self) -> int:
        """Steps in all."""
        return int(self.steps.sum())

    def fraction(self, done: int) -> float:
        """Share of the work that is done after `done` steps; it never falls.

        The work of a step is its number of pixels.
        """
        work = np.repeat(self._pixels, self.steps)
        # A new plan may add steps, which would make the share smaller.
        now = float(work[:done].sum() / work.sum())
        self._fraction = max(self._fraction, now)
        return self._fraction

    def shortened_by(self, scales: int | None = None) -> list[str]:
        """Names of the settings that left a scale fewer steps, sorted.

        They are `"max_time"` and `"patience"`.

        Args:
            scales: number of scales that count; all by default.
        """
        cut = (self.steps < self._wanted)[:scales].any()
        return sorted(self._reasons | ({"max_time"} if cut else set()))

    def resume(self, steps: list[int], shortened_by: list[str]) -> None:
        """Continues the plan of a checkpoint for the scales up to the present one."""
        if not steps:
            return
        self.steps[: len(steps)] = steps
        self._wanted[: len(steps) - 1] = steps[:-1]
        if "patience" in shortened_by:
            # Otherwise a scale ended by a plateau would count as cut short by time.
            self._wanted[len(steps) - 1] = steps[-1]
        self._reasons = set(shortened_by)

    def enters(self, scale: int) -> bool:
        """True if there is time for a scale."""
        return self.steps[scale] > 0

    def group(self, scale: int, done: int) -> int:
        """Most steps of the next group, after `done` steps of a scale."""
        most = int(self._wanted.max())
        if self._patience is not None:
            most = self._patience - done % self._patience
        if self._max_time is not None:
            seconds = _LEAST_CONTROL * self._max_time
            known = self._measured >= _MEASURED
            steps = seconds / (self._rate * self._pixels[scale]) if known else 1
            most = max(1, min(most, int(steps)))
        return most

    def update(
        self, scale: int, done: int, taken: int, seconds: float, elapsed: float
    ) -> None:
        """Plans the rest of the run by the time that a group of steps took.

        Args:
            scale: index of the present scale.
            done: steps done at this scale.
            taken: steps in the group.
            seconds: seconds that the group took.
            elapsed: seconds since the run began.
        """
        if self._max_time is None:
            return
        if scale != self._scale:
            # The first group of a scale also bears the cost of entering it.
            self._scale, self._spent, self._stepped = scale, 0.0, 0
        else:
            self._spent, self._stepped = self._spent + seconds, self._stepped + taken
            self._measured += taken
            self._rate = self._spent / (self._stepped * self._pixels[scale])
        left = self._max_time - elapsed
        if left <= 0:
            self.steps[scale] = min(self.steps[scale], done)
            self.steps[scale + 1 :] = 0
        elif self._measured >= _MEASURED:
            self._plan(scale, done, left / self._rate)

    def _plan(self, scale: int, done: int, affordable: float) -> None:
        """Divides the affordable work, in pixels times steps, among the scales."""
        wanted = self._wanted
        # The present scale keeps its place in the schedule.
        here = wanted[scale] * (1 - done / self.steps[scale])
        works = np.append(here, wanted[scale + 1 :]) * self._pixels[scale:]
        entering = _ENTERING * self._pixels[scale:]
        entering[0] = 0
        for count in range(len(works), 0, -1):
            work = works[:count].sum()
            left = max(affordable - entering[:count].sum(), 0)
            share = min(left / work, 1.0) if work else 1.0
            finest = wanted[scale + count - 1]
            if share >= min(_LEAST_SHARE, 1 / finest) or count == 1:
                break
        self.steps[scale] = done + round(share * here)
        later = np.maximum(np.rint(share * wanted[scale + 1 :]), 1).astype(int)
        later[count - 1 :] = 0
        self.steps[scale + 1 :] = later

    def end_at_plateau(self, scale: int, done: int, totals: np.ndarray) -> None:
        """Ends a scale at which the losses of all pictures have stopped falling.

        Args:
            scale: index of the present scale.
            done: steps done at this scale.
            totals: total losses of those steps, [pictures, done].
        """
        each = self._patience
        if each is None or done % each or not 2 * each <= done < self.steps[scale]:
            return
        before = totals[:, -2 * each : -each].mean(axis=1)
        now = totals[:, -each:].mean(axis=1)
        if (now > (1 - _LEAST_GAIN) * before).all():
            self.steps[scale] = self._wanted[scale] = done
            self._reasons.add("patience")
