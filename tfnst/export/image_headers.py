"""Headers of PNG and JPEG files, read in core TensorFlow ops.

Nothing is decoded here. Every offset found in a file is checked against its length
before it is followed, and every loop over a file is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

KINDS = PNG, JPEG, UNKNOWN = range(3)
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_MAX_SEGMENTS = 16_384  # In a file; about half a second's work.
# Each scan of a JPEG file goes over the whole picture, even if it is only 75 bytes
# long. Programs write about ten. Data that some cameras append to the picture, such as
# a film, looks like a scan once in 65,536 bytes.
_MAX_SCANS, _BYTES_A_SCAN = 64, 16_384
_MAX_EXIF_BYTES = 65_533  # What fits into a segment of a JPEG.
_ORIENTATION_TAG = 0x0112


# In the order in which they have to lie in a file; `IHDR` is always the first.
_PNG_TAGS = (b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")
_TRANSPARENCY, _END, _EXIF = 1, 3, 4
_EMPTY_CHUNK = 12  # Bytes of a chunk that holds nothing.


class Header(NamedTuple):
    """Header of a file; a side is 0 where it wasn't found."""

    width: tf.Tensor  # int64
    height: tf.Tensor  # int64
    encoded: tf.Tensor  # string: the part of the file to decode
    exif: tf.Tensor  # string: a TIFF block, or empty
    deep: tf.Tensor  # bool: 16 bits per channel
    alpha: tf.Tensor  # bool
    refusal: tf.Tensor  # string: what the file must be and what it is; empty if fine


@tf.function(autograph=False)  # Outside of graphs its loops would take minutes.
def read_header(encoded: tf.Tensor, kind: tf.Tensor) -> Header:
    """The header of a file whose kind is from `find_kind`."""
    readers = (_read_png, _read_jpeg, _read_nothing)
    return tf.switch_case(kind, [lambda read=read: read(encoded) for read in readers])


def find_kind(encoded: tf.Tensor) -> tf.Tensor:
    """The kind of a file by its first bytes, one of `KINDS` as an int32."""
    found = [
        tf.equal(tf.strings.substr(encoded, 0, len(magic)), magic) for magic in _MAGIC
    ]
    return tf.argmax(tf.stack([*found, True]), output_type=tf.int32)


def _read_png(encoded: tf.Tensor) -> Header:
    """Cuts a PNG file down to the chunks that its pixels are made from.

    The op unpacks texts and profiles, too, at 4 seconds per megabyte.
    """
    head = _read_bytes(encoded, 8, 18)
    first = tf.reduce_all(head[:8] == tf.constant([*b"\0\0\0\rIHDR"], tf.int64))
    known = tf.cast(first, tf.int64)
    starts, ends = _find_png_chunks(encoded)
    pieces = [
        _cut(encoded, start, end - start)
        for start, end in zip(tf.unstack(starts), tf.unstack(ends), strict=True)
    ]
    length = _big(_read_bytes(pieces[_EXIF], 0, 4))
    exif = _exif_piece(pieces[_EXIF], tf.constant(8, tf.int64), length)
    # A file without an end is cut off, or has too many chunks; the op refuses it.
    pixels = tf.strings.join([_cut(encoded, 0, 33), *pieces[:_EXIF]])
    table = tf.strings.length(pieces[_TRANSPARENCY])
    return Header(
        known * _big(head[8:12]),
        known * _big(head[12:16]),
        pixels,
        exif,
        deep=tf.equal(head[16], 16),
        alpha=(head[17] >= 4) | (table > _EMPTY_CHUNK),
        refusal=tf.constant(""),
    )


