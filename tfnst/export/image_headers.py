"""The headers of encoded images, read in core TensorFlow ops.

Nothing is decoded here. Every offset found in a file is checked against its length
before it is followed, and every loop over a file is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

KINDS = PNG, JPEG, GIF, BMP, WEBP, UNKNOWN = range(6)
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM")  # and WebP, last
_MAX_SEGMENTS = 16_384  # in a JPEG, PNG or WebP file; about half a second's work
_MAX_GIF_BLOCKS = 65_536  # of up to 255 bytes each; about two seconds' work
# Each scan of a JPEG file goes over the whole picture, even if it is only 75 bytes
# long. Programs write about ten. Data that some cameras append to the picture, such as
# a film, looks like a scan once in 65,536 bytes.
_MAX_SCANS, _BYTES_A_SCAN = 64, 16_384
_MAX_EXIF_BYTES = 65_533  # the size of a JPEG's segment
_ORIENTATION_TAG = 0x0112


# In their order in a file; `IHDR` is always the first.
_PNG_TAGS = (b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")
_END, _EXIF = 3, 4


class Header(NamedTuple):
    """The header of a file; a side that wasn't found is 0."""

    width: tf.Tensor  # int64
    height: tf.Tensor  # int64
    encoded: tf.Tensor  # the part of the file to decode, string
    exif: tf.Tensor  # a TIFF block, or empty, string
    refusal: tf.Tensor  # end of an error: the expected and the received file, or empty


@tf.function(autograph=False)  # Outside of graphs its loops would take minutes.
def read_header(encoded: tf.Tensor, kind: tf.Tensor) -> Header:
    """The header of a file whose kind is from `find_kind`."""
    readers = (_read_png, _read_jpeg, _read_gif, _read_bmp, _read_webp, _read_nothing)
    return tf.switch_case(kind, [lambda read=read: read(encoded) for read in readers])


def find_kind(encoded: tf.Tensor) -> tf.Tensor:
    """The kind of a file by its first bytes, one of `KINDS` as an int32."""
    found = [
        tf.equal(tf.strings.substr(encoded, 0, len(magic)), magic) for magic in _MAGIC
    ]
    riff = tf.equal(tf.strings.substr(encoded, 0, 4), b"RIFF")
    found += [riff & tf.equal(cut(encoded, 8, 4), b"WEBP"), True]
    return tf.argmax(tf.stack(found), output_type=tf.int32)


def _read_png(encoded: tf.Tensor) -> Header:
    """Cuts a PNG file down to the chunks that hold its pixels.

    The op unpacks texts and profiles, too, at 4 seconds per megabyte.
    """
    head = read_bytes(encoded, 8, 16)
    first = tf.reduce_all(head[:8] == tf.constant([*b"\0\0\0\rIHDR"], tf.int64))
    known = tf.cast(first, tf.int64)
    starts, ends = _find_png_chunks(encoded)
    pieces = [
        cut(encoded, start, end - start)
        for start, end in zip(tf.unstack(starts), tf.unstack(ends), strict=True)
    ]
    length = big(read_bytes(pieces[_EXIF], 0, 4))
    exif = _exif_piece(pieces[_EXIF], tf.constant(8, tf.int64), length)
    # A file without an end is cut off, or has too many chunks; the op refuses it.
    pixels = tf.strings.join([cut(encoded, 0, 33), *pieces[:_EXIF]])
    return Header(
        known * big(head[8:12]),
        known * big(head[12:]),
        pixels,
        exif,
        tf.constant(""),
    )


