"""Requests: the model that a client asks for, the settings and the pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tfnst.checks import ArgumentError, argument, check_integer
from tfnst.client.messages import FLOAT, INT32, STRING, add_input, messages
from tfnst.client.pictures import encode_mask, encode_picture
from tfnst.config import (
    StyleTransferConfig,
    list_settings,
    refuse_settings_beyond,
    setting_names,
)
from tfnst.images.metadata import PictureInfo
from tfnst.images.open_files import read_open_files
from tfnst.images.style_images import StyleImage, relative_weights, style_images

_DTYPES = {int: INT32, float: FLOAT, str: STRING}
_BASE_SECONDS, _SECONDS_PER_MEGAPIXEL_STEP = 60.0, 100.0
_LONGEST_SECONDS = 7 * 24 * 3600.0


@dataclasses.dataclass(frozen=True)
class ModelChoice:
    """The model that a client asks for; see StylizeClient.

    Raises:
        ValueError: when a field is out of range, or both `version` and
            `version_label` are given.
    """

    model: str
    version: int | None = None
    version_label: str | None = None

    def __post_init__(self) -> None:
        _check_text("model", self.model)
        if self.version is not None:
            if self.version_label is not None:
                raise ArgumentError(
                    "left out with `version_label`",
                    repr(self.version),
                    argument="version",
                )
            check_integer("version", self.version, 0, 2**63 - 1)
        if self.version_label is not None:
            _check_text("version_label", self.version_label)

    def __str__(self) -> str:
        """A description for error messages."""
        text = f"the model {self.model!r}"
        if self.version is not None:
            text += f", version {self.version}"
        if self.version_label is not None:
            text += f", label {self.version_label!r}"
        return text

    def spec(self) -> dict[str, Any]:
        """The fields of a ModelSpec."""
        fields: dict[str, Any] = {"name": self.model}
        if self.version is not None:
            fields["version"] = {"value": self.version}
        if self.version_label is not None:
            fields["version_label"] = self.version_label
        return fields


class Request(NamedTuple):
    """A request for a picture.

    Attributes:
        message: PredictRequest.
        info: metadata of the content image, for the painted picture.
        seconds: default time limit in seconds.
    """

    message: Any
    info: PictureInfo
    seconds: float


def build_request(
    model: ModelChoice,
    content_image: Any,
    style_image: Any,
    settings: Mapping[str, Any],
) -> Request:
    """The request of a call to `StylizeClient.stylize`.

    Args:
        model: model to ask for.
        content_image: picture to paint.
        style_image: picture or pictures with the style; None where a network paints.
        settings: settings by name; None leaves one to the server.

    Raises:
        ValueError: for bad settings or pictures.
        OSError: for files that can't be read.
    """
    _check_requested(settings)
    given = {name: value for name, value in settings.items() if value is not None}
    config = StyleTransferConfig(**given)
    values = config.to_dict() | config.loss_weights()
    sent = set(given)
    if "style_strength" in sent:
        # Servers only know the weights that it stands for.
        sent -= {"style_strength"}
        sent |= {"style_weight", "total_variation_weight"}
    content_image, style_image = read_open_files(content_image, style_image)
    message = messages["PredictRequest"](model_spec=model.spec())
    with argument("content_image"):
        content, info = encode_picture(content_image)
    # Networks take a row for each picture.
    at_once = style_image is None
    add_input(message, "content_bytes", STRING, [content] if at_once else content)
    if at_once:
        refuse_settings_beyond("at_once", config, "given with a style, or left out")
    else:
        _add_styles(message, style_images(style_image), sent)
    for setting in list_settings("requested"):
        if setting.name in sent:
            value = values[setting.name]
            value = value.encode() if setting.type is str else value
            value = [value] if at_once else value
            add_input(message, setting.name, _DTYPES[setting.type], value)
    return Request(message, info, _seconds_for(config.steps, config.size))


def _check_requested(settings: Iterable[str]) -> None:
    """Raises ValueError for names that aren't settings of requests."""
    known = setting_names("requested")
    for name in settings:
        if name not in known:
            expected = f"a setting that requests have: {', '.join(known)}"
            raise ArgumentError(expected, repr(name), argument="settings")


def _check_servable(styles: list[StyleImage]) -> None:
    """Raises ValueError for fields of styles that no signature has an input for."""
    for style in styles:
        if style.layers is not None:
            raise ArgumentError(
                "None for a server, where each style counts in all layers",
                repr(style.layers),
                argument="layers",
            )
        if style.rotations != 1:
            raise ArgumentError(
                "1 for a server, which sees styles as they are",
                repr(style.rotations),
                argument="rotations",
            )


def _is_one_picture(styles: list[StyleImage]) -> bool:
    """Returns whether there is a single style, without scale, mask or region."""
    first, *others = styles
    return not others and first.scale == 1 and first.mask is first.region is None


def _add_styles(message: Any, styles: list[StyleImage], sent: set[str]) -> None:
    """Adds the inputs that describe the styles, and the signature that has them.

    Args:
        message: PredictRequest.
        styles: the styles.
        sent: names of the settings that are sent.
    """
    _check_servable(styles)
    if "preserve_color" not in sent and _is_one_picture(styles):
        with argument("style_image"):
            style, _ = encode_picture(styles[0].image)
        add_input(message, "style_bytes", STRING, style)
        return
    message.model_spec.signature_name = "blend"
    with argument("style_image"):
        files = [encode_picture(style.image)[0] for style in styles]
    add_input(message, "style_bytes", STRING, files)
    add_input(message, "style_weights", FLOAT, relative_weights(styles))
    add_input(message, "style_scales", FLOAT, [style.scale for style in styles])
    for name in ("mask", "region"):
        masks = [getattr(style, name) for style in styles]
        with argument(name):
            files = [b"" if mask is None else encode_mask(mask) for mask in masks]
        add_input(message, f"{name}_bytes", STRING, files)


def _seconds_for(steps: int, size: int) -> float:
    """The default time limit of a run; see StylizeClient."""
    seconds = _BASE_SECONDS + _SECONDS_PER_MEGAPIXEL_STEP * size**2 * steps / 1e6
    return min(seconds, _LONGEST_SECONDS)


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ArgumentError("a non-empty string", repr(value), argument=name)