def _find_png_chunks(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Start and end of the first chunk with each of `_PNG_TAGS`, int64 [5].

    Chunks with the same tag that follow it belong to it, as in `IDAT`. Both are 0 where
    there is no such chunk.
    """
    size, zero = _size(encoded), tf.constant(0, tf.int64)
    tags = tf.constant([[*tag] for tag in _PNG_TAGS], tf.int64)

    def step(
        at: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor, going: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        head = _read_bytes(encoded, at, 8)
        after = at + 12 + _big(head[:4])
        here = tf.reduce_all(head[4:] == tags, axis=1)
        first = here & tf.equal(ends, 0)
        starts = tf.where(first, at, starts)
        ends = tf.where(first | (here & tf.equal(ends, at)), after, ends)
        return after, starts, ends, ~here[_END] & (after < size)

    nowhere = tf.zeros([len(_PNG_TAGS)], tf.int64)
    state = (zero + 8, nowhere, nowhere, tf.constant(True))
    return _loop(step, state, _MAX_SEGMENTS)[1:3]


def _read_jpeg(encoded: tf.Tensor) -> Header:
    """Walks over the segments up to the first scan, as libjpeg does.

    Frame headers are SOF0 to SOF15 without DHT (C4), JPG (C8) and DAC (CC). Where a
    marker is missing it searches for the next one, as libjpeg does.
    """

    def step(
        at: tf.Tensor,
        width: tf.Tensor,
        height: tf.Tensor,
        exif: tf.Tensor,
        going: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        head = _read_bytes(encoded, at, 10)
        marker = head[1]
        is_marker = tf.equal(head[0], 0xFF)
        fill = ~is_marker | tf.equal(marker, 0xFF)
        # Escaped, RST0 to RST7, SOI, TEM: two bytes, with no length after them.
        alone = (marker < 2) | ((marker >= 0xD0) & (marker <= 0xD8))
        ends = is_marker & (tf.equal(marker, 0xD9) | tf.equal(marker, 0xDA))
        segment = ~fill & ~alone & ~ends
        others = tf.equal(marker % 4, 0) & (marker > 0xC0)
        frame = segment & (marker >= 0xC0) & (marker <= 0xCF) & ~others
        frame &= tf.equal(width, 0) & tf.equal(height, 0)
        width = tf.where(frame, _big(head[7:9]), width)
        height = tf.where(frame, _big(head[5:7]), height)
        length = _big(head[2:4])
        app1 = segment & tf.equal(marker, 0xE1) & tf.equal(exif, "")
        app1 &= tf.equal(_cut(encoded, at + 4, 6), b"Exif\0\0")
        exif = tf.where(app1, _exif_piece(encoded, at + 4, length - 2), exif)
        after = at + tf.where(fill, tf.constant(1, tf.int64), 2)
        after += tf.where(segment, length, 0)
        return after, width, height, exif, ~ends & (after < size)

    size, zero = _size(encoded), tf.constant(0, tf.int64)
    state = (zero + 2, zero, zero, tf.constant(""), tf.constant(True))
    _, width, height, exif, _ = _loop(step, state, _MAX_SEGMENTS)
    values = tf.io.decode_raw(encoded, tf.uint8)
    scans = tf.shape(tf.where((values[:-1] == 0xFF) & (values[1:] == 0xDA)))[0]
    most = _MAX_SCANS + tf.cast(size, tf.int32) // _BYTES_A_SCAN
    refusal = tf.strings.format(
        "a JPEG file of at most {} scans. Received: one of {}", [most, scans]
    )
    refusal = tf.where(scans > most, refusal, "")
    return _plain_header(encoded, width, height)._replace(exif=exif, refusal=refusal)


# Orientation


def find_orientation(exif: tf.Tensor) -> tf.Tensor:
    """The orientation in EXIF, int64 from 1 to 8; 1 if there is no valid one.

    It is tag 0x0112 of the first directory, of type SHORT or LONG, with one value.

    Reference:
        JEITA CP-3451C (Exif 2.3), 4.5.2, 4.6.2, 4.6.4 A.
    """
    prefix = tf.equal(_cut(exif, 0, 6), b"Exif\0\0")
    exif = tf.where(prefix, _cut(exif, 6, _MAX_EXIF_BYTES), exif)
    head = _read_bytes(exif, 0, 8)
    intel = tf.equal(head[0], ord("I"))

    def number(digits: tf.Tensor) -> tf.Tensor:
        return tf.where(intel, _little(digits), _big(digits))

    known = tf.equal(head[0], head[1]) & (intel | tf.equal(head[0], ord("M")))
    known &= tf.equal(number(head[2:4]), 42)
    start = number(head[4:8])
    count = number(_read_bytes(exif, start, 2))
    most = tf.maximum(_size(exif) - start - 2, 0) // 12
    count = tf.where(known, tf.minimum(count, most), 0)
    entries = tf.io.decode_raw(_cut(exif, start + 2, 12 * count), tf.uint8)
    entries = tf.cast(tf.reshape(entries, [-1, 12]), tf.int64)
    kind = number(entries[:, 2:4])
    value = number(entries[:, 8:10])
    value = tf.where(tf.equal(kind, 3), value, number(entries[:, 8:12]))
    found = tf.equal(number(entries[:, :2]), _ORIENTATION_TAG)
    found &= (tf.equal(kind, 3) | tf.equal(kind, 4)) & (value >= 1) & (value <= 8)
    found &= tf.equal(number(entries[:, 4:8]), 1)
    return tf.reduce_max(tf.concat([tf.where(found, value, 1), [1]], axis=0))


def _exif_piece(encoded: tf.Tensor, start: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    return _cut(encoded, start, tf.clip_by_value(length, 0, _MAX_EXIF_BYTES))


# Bytes


def _size(encoded: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.strings.length(encoded), tf.int64)


def _cut(
    encoded: tf.Tensor, start: tf.Tensor | int, count: tf.Tensor | int
) -> tf.Tensor:
    """Returns `count` bytes from `start` as a string, fewer at the end of the file."""
    start = tf.clip_by_value(tf.cast(start, tf.int64), 0, _size(encoded))
    return tf.strings.substr(encoded, start, tf.maximum(tf.cast(count, tf.int64), 0))


def _read_bytes(encoded: tf.Tensor, start: tf.Tensor | int, count: int) -> tf.Tensor:
    """Returns `count` bytes from `start`, int64 [count], and zeros beyond the end."""
    piece = _cut(encoded, start, count)
    return tf.cast(tf.io.decode_raw(piece, tf.uint8, fixed_length=count), tf.int64)


def _big(digits: tf.Tensor) -> tf.Tensor:
    """The number in bytes [..., n], the most significant first."""
    weights = [256**i for i in reversed(range(digits.shape[-1]))]
    return tf.reduce_sum(digits * tf.constant(weights, tf.int64), axis=-1)


def _little(digits: tf.Tensor) -> tf.Tensor:
    """The number in bytes [..., n], the least significant first."""
    return _big(digits[..., ::-1])


def _read_nothing(encoded: tf.Tensor) -> Header:
    zero = tf.constant(0, tf.int64)
    return _plain_header(encoded, zero, zero)


def _plain_header(encoded: tf.Tensor, width: tf.Tensor, height: tf.Tensor) -> Header:
    """Header of an opaque 8-bit file without Exif."""
    nothing, no = tf.constant(""), tf.constant(False)
    return Header(width, height, encoded, nothing, deep=no, alpha=no, refusal=nothing)


def _loop(
    step: Callable[..., tuple[tf.Tensor, ...]],
    state: tuple[tf.Tensor, ...],
    limit: int,
) -> Any:
    """Repeats `step` while the last part of the state is true."""
    return tf.while_loop(
        lambda *state: state[-1],
        step,
        state,
        maximum_iterations=limit,
        parallel_iterations=1,
    )
