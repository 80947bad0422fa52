"""Decoding and encoding of image files in graphs, by core TensorFlow ops.

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
    cut,
    find_chunk,
    find_kind,
    find_orientation,
    little,
    read_bytes,
    read_header,
)
from tfnst.limits import MIN_SIDE

_PNG_COMPRESSION = 1  # Six times as fast as the default, files 7% larger.


def decode_picture(encoded: tf.Tensor, *, name: str, max_pixels: int) -> tf.Tensor:
    """Decodes a PNG, JPEG, GIF, BMP or WebP file.

    The pixels equal those of `tfnst.images.reading.load_image` to the bit. Alpha is
    laid over white ::

        rgb = alpha * rgb + (1 - alpha)

    EXIF orientation is applied (malformed EXIF counts as upright), an animated GIF
    gives its first frame, and a PNG with 16 bits per channel keeps all of them. It
    differs from `load_image` where TensorFlow lacks an op: it ignores embedded ICC
    profiles and orientations stored only in XMP, and it can't read TIFF, animated WebP
    (which crashes TensorFlow 2.21), a GIF whose first frame doesn't fill it, or a BMP
    that is compressed or doesn't have 8, 24 or 32 bits per pixel. TensorFlow releases
    without WebP refuse WebP files.

    Args:
        encoded: bytes of an image file, scalar string. So that no file keeps a core
            busy for long, one with more than 16,384 segments (JPEG) or chunks (PNG,
            WebP) or 65,536 blocks (GIF) may be refused or lose its orientation, and a
            JPEG file may have 64 scans and one more for each 16 KiB.
        name: name of the input in errors and in the graph.
        max_pixels: largest number of pixels, height times width.

    Returns:
        Tensor of shape [1, H, W, 3], dtype float32, range [0, 1].

    Raises:
        tf.errors.InvalidArgumentError: if `encoded` isn't a whole image within the
            limits; before decoding if the header shows it.

    Reference:
        W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 5, 11.
        ITU-T T.81, "Digital compression and coding of continuous-tone still images",
        B.1. CompuServe, "Graphics Interchange Format, Version 89a", 18-23. RFC 9649,
        "WebP Image Format". Microsoft, "BITMAPINFOHEADER structure".
    """
    decoders = (_decode_png, _decode_jpeg, _decode_gif, _decode_bmp, _decode_webp)
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
            kind, [lambda decode=decode: decode(header.encoded) for decode in decoders]
        )
        pixels = _turn(pixels, find_orientation(header.exif))
        return tf.ensure_shape(pixels[tf.newaxis], [1, None, None, 3])


def decode_timed(
    encoded: tf.Tensor, *, name: str, max_pixels: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """As `decode_picture`, with the time that it takes.

    Returns:
        (picture, seconds of decoding, float32 scalar).
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
    values = tf.floor(tf.clip_by_value(image, 0.0, 1.0) * 255.0 + 0.5)
    return tf.io.encode_png(tf.cast(values, tf.uint8), compression=_PNG_COMPRESSION)


def _refusal(
    header: Header, encoded: tf.Tensor, kind: tf.Tensor, name: str, max_pixels: int
) -> tf.Tensor:
    """The reason to refuse the file, in one line; empty if there is none."""
    width, height = header.width, header.height
    file = tf.strings.format("a file of {} bytes", [tf.strings.length(encoded)])
    formats = "an image file (PNG, JPEG, GIF, BMP or WebP). Received: "
    sides = tf.strings.format("{} x {}", [width, height])
    too_small = f"an image at least {MIN_SIDE} pixels wide and {MIN_SIDE} high"
    reasons = [
        (tf.equal(encoded, ""), [formats, file, ", which is empty"]),
        (tf.equal(kind, UNKNOWN), [formats, file, ", which is none of these"]),
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


def _decode_png(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes alpha only if the file has some.

    Otherwise the op makes it up, wrongly for files with 1 to 4 bits per pixel.
    """

    def decode(channels: int, dtype: tf.DType) -> tf.Tensor:
        return _over_white(tf.io.decode_png(encoded, channels=channels, dtype=dtype))

    depth, color_type = tf.unstack(read_bytes(encoded, 24, 2))
    table = find_chunk(encoded, b"tRNS", 8, png=True, last=b"IDAT")
    alpha = (color_type >= 4) | tf.not_equal(table, "")
    ways = [(3, tf.uint8), (4, tf.uint8), (3, tf.uint16), (4, tf.uint16)]
    which = 2 * tf.cast(tf.equal(depth, 16), tf.int32) + tf.cast(alpha, tf.int32)
    return tf.switch_case(which, [lambda way=way: decode(*way) for way in ways])


def _decode_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    # Pillow uses this slow transform; decode_image's is up to 12/255 off.
    pixels = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    return _unit(pixels)


def _decode_gif(encoded: tf.Tensor) -> tf.Tensor:
    return _unit(tf.io.decode_image(encoded, channels=3, expand_animations=False))


def _decode_bmp(encoded: tf.Tensor) -> tf.Tensor:
    """The op returns palette indices as greys, so they are looked up here."""
    pixels = tf.io.decode_bmp(encoded)
    start, info = little(read_bytes(encoded, 10, 4)), little(read_bytes(encoded, 14, 4))
    palette = cut(encoded, 14 + info, tf.clip_by_value(start - 14 - info, 0, 1024))
    palette = tf.io.decode_raw(palette, tf.uint8, fixed_length=1024)
    palette = tf.reshape(palette, [256, 4])[:, 2::-1]
    return tf.cond(
        tf.equal(tf.shape(pixels)[-1], 1),
        lambda: tf.gather(_unit(palette), tf.cast(pixels[..., 0], tf.int32)),
        lambda: _unit(pixels[..., :3]),
    )


def _decode_webp(encoded: tf.Tensor) -> tf.Tensor:
    # Not DecodeWebP: an older server couldn't load a graph that contains this op.
    # The op refuses 4 channels for files without alpha, and 3 for files with alpha.
    pixels = tf.io.decode_image(encoded, channels=0, expand_animations=False)
    return _over_white(pixels)


# Pixels


def _turn(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Pixels [H, W, 3] upright: transposed and mirrored by the orientation."""

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
    """Pixels [H, W, 3 or 4] over white, [H, W, 3]; opaque ones aren't blended."""
    if pixels.shape[-1] == 3:
        return _unit(pixels)
    rgb, alpha = pixels[..., :3], pixels[..., 3:]

    def blend() -> tf.Tensor:
        coverage = _unit(alpha)
        return _unit(rgb) * coverage + (1.0 - coverage)

    opaque = tf.reduce_all(tf.equal(alpha, alpha.dtype.max))
    return tf.cond(opaque, lambda: _unit(rgb), blend)
