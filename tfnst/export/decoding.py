"""PNG and JPEG files decoded and encoded in core TensorFlow ops, for served graphs.

The counterpart of `tfnst.images` where there is no Python: in an exported signature.
A file's header is read and checked before any pixel is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import tensorflow as tf

from tfnst.export.image_headers import (
    UNKNOWN,
    Header,
    find_kind,
    find_orientation,
    read_header,
)
from tfnst.limits import MIN_SIDE

_PNG_COMPRESSION = 1  # Six times as fast as the default, files 7% larger.


def decode_picture(encoded: tf.Tensor, *, name: str, max_pixels: int) -> tf.Tensor:
    """Decodes a PNG or JPEG file as it looks on a screen.

    The pixels are bit for bit those of `tfnst.images.reading.load_image`. Alpha is laid
    over white ::

        rgb = alpha * rgb + (1 - alpha)

    Exif orientation is applied (malformed Exif counts as upright), and a PNG file of
    16 bits per channel keeps all of them. Embedded ICC profiles and orientations stored
    only in XMP are ignored.

    Args:
        encoded: bytes of an image file, scalar string. So that no file keeps a core
            busy for long, one with more than 16,384 segments (JPEG) or chunks (PNG)
            may be refused or lose its orientation, and a JPEG file may have 64 scans
            and one more for each 16 KiB.
        name: name of the input in error messages and in the nodes of the graph.
        max_pixels: largest height times width.

    Returns:
        Tensor of shape [1, H, W, 3], dtype float32, range [0, 1].

    Raises:
        tf.errors.InvalidArgumentError: when `encoded` isn't a whole image within the
            limits; before it is decoded if the header shows it.

    Reference:
        W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 5, 11.
        ITU-T T.81, "Digital compression and coding of continuous-tone still images",
        B.1.
    """
    # An op's error names its node, so only that name can say which input is wrong.
    with tf.name_scope(re.sub("[^A-Za-z0-9]+", "_", name).strip("_") or "image"):
        encoded = tf.ensure_shape(encoded, [])
        kind = find_kind(encoded)
        header = read_header(encoded, kind)
        message = _refusal(header, encoded, kind, name, max_pixels)
        # Not tf.debugging.Assert, which words the error differently when eager.
        check = tf.raw_ops.Assert(
            condition=tf.equal(message, ""), data=[message], summarize=1
        )
        with tf.control_dependencies([] if check is None else [check]):
            header = Header(*(tf.identity(field) for field in header))
        pixels = tf.switch_case(
            kind, [lambda: _decode_png(header), lambda: _decode_jpeg(header)]
        )
        pixels = _turn(pixels, find_orientation(header.exif))
        return tf.ensure_shape(pixels[tf.newaxis], [1, None, None, 3])


def decode_timed(
    encoded: tf.Tensor, *, name: str, max_pixels: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes as `decode_picture`, and takes the time.

    Returns:
        (picture, seconds that decoding it took, float32 scalar).
    """
    with tf.control_dependencies([encoded]):
        start = tf.timestamp()
    with tf.control_dependencies([start]):
        encoded = tf.identity(encoded)
    picture = decode_picture(encoded, name=name, max_pixels=max_pixels)
    with tf.control_dependencies([picture]):
        end = tf.timestamp()
    # The clock is the system's, which may be set back meanwhile.
    return picture, tf.cast(tf.maximum(end - start, 0), tf.float32)


def encode_png(image: tf.Tensor) -> tf.Tensor:
    """Encodes a picture as a PNG file of 8 bits a channel ::

        floor(255 * clip(image, 0, 1) + 1 / 2)

    Args:
        image: tensor of shape [1, H, W, 3], float, range [0, 1]; finite values
            outside that range are clipped.

    Returns:
        The file, scalar string.
    """
    image = tf.cast(tf.ensure_shape(image, [1, None, None, 3])[0], tf.float32)
    levels = tf.floor(tf.clip_by_value(image, 0.0, 1.0) * 255.0 + 0.5)
    return tf.io.encode_png(tf.cast(levels, tf.uint8), compression=_PNG_COMPRESSION)


