"""The whole optimisation as a SavedModel that TensorFlow Serving runs."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import tempfile
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst import decoding, engine, images, pyramid
from tfnst.config import (
    MAX_SEED,
    MAX_STEPS,
    MIN_SIZE,
    StyleTransferConfig,
)
from tfnst.loading import load_engine
from tfnst.version import __version__

MANIFEST = "tfnst.json"
WARMUP = pathlib.Path("assets.extra", "tf_serving_warmup_requests")
_WARMUP_SIZE, _WARMUP_STEPS = 64, 2


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

    Both give `content_loss`, `style_loss` and `total_loss`, float32 [N] ([1] for
    `serving_default`): of the last step, as in `TransferResult.losses`. Optional in
    both: `steps`, `size` and `seed`, int32 [], `content_weight`, `style_weight`,
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
        ("max_pixels", max_pixels, images.MIN_SIDE**2, images.MAX_PIXELS),
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


class ServedStyleTransfer(tf.Module):
    """What the SavedModel holds: the weights, and the functions of the signatures.

    Requests share nothing but the weights, which none of them writes. TensorFlow
    Serving checks no input, so the graph does.
    """

    def __init__(
        self,
        config: StyleTransferConfig,
        *,
        max_steps: int,
        max_size: int,
        max_pixels: int,
    ) -> None:
        super().__init__(name="tfnst")
        if config.init_image == "given":
            raise ValueError(
                "`init_image` must be 'content', 'style' or 'noise' for an export: "
                "requests bring no picture to start from. Received: 'given'"
            )
        if config.max_memory is not None:
            raise ValueError(
                "`max_memory` must be None for an export: its steps have no tiles, and "
                "`max_size` bounds what a request takes. "
                f"Received: {config.max_memory}"
            )
        for name in ("patience", "max_time"):
            if getattr(config, name) is not None:
                raise ValueError(
                    f"`{name}` must be None for an export: its requests get all steps. "
                    f"Received: {getattr(config, name)}"
                )
        self.config = config
        self._engine, self.backbone = load_engine(config)
        # Held as variables: as constants they would come near the 2 GB that a
        # protocol buffer may have.
        self._variables = [v.value for v in self._engine.feature_extractor.variables]
        self._max_steps = max_steps
        self._max_size = max_size
        self._max_pixels = max_pixels

    def signatures(self) -> dict[str, Any]:
        """The functions to export, by the name of their signature."""
        default = {
            **{
                name: tf.constant(getattr(self.config, name), tf.int32)
                for name in ("steps", "size", "seed")
            },
            **engine.Knobs.from_config(self.config)._asdict(),
            "steps": tf.constant(self.config.steps, tf.int32),
        }

        # Defaults that are tensors become SignatureDef.defaults.
        def serving_default(
            content_bytes,
            style_bytes,
            steps=default["steps"],
            size=default["size"],
            seed=default["seed"],
            content_weight=default["content_weight"],
            style_weight=default["style_weight"],
            total_variation_weight=default["total_variation_weight"],
            learning_rate=default["learning_rate"],
        ):
            content, style = (
                decoding.decode_picture(
                    encoded,
                    name=name,
                    min_side=images.MIN_SIDE,
                    max_pixels=self._max_pixels,
                )
                for name, encoded in (
                    ("content_bytes", content_bytes),
                    ("style_bytes", style_bytes),
                )
            )
            stylized, measured = self._paint(
                ("content_bytes", content),
                ("style_bytes", style),
                (steps, size, seed),
                (content_weight, style_weight, total_variation_weight, learning_rate),
            )
            return {"image_bytes": decoding.encode_png(stylized), **measured}

        def stylize(
            content_image,
            style_image,
            steps=default["steps"],
            size=default["size"],
            seed=default["seed"],
            content_weight=default["content_weight"],
            style_weight=default["style_weight"],
            total_variation_weight=default["total_variation_weight"],
            learning_rate=default["learning_rate"],
        ):
            content = self._checked_pictures("content_image", content_image)
            style = self._checked_pictures("style_image", style_image)
            counts = tf.stack([tf.shape(content)[0], tf.shape(style)[0]])
            style = _checked(
                style,
                (counts[1] == 1) | (counts[1] == counts[0]),
                "`style_image` must be 1 picture or as many as `content_image`.",
                counts,
            )
            stylized, measured = self._paint(
                ("content_image", content),
                ("style_image", style),
                (steps, size, seed),
                (content_weight, style_weight, total_variation_weight, learning_rate),
            )
            return {"stylized_image": stylized, **measured}

        string, pictures = tf.TensorSpec([], tf.string), tf.TensorSpec([None] * 3 + [3])
        integer, number = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
        optional = [integer] * 3 + [number] * 4
        return {
            function.__name__: tf.function(
                function, input_signature=[required, required, *optional]
            )
            for function, required in ((serving_default, string), (stylize, pictures))
        }

    def _checked_pictures(self, name, pictures):
        # Servers feed any shape; without this, a wrong rank aborts the process.
        pictures = tf.ensure_shape(pictures, [None, None, None, 3])
        shape = tf.shape(pictures, out_type=tf.int64)
        pictures = _checked(
            pictures,
            (shape[0] >= 1) & (tf.reduce_min(shape[1:3]) >= images.MIN_SIDE),
            f"`{name}` must be one or more pictures of at least {images.MIN_SIDE} "
            "pixels a side.",
            shape,
        )
        pictures = _checked(
            pictures,
            tf.reduce_prod(shape[:3]) <= self._max_pixels,
            f"`{name}` must have at most {self._max_pixels} pixels.",
            shape,
        )
        low, high = tf.reduce_min(pictures), tf.reduce_max(pictures)
        # A minimum passes over NaN; a sum doesn't.
        return _checked(
            pictures,
            tf.math.is_finite(tf.reduce_sum(pictures)) & (low >= 0) & (high <= 1),
            f"`{name}` must hold finite numbers from 0 to 1.",
            tf.stack([low, high]),
        )

    def _paint(self, named_content, named_style, counts, numbers):
        (content_name, content), (style_name, style) = named_content, named_style
        steps, size, seed = (tf.ensure_shape(x, []) for x in counts)
        steps = _in_range("steps", steps, 1, self._max_steps)
        size = _in_range("size", size, MIN_SIZE, self._max_size)
        seed = _in_range("seed", seed, 0, MAX_SEED)
        knobs = [
            _finite_number(name, tf.ensure_shape(x, []))
            for name, x in zip(engine.Knobs._fields, numbers, strict=False)
        ]
        content_weight, style_weight, _, learning_rate = knobs
        size = _checked(
            size,
            content_weight + style_weight > 0,
            "`content_weight` and `style_weight` must not both be 0.",
            content_weight,
        )
        size = _checked(
            size,
            (learning_rate > 0) & (learning_rate <= 1),
            "`learning_rate` must be a number above 0 and at most 1.",
            learning_rate,
        )
        count = tf.shape(content)[0]
        size = _checked(
            size,
            tf.cast(count, tf.int64) * tf.cast(size, tf.int64) ** 2
            <= self._max_size**2,
            "`size` is too large for so many pictures; together they may have "
            f"{self._max_size}^2 pixels.",
            tf.stack([count, size]),
        )
        sides = [tf.shape(picture)[1:3] for picture in (content, style)]
        scales = pyramid.build_pyramid(
            *sides, size, self.config.min_size, self.config.style_scale
        )
        scales = _checked(
            scales,
            tf.shape(scales)[0] > 0,
            f"`{content_name}` or `{style_name}` is too narrow for `size`: its short "
            f"side would have fewer than {images.MIN_SIDE} pixels.",
            tf.concat([*sides, size[None]], axis=0),
        )
        initial_steps = self.config.initial_steps_for(steps)
        stylized, measured = self._engine.paint(
            content,
            style,
            scales,
            engine.Knobs(*knobs, steps=tf.cast(steps, tf.float32)),
            scale_steps=pyramid.scale_steps(scales, steps, initial_steps),
            init_image=self.config.init_image,
            preserve_color=self.config.preserve_color,
            seed=seed,
        )
        stylized = _checked(
            stylized,
            tf.reduce_all(tf.math.is_finite(measured)),
            "The loss is no longer finite; smaller weights or a smaller "
            "`learning_rate` help.",
            measured[3],
        )
        return stylized, {
            "content_loss": measured[0],
            "style_loss": measured[1],
            "total_loss": measured[3],
        }


def _checked(value, condition, message, received):
    """`value`, once `condition` holds; INVALID_ARGUMENT with one line otherwise."""
    check = tf.debugging.Assert(condition, [message + " Received:", received], 8)
    with tf.control_dependencies([check]):
        return tf.identity(value)


def _in_range(name, value, low, high):
    return _checked(
        value,
        (value >= low) & (value <= high),
        f"`{name}` must be an integer from {low} to {high}.",
        value,
    )


def _finite_number(name, value):
    return _checked(
        value,
        tf.math.is_finite(value) & (value >= 0),
        f"`{name}` must be a finite number, 0 or more.",
        value,
    )


def _write(module, folder, limits):
    signatures = module.signatures()
    with tempfile.TemporaryDirectory() as scratch:
        manifest = pathlib.Path(scratch, MANIFEST)
        manifest.write_text(json.dumps(_manifest(module, limits), indent=2) + "\n")
        module.manifest = tf.saved_model.Asset(str(manifest))
        tf.saved_model.save(module, str(folder), signatures=signatures)
    _write_warmup(folder / WARMUP)


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


def _write_warmup(path):
    """Requests that a server replays before it says that the version is ready.

    A first run builds kernels and buffers for each operation, whatever the size; a
    few steps on tiny pictures are enough to get that over with.
    """
    from tensorflow_serving.apis import (
        predict_pb2,
        prediction_log_pb2,
    )

    rng = np.random.default_rng(0)
    picture = rng.random((1, _WARMUP_SIZE, _WARMUP_SIZE, 3), np.float32)
    encoded = decoding.encode_png(tf.constant(picture))
    inputs = {
        "serving_default": {"content_bytes": encoded, "style_bytes": encoded},
        "stylize": {"content_image": picture, "style_image": picture},
    }
    path.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, values in inputs.items():
            request = predict_pb2.PredictRequest()
            # The name is the server's, which a replay doesn't look at.
            request.model_spec.name = "tfnst"
            request.model_spec.signature_name = signature
            values = {
                **values,
                "steps": np.int32(_WARMUP_STEPS),
                "size": np.int32(_WARMUP_SIZE),
            }
            for name, value in values.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())


def _umask():
    """The process' umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
