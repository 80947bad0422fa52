"""Limits that a host sets for the visitors of its page."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tfnst.checks import ArgumentError, check_integer, check_number
from tfnst.config import StyleTransferConfig

if TYPE_CHECKING:
    from tfnst.studio.tasks import Task


def _limit(default: float, help: str, low: int = 1) -> Any:
    """A limit, from which `tfnst studio` makes an option.

    Args:
        default: default of the limit, which also says its type.
        help: help text of the option.
        low: least value of an integer.
    """
    return dataclasses.field(default=default, metadata={"help": help, "low": low})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """The host's limits, checked when they are made.

    Attributes:
        max_megapixels: size of a painted picture in megapixels, which follows from the
            setting `size`.
        max_steps: steps at each scale: the settings `steps` and `initial_steps`.
        max_seconds: duration of a run in seconds; longer ones get fewer steps, as by
            the setting `max_time`.
        max_waiting: waiting runs of all visitors.
        max_batch: pictures in a batch.
        max_frames: frames of a painted video; 0 for no videos at all.
        max_upload: size of an uploaded file in MiB.
        max_upload_sum: size of all files of one upload together in MiB.
        max_days: days for which pictures and videos are kept; 0 for ever.

    Raises:
        ValueError: for a limit out of its range.
    """

    max_megapixels: float = _limit(16.0, "Largest painted picture in megapixels.")
    max_steps: int = _limit(2000, "Most steps at a scale.")
    max_seconds: float = _limit(
        3600.0, "Longest run in seconds; longer ones get fewer steps."
    )
    max_waiting: int = _limit(100, "Most waiting runs of all visitors.")
    max_batch: int = _limit(100, "Most pictures in a batch.")
    max_frames: int = _limit(3000, "Most frames of a video; 0 for no videos.", low=0)
    max_upload: int = _limit(100, "Largest uploaded file in MiB.")
    max_upload_sum: int = _limit(1000, "Largest upload, all files together, in MiB.")
    max_days: int = _limit(
        0, "Days after which pictures and videos are deleted; 0 for never.", low=0
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, int):
                check_integer(field.name, value, field.metadata["low"])
            else:
                number = check_number(field.name, value, "a number above 0", above=0)
                object.__setattr__(self, field.name, number)

    def check(self, task: Task, sides: tuple[int, int]) -> None:
        """Checks that a task stays within the limits of size and steps.

        Args:
            task: the task.
            sides: height and width of the photo or the video.

        Raises:
            ValueError: for a task that is too large or too long.
        """
        size, ratio = task.config.size, min(sides) / max(sides)
        megapixels = size**2 * ratio / 1e6
        if megapixels > self.max_megapixels:
            longest = int((self.max_megapixels * 1e6 / ratio) ** 0.5)
            raise ArgumentError(
                f"at most {longest} for this photo: the host allows "
                f"{self.max_megapixels:g} megapixels",
                str(size),
                argument="size",
            )
        for name in () if task.network else ("steps", "initial_steps"):
            steps = getattr(task.config, name)
            if steps is not None and steps > self.max_steps:
                expected = f"at most {self.max_steps}, which is what the host allows"
                raise ArgumentError(expected, str(steps), argument=name)

    def check_frames(self, frames: int) -> None:
        """Checks that a video isn't too long.

        Args:
            frames: number of frames to paint.

        Raises:
            ValueError: for more frames than the host allows.
        """
        if frames > self.max_frames:
            raise ValueError(
                f"This video has {frames} frames to paint; the limit is "
                f"{self.max_frames}. End it earlier, or skip frames."
            )

    def bound(self, config: StyleTransferConfig) -> StyleTransferConfig:
        """Returns the settings with the host's limit of time."""
        return config.replace(max_time=self.seconds(config))

    def seconds(self, config: StyleTransferConfig) -> float:
        """Returns the most seconds that a run may take."""
        return min(config.max_time or self.max_seconds, self.max_seconds)