def _find_png_chunks(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Start and end of the first chunk with each of `_PNG_TAGS`, int64 [5].

    Chunks with the same tag that follow it belong to it, as in `IDAT`. Both are 0 for a
    chunk that isn't there.
    """
    size, zero = _size(encoded), tf.constant(0, tf.int64)
    tags = tf.constant([[*tag] for tag in _PNG_TAGS], tf.int64)

    def step(
        at: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor, going: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        head = read_bytes(encoded, at, 8)
        after = at + 12 + big(head[:4])
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

    Frame headers are SOF0 to SOF15 without DHT (C4), JPG (C8) and DAC (CC). If a marker
    is missing, it searches for the next one, as libjpeg does.
    """

    def step(
        at: tf.Tensor,
        width: tf.Tensor,
        height: tf.Tensor,
        exif: tf.Tensor,
        going: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        head = read_bytes(encoded, at, 10)
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
        width = tf.where(frame, big(head[7:9]), width)
        height = tf.where(frame, big(head[5:7]), height)
        length = big(head[2:4])
        app1 = segment & tf.equal(marker, 0xE1) & tf.equal(exif, "")
        app1 &= tf.equal(cut(encoded, at + 4, 6), b"Exif\0\0")
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
    return _header(encoded, width, height)._replace(exif=exif, refusal=refusal)


def _read_gif(encoded: tf.Tensor) -> Header:
    """Cuts a GIF file down to its first frame, with the transparent colour white.

    The op would decode every frame to memory, even when asked for one.
    """
    table_size = _color_table(read_bytes(encoded, 10, 1)[0])
    start, end, transparent = _find_gif_frame(encoded, 13 + table_size)
    head = read_bytes(encoded, start, 10)
    sides = little(tf.reshape(head[1:9], [4, 2]))
    canvas = little(tf.reshape(read_bytes(encoded, 6, 4), [2, 2]))
    whole = (end > 0) & (end <= _size(encoded))
    largest = tf.maximum(sides[2:], canvas)
    width, height = tf.unstack(tf.where(whole, largest, tf.zeros_like(largest)))
    fills = tf.reduce_all(tf.concat([sides[:2] == 0, sides[2:] == canvas], 0))
    refusal = tf.strings.format(
        "a GIF file whose first frame fills it. "
        "Received: a frame of {} x {} at {}, {} in {} x {}",
        [*tf.unstack(sides[2:]), *tf.unstack(sides[:2]), *tf.unstack(canvas)],
    )

    local_size = _color_table(head[9])
    before = cut(encoded, 0, 13 + table_size)
    frame = tf.strings.join([before, cut(encoded, start, end - start), ";"])
    table = tf.where(local_size > 0, 13 + table_size + 10, 13)
    inside = (transparent >= 0) & (
        3 * transparent < tf.where(local_size > 0, local_size, table_size)
    )
    entry = table + 3 * tf.maximum(transparent, 0)
    white = tf.strings.join(
        [cut(frame, 0, entry), b"\xff\xff\xff", cut(frame, entry + 3, _size(encoded))]
    )
    frame = tf.where(inside, white, frame)
    return Header(width, height, frame, tf.constant(""), tf.where(fills, "", refusal))


def _find_gif_frame(
    encoded: tf.Tensor, first: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Start and end of a GIF's first frame, and its transparent colour's index.

    Args:
        encoded: the file, scalar string.
        first: start of its first block, int64 scalar.

    Returns:
        int64 scalars; an end of 0 means no whole frame, an index of -1 no colour.
    """
    zero, size = tf.constant(0, tf.int64), _size(encoded)
    none, skip_extension, skip_image = zero, zero + 1, zero + 2

    def step(
        at: tf.Tensor,
        blocks: tf.Tensor,
        image: tf.Tensor,
        end: tf.Tensor,
        transparent: tf.Tensor,
        going: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        head = read_bytes(encoded, at, 10)
        in_blocks = tf.not_equal(blocks, none)
        extension = ~in_blocks & tf.equal(head[0], 0x21)
        starts = ~in_blocks & tf.equal(head[0], 0x2C)
        control = extension & tf.equal(head[1], 0xF9)
        index = tf.where(tf.equal(head[3] % 2, 1), head[6], zero - 1)
        transparent = tf.where(control, index, transparent)
        image = tf.where(starts, at, image)
        last = in_blocks & tf.equal(head[0], 0)
        done = last & tf.equal(blocks, skip_image)
        after = at + tf.where(in_blocks, 1 + head[0], zero)
        after += tf.where(extension, zero + 2, zero)
        after += tf.where(starts, 11 + _color_table(head[9]), zero)
        end = tf.where(done, after, end)
        blocks = tf.where(extension, skip_extension, blocks)
        blocks = tf.where(starts, skip_image, blocks)
        blocks = tf.where(last, none, blocks)
        going = (in_blocks | extension | starts) & ~done & (after < size)
        return after, blocks, image, end, transparent, going

    state = (first, zero, zero, zero, zero - 1, tf.constant(True))
    _, _, image, end, transparent, _ = _loop(step, state, _MAX_GIF_BLOCKS)
    return image, end, transparent


def _color_table(flags: tf.Tensor) -> tf.Tensor:
    """Length in bytes of a GIF file's colour table, from its flags."""
    bits = flags % 8 + 1
    return tf.where(
        flags >= 128, 3 * tf.bitwise.left_shift(tf.ones_like(bits), bits), 0
    )


def _read_bmp(encoded: tf.Tensor) -> Header:
    head = read_bytes(encoded, 10, 24)
    start, info = little(head[:4]), little(head[4:8])
    width, height = _signed(little(head[8:12])), _signed(little(head[12:16]))
    bits, compression = little(head[18:20]), little(head[20:24])
    known = (info >= 40) & tf.equal(compression, 0)
    known &= tf.equal(bits, 8) | tf.equal(bits, 24) | tf.equal(bits, 32)
    refusal = tf.strings.format(
        "a BMP file of 8, 24 or 32 bits a pixel without compression. "
        "Received: one of {} bits, compression {}, header {}",
        [bits, compression, info],
    )
    # The op accepts nothing after the pixels. Sides that are too large are refused.
    height = tf.abs(height)
    row = (tf.maximum(width, 0) * bits // 8 + 3) // 4 * 4
    return Header(
        width,
        height,
        cut(encoded, 0, tf.minimum(start + row * height, _size(encoded))),
        tf.constant(""),
        tf.where(known, "", refusal),
    )


def _read_webp(encoded: tf.Tensor) -> Header:
    """Sides and EXIF of a WebP file; each codec stores its sides elsewhere."""
    codec, data = cut(encoded, 12, 4), read_bytes(encoded, 20, 10)
    extended, lossless = tf.equal(codec, b"VP8X"), tf.equal(codec, b"VP8L")
    lossy = tf.equal(codec, b"VP8 ")
    bits = little(data[1:5])
    sides = tf.where(
        extended,
        tf.stack([little(data[4:7]), little(data[7:10])]) + 1,
        tf.stack([bits % 2**14, bits // 2**14 % 2**14]) + 1,
    )
    lossy_sides = tf.stack([little(data[6:8]), little(data[8:10])]) % 2**14
    sides = tf.where(lossy, lossy_sides, sides)
    known = (extended | lossless | lossy) & (_size(encoded) >= 25)
    width, height = tf.unstack(tf.where(known, sides, tf.zeros_like(sides)))
    # Decoding one corrupts the heap of TensorFlow 2.21, which ends the process.
    animated = extended & tf.equal(data[0] // 2 % 2, 1)
    refusal = tf.where(animated, "a still image. Received: an animated WebP file", "")
    exif = find_chunk(encoded, b"EXIF", 12, png=False)
    return Header(width, height, encoded, exif, refusal)


@tf.function(autograph=False)
def find_chunk(
    encoded: tf.Tensor, tag: bytes, start: int, *, png: bool, last: bytes = b"IEND"
) -> tf.Tensor:
    """The contents of a file's first chunk with a tag; empty if there is none.

    Args:
        encoded: a PNG or WebP file, scalar string.
        tag: four bytes.
        start: start of the first chunk.
        png: whether the file is a PNG file.
        last: tag of the chunk to stop at.
    """
    size = _size(encoded)

    def step(
        at: tf.Tensor, found: tf.Tensor, going: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        head = read_bytes(encoded, at, 8)
        name, digits = (head[4:], head[:4]) if png else (head[:4], head[4:])
        length = big(digits) if png else little(digits)
        here = tf.reduce_all(name == tf.constant([*tag], tf.int64))
        ends = here | tf.reduce_all(name == tf.constant([*last], tf.int64))
        found = tf.where(here, _exif_piece(encoded, at + 8, length), found)
        after = at + 12 + length if png else at + 8 + length + length % 2
        return after, found, going & ~ends & (after < size)

    going = tf.constant(True)
    state = (tf.constant(start, tf.int64), tf.constant(""), going)
    return _loop(step, state, _MAX_SEGMENTS)[1]


# Orientation


def find_orientation(exif: tf.Tensor) -> tf.Tensor:
    """The orientation in EXIF, int64 from 1 to 8; 1 if there is no valid one.

    It is tag 0x0112 of the first directory, of type SHORT or LONG, with one value.

    Reference:
        JEITA CP-3451C (Exif 2.3), 4.5.2, 4.6.2, 4.6.4 A.
    """
    prefix = tf.equal(cut(exif, 0, 6), b"Exif\0\0")
    exif = tf.where(prefix, cut(exif, 6, _MAX_EXIF_BYTES), exif)
    head = read_bytes(exif, 0, 8)
    intel = tf.equal(head[0], ord("I"))

    def number(digits: tf.Tensor) -> tf.Tensor:
        return tf.where(intel, little(digits), big(digits))

    known = tf.equal(head[0], head[1]) & (intel | tf.equal(head[0], ord("M")))
    known &= tf.equal(number(head[2:4]), 42)
    start = number(head[4:8])
    count = number(read_bytes(exif, start, 2))
    most = tf.maximum(_size(exif) - start - 2, 0) // 12
    count = tf.where(known, tf.minimum(count, most), 0)
    entries = tf.io.decode_raw(cut(exif, start + 2, 12 * count), tf.uint8)
    entries = tf.cast(tf.reshape(entries, [-1, 12]), tf.int64)
    kind = number(entries[:, 2:4])
    value = number(entries[:, 8:10])
    value = tf.where(tf.equal(kind, 3), value, number(entries[:, 8:12]))
    found = tf.equal(number(entries[:, :2]), _ORIENTATION_TAG)
    found &= (tf.equal(kind, 3) | tf.equal(kind, 4)) & (value >= 1) & (value <= 8)
    found &= tf.equal(number(entries[:, 4:8]), 1)
    return tf.reduce_max(tf.concat([tf.where(found, value, 1), [1]], axis=0))


def _exif_piece(encoded: tf.Tensor, start: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    return cut(encoded, start, tf.clip_by_value(length, 0, _MAX_EXIF_BYTES))


# Bytes


def _size(encoded: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.strings.length(encoded), tf.int64)


def cut(
    encoded: tf.Tensor, start: tf.Tensor | int, count: tf.Tensor | int
) -> tf.Tensor:
    """`count` bytes from `start`, as a string; fewer at the end of the file."""
    start = tf.clip_by_value(tf.cast(start, tf.int64), 0, _size(encoded))
    return tf.strings.substr(encoded, start, tf.maximum(tf.cast(count, tf.int64), 0))


def read_bytes(encoded: tf.Tensor, start: tf.Tensor | int, count: int) -> tf.Tensor:
    """`count` bytes from `start`, int64 [count]; zeros beyond the end of the file."""
    piece = cut(encoded, start, count)
    return tf.cast(tf.io.decode_raw(piece, tf.uint8, fixed_length=count), tf.int64)


def big(digits: tf.Tensor) -> tf.Tensor:
    """The number in bytes [..., n], the most significant first."""
    weights = [256**i for i in reversed(range(digits.shape[-1]))]
    return tf.reduce_sum(digits * tf.constant(weights, tf.int64), axis=-1)


def little(digits: tf.Tensor) -> tf.Tensor:
    """The number in bytes [..., n], the least significant first."""
    return big(digits[..., ::-1])


def _signed(number: tf.Tensor) -> tf.Tensor:
    return number - tf.where(number >= 2**31, tf.constant(2**32, tf.int64), 0)


def _header(
    encoded: tf.Tensor, width: tf.Tensor | int, height: tf.Tensor | int
) -> Header:
    """A header without EXIF or refusal."""
    width, height = tf.cast(width, tf.int64), tf.cast(height, tf.int64)
    return Header(width, height, encoded, tf.constant(""), tf.constant(""))


def _read_nothing(encoded: tf.Tensor) -> Header:
    return _header(encoded, 0, 0)


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