def _refusal(
    header: Header, encoded: tf.Tensor, kind: tf.Tensor, name: str, max_pixels: int
) -> tf.Tensor:
    """Why the file is refused, in one line; an empty string where it isn't."""
    width, height = header.width, header.height
    file = tf.strings.format("a file of {} bytes", [tf.strings.length(encoded)])
    formats = "an image file (PNG or JPEG). Received: "
    sides = tf.strings.format("{} x {}", [width, height])
    too_small = f"an image at least {MIN_SIDE} pixels wide and {MIN_SIDE} high"
    reasons = [
        (tf.equal(encoded, ""), [formats, file, ", which is empty"]),
        (tf.equal(kind, UNKNOWN), [formats, file, ", which is neither"]),
        (
            tf.minimum(width, height) < 1,
            ["a whole image file. Received: ", file, ", which is cut off or damaged"],
        ),
        (  # Without the product, which overflows.
            height > max_pixels // tf.maximum(width, 1),
            [f"an image of at most {max_pixels} pixels. Received: ", sides],
        ),
        (
            tf.minimum(width, height) < MIN_SIDE,
            [f"{too_small}. Received: ", sides],
        ),
        (tf.not_equal(header.refusal, ""), [header.refusal]),
    ]
    message = tf.constant("")
    for holds, parts in reversed(reasons):
        text = tf.strings.join([f"`{name}` must be ", *parts])
        message = tf.where(holds, text, message)
    return message


# Decoders into float32 [H, W, 3]


def _decode_png(header: Header) -> tf.Tensor:
    """Asks for alpha only if the file has some.

    Otherwise the op makes it up, wrongly for files with 1 to 4 bits per pixel.
    """

    def decode(channels: int, dtype: tf.DType) -> tf.Tensor:
        pixels = tf.io.decode_png(header.encoded, channels=channels, dtype=dtype)
        return _over_white(pixels)

    ways = [(3, tf.uint8), (4, tf.uint8), (3, tf.uint16), (4, tf.uint16)]
    which = 2 * tf.cast(header.deep, tf.int32) + tf.cast(header.alpha, tf.int32)
    return tf.switch_case(which, [lambda way=way: decode(*way) for way in ways])


def _decode_jpeg(header: Header) -> tf.Tensor:
    # Pillow uses this slow transform; decode_image's is up to 12/255 off.
    pixels = tf.io.decode_jpeg(
        header.encoded, channels=3, dct_method="INTEGER_ACCURATE"
    )
    return _unit(pixels)


# Pixels


def _turn(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """[H, W, 3] upright: transposed and mirrored as the orientation requires."""

    def when(
        condition: tf.Tensor,
        function: Callable[[tf.Tensor], tf.Tensor],
        pixels: tf.Tensor,
    ) -> tf.Tensor:
        return tf.cond(condition, lambda: function(pixels), lambda: pixels)

    rest = orientation % 4
    left_right = tf.equal(rest, 2) | tf.equal(rest, 3)
    top_bottom = tf.equal(rest, 3) | tf.equal(rest, 0)
    pixels = when(orientation >= 5, lambda x: tf.transpose(x, [1, 0, 2]), pixels)
    pixels = when(left_right, lambda x: tf.reverse(x, [1]), pixels)
    return when(top_bottom, lambda x: tf.reverse(x, [0]), pixels)


def _unit(pixels: tf.Tensor) -> tf.Tensor:
    # TensorFlow turns division by a constant into a product, which rounds differently.
    return tf.math.divide_no_nan(tf.cast(pixels, tf.float32), float(pixels.dtype.max))


def _over_white(pixels: tf.Tensor) -> tf.Tensor:
    """[H, W, 3] from [H, W, 3 or 4]; opaque pictures skip the blending."""
    if pixels.shape[-1] == 3:
        return _unit(pixels)
    rgb, alpha = pixels[..., :3], pixels[..., 3:]

    def blend() -> tf.Tensor:
        coverage = _unit(alpha)
        return _unit(rgb) * coverage + (1.0 - coverage)

    opaque = tf.reduce_all(tf.equal(alpha, alpha.dtype.max))
    return tf.cond(opaque, lambda: _unit(rgb), blend)
