"""What a host allows those who paint on its machine."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfnst.checks import argument_error, check_integer, check_number
from tfnst.config import StyleTransferConfig


def _limit(default: float, help: str, low: int = 1) -> Any:
    """A limit, of which `tfnst studio` makes an option with this help.

    Args:
        default: whose type is that of the limit.
        help: what it limits, in a sentence.
        low: the least that an integer may be.
    """
    return dataclasses.field(default=default, metadata={"help": help, "low": low})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that one visitor may ask for, checked when they are made.

    Attributes:
        max_megapixels: of a painted picture, whose long side is the setting `size`.
        max_steps: of the setting `steps`, and of `initial_steps`.
        max_seconds: that a run may take; longer ones get fewer steps, as by the
            setting `max_time`.
        max_runs: of a visitor that wait or are being painted.
        max_waiting: runs of all visitors that wait.
        max_batch: pictures of a batch.
        max_frames: frames of a painted film; 0 for no films at all.
        max_upload: MiB of a file.
        max_upload_sum: MiB of all files that are handed in at once.
        max_days: that pictures and films are kept; 0 for ever.

    Raises:
        ValueError: for what is out of its range.
    """

    max_megapixels: float = _limit(16.0, "Largest painting.")
    max_steps: int = _limit(2000, "Most steps at a scale.")
    max_seconds: float = _limit(3600.0, "Longest run; longer ones get fewer steps.")
    max_runs: int = _limit(4, "Most runs of a visitor at a time.")
    max_waiting: int = _limit(100, "Most runs that wait.")
    max_batch: int = _limit(100, "Most pictures of a batch.")
    max_frames: int = _limit(3000, "Most frames of a film; 0 for no films.", low=0)
    max_upload: int = _limit(100, "Largest file that is handed in, in MiB.")
    max_upload_sum: int = _limit(
        1000, "Most that is handed in at once, all files together, in MiB."
    )
    max_days: int = _limit(
        0, "Days after which pictures and films are deleted; 0 for never.", low=0
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, int):
                check_integer(field.name, value, field.metadata["low"])
            else:
                number = check_number(field.name, value, "a number above 0", above=0)
                object.__setattr__(self, field.name, number)

    def check(self, config: StyleTransferConfig, sides: tuple[int, int]) -> None:
        """Checks that a run stays within the limits, except for its time.

        Args:
            config: its settings.
            sides: height and width of the photo.

        Raises:
            ValueError: for a run that is too large or too long.
        """
        ratio = min(sides) / max(sides)
        megapixels = config.size**2 * ratio / 1e6
        if megapixels > self.max_megapixels:
            longest = int((self.max_megapixels * 1e6 / ratio) ** 0.5)
            raise argument_error(
                "size",
                f"at most {longest} for this photo: the host allows "
                f"{self.max_megapixels:g} megapixels",
                str(config.size),
            )
        for name in ("steps", "initial_steps"):
            steps = getattr(config, name)
            if steps is not None and steps > self.max_steps:
                expected = f"at most {self.max_steps}, which is what the host allows"
                raise argument_error(name, expected, str(steps))

    def check_frames(self, frames: int) -> None:
        """Checks that a film isn't too long.

        Args:
            frames: that are to be painted.

        Raises:
            ValueError: for more than the host allows.
        """
        if frames > self.max_frames:
            raise ValueError(
                f"The host allows films of {self.max_frames} frames, and these are "
                f"{frames}: let it end earlier, or paint fewer of its frames."
            )

    def bound(self, config: StyleTransferConfig) -> StyleTransferConfig:
        """The settings with the host's limit of time."""
        seconds = min(config.max_time or self.max_seconds, self.max_seconds)
        return config.replace(max_time=seconds)
