"""Repeating the run of a picture that tfnst has painted: `tfnst stylize --from`."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from tfnst.built_in import find_built_in
from tfnst.checks import ArgumentError, argument
from tfnst.cli.settings import DEFAULTS
from tfnst.cli.terminal import say
from tfnst.config import StyleTransferConfig, setting_names

if TYPE_CHECKING:
    from tfnst.images.style_images import StyleImage


@dataclasses.dataclass(frozen=True)
class PaintedPicture:
    """A picture whose run is to be repeated.

    Attributes:
        path: path of its file.
        manifest: manifest in the file.
    """

    path: str
    manifest: dict[str, Any]

    @classmethod
    def read(cls, path: str) -> PaintedPicture:
        """The picture in a file.

        Raises:
            ValueError: for a picture that wasn't painted by tfnst.
            OSError: when the file can't be read.
        """
        from tfnst.images.manifest import read_painted

        with argument("from"):
            return cls(path, read_painted(path))

    def config(self, init_image: str | None) -> StyleTransferConfig:
        """The settings of the picture, without those that aren't repeated.

        Args:
            init_image: option of that name.

        Raises:
            ValueError: for settings that are missing, unknown or out of their range.
        """
        settings = self.manifest["settings"]
        if not isinstance(settings, dict):
            raise ArgumentError(
                "a picture whose settings are known",
                f"settings of type {type(settings).__name__}",
                argument="from",
            )
        if settings.get("init_image") == "given":
            if init_image is None:
                raise ArgumentError(
                    "given: the picture was started from one",
                    "None",
                    argument="init_image",
                )
            settings = settings | {"init_image": "content"}
        machine = setting_names("machine")
        repeated = {n: value for n, value in settings.items() if n not in machine}
        return DEFAULTS.replace(**repeated)

    def warn_of_other_images(self, content: str, style: list[StyleImage]) -> None:
        """Warns if the picture was painted from another content or style image."""
        from tfnst.images.manifest import describe_source, without_names
        from tfnst.images.style_images import describe_style

        # The run reports files that can't be read.
        with contextlib.suppress(OSError, ValueError):
            sources = [
                describe_source(find_built_in(part.image) or part.image)
                for part in style
            ]
            for name, now in (
                ("content", describe_source(content)),
                ("style", describe_style(style, sources)),
            ):
                then = self.manifest.get(f"{name}_image")
                if then and without_names(then) != without_names(now):
                    say(
                        f"warning: the {name} image is not the one that {self.path} "
                        "was painted from"
                    )

    def warn_of_another_network(self, manifest: dict[str, Any]) -> None:
        """Warns if the new picture was painted by another network."""
        from tfnst.images.manifest import network_of

        then, now = network_of(self.manifest), network_of(manifest)
        if then != now:
            before, after = (
                f"{name} (weights {str(sha)[:12]})" for name, sha in (then, now)
            )
            say(
                f"warning: {self.path} was painted by {before}, this picture by {after}"
            )
