"""Responses: the painted picture, or the states of a model's versions."""

from __future__ import annotations

import dataclasses
import io
import os
from typing import Any, NamedTuple

from PIL import Image

from tfnst.client.errors import ServingError
from tfnst.client.messages import STATES, read_floats
from tfnst.images import metadata, writing


class ModelVersionStatus(NamedTuple):
    """The state of a version of the model.

    Attributes:
        version: number of the version.
        state: `"START"`, `"LOADING"`, `"AVAILABLE"`, `"UNLOADING"` or `"END"`.
        error: reason why it couldn't be loaded; empty if it could.
    """

    version: int
    state: str
    error: str


@dataclasses.dataclass(frozen=True)
class StylizeResponse:
    """A painted picture from a server.

    Attributes:
        image_bytes: stylized image as a PNG file.
        content_loss: unweighted content loss of the last step; None, like the other
            losses, where a network painted the picture.
        style_loss: unweighted style loss of the last step.
        total_loss: weighted sum of the losses of the last step.
        model_version: version of the model that painted the picture.
        info: metadata of the content image, which `save` writes into the picture's
            file: alpha, Exif, resolution; see `tfnst.images.metadata.PictureInfo`.
    """

    image_bytes: bytes = dataclasses.field(repr=False)
    content_loss: float | None
    style_loss: float | None
    total_loss: float | None
    model_version: int
    info: metadata.PictureInfo = dataclasses.field(
        default_factory=metadata.PictureInfo, repr=False, compare=False
    )

    @property
    def image(self) -> Image.Image:
        """The stylized image for Pillow, 8-bit RGB, without alpha."""
        with Image.open(io.BytesIO(self.image_bytes)) as image:
            return image.convert("RGB")

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "path",
        quality: int = 95,
        keep_gps: bool = False,
    ) -> None:
        """Writes the picture and `info` to a file.

        Args:
            path: path of the file; its suffix determines the format: PNG, JPEG, WebP
                or TIFF.
            name: name of the path in error messages. Default `"path"`.
            quality: quality of JPEG and WebP, 1 to 100. Default 95.
            keep_gps: whether to keep the content image's GPS position. Default False.

        Raises:
            ValueError, OSError: as `tfnst.save_image`.
        """
        writing.save_image(
            self.image,
            path,
            name=name,
            quality=quality,
            info=self.info,
            keep_gps=keep_gps,
        )


def read_response(
    response: Any, info: metadata.PictureInfo, *, target: str, model: str
) -> StylizeResponse:
    """The painted picture in a PredictResponse.

    Args:
        response: PredictResponse.
        info: metadata of the content image.
        target: address of the server, for the error.
        model: description of the model, for the error.

    Raises:
        ServingError: when the response isn't from an export of tfnst.
    """
    outputs = {entry.key: entry.value for entry in response.outputs}
    try:
        (image_bytes,) = outputs["image_bytes"].string_val
        names = [f"{name}_loss" for name in ("content", "style", "total")]
        content, style, total = (
            float(read_floats(outputs[name])[0]) if outputs.keys() & names else None
            for name in names
        )
    except (IndexError, KeyError, ValueError) as error:
        received = ", ".join(sorted(map(repr, outputs))) or "nothing"
        raise ServingError(
            f"The server at {target} has {model}, but that isn't an export of tfnst: "
            f"it returned {received}"
        ) from error
    version = response.model_spec.version.value
    return StylizeResponse(image_bytes, content, style, total, version, info)


def read_status(response: Any) -> list[ModelVersionStatus]:
    """The versions in a GetModelStatusResponse, in order."""
    return sorted(
        ModelVersionStatus(
            version=item.version,
            state=STATES.get(item.state, "UNKNOWN"),
            error=item.status.error_message,
        )
        for item in response.model_version_status
    )
