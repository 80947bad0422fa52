"""The whole optimisation as a SavedModel that TensorFlow Serving runs."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import tempfile
from typing import Any

import tensorflow as tf

from tfnst.config import StyleTransferConfig
from tfnst.export.served_model import ServedStyleTransfer
from tfnst.export.warmup import WARMUP, write_warmup
from tfnst.limits import MAX_PIXELS, MAX_STEPS, MIN_SIDE
from tfnst.version import __version__

MANIFEST = "tfnst.json"


def export_saved_model(
    directory: str | os.PathLike[str],
    *,
    config: StyleTransferConfig | None = None,
    version: int | None = None,
    max_steps: int = 1000,
    max_size: int = 2048,
    max_pixels: int = 2**25,
    **settings: Any,
) -> pathlib.Path:
    """Writes `<directory>/<version>/`, which TensorFlow Serving can serve.

    The SavedModel holds the whole run, coarse to fine, with the weights of the network
    as variables, and these signatures (shapes; optional inputs have defaults):

    - `serving_default`: `content_bytes` and `style_bytes`, encoded images, string [];
      gives `image_bytes`, a PNG, string [].
    - `stylize`: `content_image`, float32 [N, H, W, 3], and `style_image`, float32
      [N or 1, h, w, 3], in [0, 1]; gives `stylized_image`, float32 [N, H', W', 3].
    - `blend`: `content_bytes`, string [], and `style_bytes` of S styles, string [S];
      gives `image_bytes`. Optional: `style_weights` and `style_scales`, float32 [S],
      `mask_bytes` and `region_bytes`, string [S], where an empty string stands for
      none; they are as in `tfnst.StyleImage`, and [1] goes for all styles. And
      `preserve_color`, string [].

    All give `content_loss`, `style_loss` and `total_loss`, float32 [N] ([1] where one
    picture is painted): of the last step, as in `TransferResult.losses`. Optional in
    all: `steps`, `size` and `seed`, int32 [], `content_weight`, `style_weight`,
    `total_variation_weight` and `learning_rate`, float32 []. Each input is checked in
    the graph; a bad one gives INVALID_ARGUMENT with a message that names it.

    Args:
        directory: base path of the model; made if it is missing.
        config: settings; what requests may set are defaults. `precision="auto"` means
            float32 here, since the server may be another machine; `"bfloat16"` is
            about twice as fast on servers that have it.
        version: number of the version; the next free one by default.
        max_steps: largest `steps` of a request, 1 to 100,000.
        max_size: largest `size` of a request. N pictures of `size` may have no more
            pixels together than one of `max_size`.
        max_pixels: most pixels that a picture of a request may have.
        **settings: fields of StyleTransferConfig that replace those of `config`.

    Returns:
        Path of the version's folder.

    Raises:
        ValueError: for bad settings, limits below the defaults, or a version that
            is there already.
        OSError: when the folder can't be written or no weights can be had. Nothing
            half-written is left behind.

    Reference:
        https://www.tensorflow.org/tfx/serving/serving_basic and
        https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    config = (config or StyleTransferConfig()).replace(**settings)
    if config.precision == "auto":
        # The machine that serves may be another one than this.
        config = config.replace(precision="float32")
    for name, value, low, high in (
        ("max_steps", max_steps, config.steps, MAX_STEPS),
        ("max_size", max_size, config.size, 16384),
        ("max_pixels", max_pixels, MIN_SIDE**2, MAX_PIXELS),
        *([("version", version, 1, 2**63 - 1)] if version is not None else []),
    ):
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"`{name}` must be an integer. Received: {value!r}")
        if not low <= value <= high:
            raise ValueError(
                f"`{name}` must be an integer from {low} to {high}. Received: {value}"
            )
    base = pathlib.Path(directory)
    base.mkdir(parents=True, exist_ok=True)
    taken = [int(p.name) for p in base.iterdir() if p.name.isdecimal()]
    if version is None:
        version = max(taken, default=0) + 1
    elif version in taken:
        raise ValueError(
            f"`version` must be one that {str(base)!r} doesn't hold yet. "
            f"Received: {version}"
        )
    limits = {"max_steps": max_steps, "max_size": max_size, "max_pixels": max_pixels}
    module = ServedStyleTransfer(config, **limits)
    # Servers look for folders with integer names, so this one is invisible to them
    # until it is complete.
    partial = pathlib.Path(tempfile.mkdtemp(prefix=".tfnst-", dir=base))
    try:
        _write(module, partial, limits)
        partial.chmod(0o777 & ~_umask())
        target = base / str(version)
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target


def _write(module, folder, limits):
    signatures = module.signatures()
    with tempfile.TemporaryDirectory() as scratch:
        manifest = pathlib.Path(scratch, MANIFEST)
        manifest.write_text(json.dumps(_manifest(module, limits), indent=2) + "\n")
        module.manifest = tf.saved_model.Asset(str(manifest))
        tf.saved_model.save(module, str(folder), signatures=signatures)
    write_warmup(folder / WARMUP)


def _manifest(module, limits):
    weights = module.backbone.weights
    return {
        "tfnst": __version__,
        "tensorflow": tf.__version__,
        "config": module.config.to_dict(),
        "limits": limits,
        "backbone": module.backbone.name,
        "weights": {"source": weights.source, "sha256": weights.sha256},
    }


def _umask():
    """The process' umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
