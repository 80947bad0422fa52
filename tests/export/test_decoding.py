import io
import re
import struct
import time
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.helpers import picture
from tests.image_files import chunk, claiming_png, encode, png
from tfnst.export import image_headers
from tfnst.export.decoding import decode_picture, encode_png
from tfnst.images.reading import load_image
from tfnst.images.writing import to_pil

LIMITS = {"name": "content_bytes", "max_pixels": 10_000}
FORMATS = "an image file (PNG or JPEG)"
RNG = np.random.default_rng(0)
RGBA = RNG.integers(0, 256, (40, 51, 4), dtype=np.uint8)
RGB = RGBA[..., :3]
PHOTO = (picture(47, 61) * 255).astype(np.uint8)
HIDDEN = np.dstack([RGB, RNG.choice([0, 255], (40, 51)).astype(np.uint8)])


@tf.function(input_signature=[tf.TensorSpec(None, tf.string)])
def decode(encoded):
    return decode_picture(encoded, **LIMITS)


def noisy_png(depth, colour_type, *chunks):
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    rows = RNG.integers(0, 256, (18, 1 + 24 * channels * depth // 8), dtype=np.uint8)
    rows[:, 0] = 0
    return png(24, 18, depth, colour_type, rows.tobytes(), *chunks)


def tiff(orientation, order="<", *, kind=3, count=1, start=8, entries=2):
    """An EXIF block; it is valid only with the defaults."""
    mark = {"<": b"II", ">": b"MM"}[order]
    value = struct.pack(
        order + ("HH" if kind == 3 else "I"), orientation, *([0] if kind == 3 else [])
    )
    first = struct.pack(order + "HHI4s", 0x0100, 4, 1, b"\0" * 4)
    second = struct.pack(order + "HHI", 0x0112, kind, count) + value
    head = mark + struct.pack(order + "HI", 42, start)
    return head + struct.pack(order + "H", entries) + first + second + b"\0" * 4


def with_exif(block, array=PHOTO, segment=None):
    plain = encode(array, "JPEG")
    if segment is None:
        segment = b"Exif\0\0" + block
    return (
        plain[:2]
        + b"\xff\xe1"
        + struct.pack(">H", len(segment) + 2)
        + segment
        + plain[2:]
    )


def files():
    grey, deep = RGB[..., 0], RNG.integers(0, 65536, (40, 51), dtype=np.uint16)
    palette, image = Image.fromarray(RGB).quantize(16), Image.fromarray(RGB)
    return {
        "png": encode(RGB, "PNG"),
        "png grey": encode(grey, "PNG"),
        "png grey alpha": encode(Image.fromarray(RGBA).convert("LA"), "PNG"),
        "png 1 bit": encode(image.convert("1"), "PNG"),
        "png palette": encode(palette, "PNG"),
        "png palette alpha": encode(Image.fromarray(RGBA).quantize(16), "PNG"),
        "png alpha": encode(RGBA, "PNG"),
        "png hidden colours": encode(HIDDEN, "PNG"),
        "png 16 bits grey": encode(deep, "PNG"),
        "png 16 bits grey alpha": noisy_png(16, 4),
        "png 16 bits": noisy_png(16, 2),
        "png 16 bits alpha": noisy_png(16, 6),
        "png transparent grey": noisy_png(8, 0, chunk(b"tRNS", b"\0\x17")),
        "png transparent colour": noisy_png(8, 2, chunk(b"tRNS", b"\0\1\0\2\0\3")),
        "jpeg": encode(RGB, "JPEG"),
        "jpeg photo": encode(PHOTO, "JPEG", quality=90),
        "jpeg full colour": encode(PHOTO, "JPEG", subsampling=0),
        "jpeg progressive": encode(PHOTO, "JPEG", progressive=True),
        "jpeg grey": encode(grey, "JPEG"),
        "jpeg cmyk": encode(image.convert("CMYK"), "JPEG"),
        "jpeg with junk": (lambda b: b[:20] + b"\0abc\xff\0\xff\xff" + b[20:])(
            encode(PHOTO, "JPEG")
        ),
    }


FILES = files()


def without_sof(data):
    return data[: data.index(b"\xff\xc0")] + data[data.index(b"\xff\xda") :]


def with_scans(count):
    """A progressive JPEG file whose last scan is repeated."""
    data = encode(np.zeros_like(PHOTO), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xc4", 0, data.rindex(b"\xff\xda")) : -2]
    return data[:-2] + scan * (count - data.count(b"\xff\xda")) + data[-2:]


def whole(received):
    return f"a whole image file. Received: {received}, which is cut off or damaged"


REFUSALS = {
    "empty": (b"", f"{FORMATS}. Received: a file of 0 bytes, which is empty"),
    "text": (b"abc", f"{FORMATS}. Received: a file of 3 bytes, which is neither"),
    **{
        kind: (
            data := encode(RGB, kind),
            f"{FORMATS}. Received: a file of {len(data)} bytes, which is neither",
        )
        for kind in ("TIFF", "GIF", "BMP", "WEBP")
    },
    "bomb": (
        claiming_png(60_000, 60_000),
        "an image of at most 10000 pixels. Received: 60000 x 60000",
    ),
    "overflow": (
        claiming_png(2**32 - 1, 2**32 - 1),
        "an image of at most 10000 pixels. Received: 4294967295 x 4294967295",
    ),
    "a pixel too many": (
        encode(np.zeros((73, 137, 3), np.uint8), "PNG"),
        "an image of at most 10000 pixels. Received: 137 x 73",
    ),
    "thin": (
        encode(np.zeros((15, 100, 3), np.uint8), "JPEG"),
        "an image at least 16 pixels wide and 16 high. Received: 100 x 15",
    ),
    "no width": (claiming_png(0, 20), whole("a file of 69 bytes")),
    "only a magic": (b"\x89PNG\r\n\x1a\n", whole("a file of 8 bytes")),
    "no frame": (b"\xff\xd8\xff\xda", whole("a file of 4 bytes")),
    "jpeg of fill bytes": (
        b"\xff\xd8" + b"\xff" * 30_000,
        whole("a file of 30002 bytes"),
    ),
    "jpeg of many scans": (
        with_scans(70),
        "a JPEG file of at most 64 scans. Received: one of 70",
    ),
}


def message(function, encoded):
    """The message of the error."""
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        function(tf.constant(encoded))
    return caught.value.message


def refused(text):
    return f"assertion failed: [`content_bytes` must be {text}]"


@pytest.mark.parametrize("kind", FILES)
def test_gives_the_pixels_of_load_image(kind):
    expected = load_image(FILES[kind])
    for function in (decode, lambda x: decode_picture(x, **LIMITS)):
        actual = function(tf.constant(FILES[kind]))
        assert actual.dtype == tf.float32
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_a_jpeg_upright(orientation, order):
    encoded = with_exif(tiff(orientation, order))
    actual = decode(tf.constant(encoded))
    np.testing.assert_array_equal(actual, load_image(encoded))
    assert (actual.shape[1] == 61) == (orientation > 4)


@pytest.mark.parametrize("orientation", [3, 6])
def test_turns_a_png_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = encode(PHOTO, "PNG", exif=exif)
    np.testing.assert_array_equal(decode(tf.constant(encoded)), load_image(encoded))
    # Exif after the pixels.
    at = encoded.index(b"eXIf") - 4
    block = encoded[at : at + 12 + struct.unpack(">I", encoded[at : at + 4])[0]]
    encoded = encoded.replace(block, b"")[:-12] + block + encoded[-12:]
    np.testing.assert_array_equal(decode(tf.constant(encoded)), load_image(encoded))


@pytest.mark.parametrize(
    ("block", "turned"),
    {
        "long": (tiff(6, kind=4), True),
        "fewer entries than it says": (tiff(6, entries=9), True),
        "zero": (tiff(0), False),
        "nine": (tiff(9), False),
        "two values": (tiff(6, count=2), False),
        "another type": (tiff(6, kind=5), False),
        "starts behind the end": (tiff(6, start=1000), False),
        "starts far behind the end": (tiff(6, start=2**32 - 1), False),
        "no entries": (tiff(6, entries=0), False),
        "cut off": (tiff(6)[:25], False),
        "only a mark": (b"II", False),
        "empty": (b"", False),
        "mixed mark": (b"I" + tiff(6)[1:].replace(b"I", b"M", 1), False),
        "no 42": (tiff(6).replace(b"*", b"+", 1), False),
    }.values(),
)
def test_odd_exif(block, turned):
    shape = (1, 61, 47, 3) if turned else (1, 47, 61, 3)
    assert decode(tf.constant(with_exif(block))).shape == shape


def test_random_exif_never_fails():
    rng = np.random.default_rng(0)
    for seed in range(100):
        noise = rng.integers(
            0, 256, int(rng.integers(0, 300)), dtype=np.uint8
        ).tobytes()
        block = bytearray(tiff(6, "<>"[seed % 2]))
        for at in rng.integers(0, len(block), 3):
            block[at] = rng.integers(0, 256)
        for segment in (noise, b"Exif\0\0" + noise, b"Exif\0\0" + bytes(block)):
            image = decode(tf.constant(with_exif(b"", segment=segment)))
            assert sorted(image.shape) == [1, 3, 47, 61]


@pytest.mark.parametrize("case", REFUSALS)
def test_refuses_in_one_line(case):
    encoded, text = REFUSALS[case]
    assert refused(text) in message(decode, encoded).splitlines()
    if len(encoded) > 10_000:
        return  # One operation at a time takes long.
    eager = message(lambda x: decode_picture(x, **LIMITS), encoded)
    assert re.search(r"assertion failed: \[[^]]*]", eager).group() == refused(text)


def test_lets_in_exactly_the_limit():
    encoded = encode(np.zeros((100, 100, 3), np.uint8), "PNG")
    assert decode(tf.constant(encoded)).shape == (1, 100, 100, 3)
    encoded = encode(np.zeros((16, 625, 3), np.uint8), "PNG")
    assert decode(tf.constant(encoded)).shape == (1, 16, 625, 3)


def test_lets_in_what_cameras_put_behind_a_picture():
    film = np.random.default_rng(0).integers(0, 256, 5_000_000, np.uint8).tobytes()
    assert film.count(b"\xff\xda") > 64
    for encoded in (FILES["jpeg"] + film, with_scans(64)):
        np.testing.assert_array_equal(decode(tf.constant(encoded)), load_image(encoded))


def test_decodes_nothing_of_a_png_but_its_pixels():
    text = zlib.compress(b"a" * 7 * 2**20, 9)
    plain = noisy_png(8, 2, chunk(b"tRNS", b"\0\1\0\2\0\3"))
    before = [
        chunk(b"iCCP", b"x\0\0" + text),
        chunk(b"eXIf", tiff(6)),
        *[chunk(b"zTXt", b"Comment\0\0" + text)] * 20,
    ]
    after = [chunk(b"iTXt", b"Comment\0\1\0\0\0" + text)] * 20
    table, end = plain.index(b"tRNS") - 4, plain.index(b"IEND") - 4
    parts = [plain[:33], *before, plain[table:end], *after, plain[end:]]
    encoded = tf.constant(b"".join(parts))
    header = image_headers.read_header(encoded, image_headers.find_kind(encoded))
    assert header.encoded == plain
    assert header.exif == tiff(6)
    decode(tf.constant(plain))  # Traced by the first call.
    start = time.process_time()
    for _ in range(5):
        zlib.decompress(text)
    some_texts, start = time.process_time() - start, time.process_time()
    turned = decode(encoded)
    assert time.process_time() - start < some_texts
    upright = load_image(plain)
    np.testing.assert_array_equal(turned[0], np.rot90(upright[0], -1))


def test_a_png_file_of_too_many_chunks_is_refused():
    plain = FILES["png"]
    many = plain[:33] + chunk(b"tEXt", b"a\0b") * 16_384 + plain[33:]
    assert "content_bytes" in message(decode, many)


def test_refuses_more_than_one_file():
    assert "not compatible with expected shape []" in message(decode, [b"a", b"b"])


@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in ("png", "jpeg") else pytest.param(kind, marks=pytest.mark.slow)
        for kind in FILES
    ],
)
def test_a_file_cut_off_is_refused(kind):
    encoded = FILES[kind]
    size = len(encoded)
    for length in [*range(1, 60, 3), size // 4, size // 2, 9 * size // 10]:
        text = message(decode, encoded[:length])
        assert "content_bytes" in text  # At least in the name of the node.


def test_damaged_files_decode_or_are_refused():
    rng = np.random.default_rng(0)
    for encoded in FILES.values():
        for last in (30, 60, len(encoded)):
            damaged = bytearray(encoded)
            for at in rng.integers(0, last, 2):
                damaged[at] = rng.integers(0, 256)
            try:
                image = decode(tf.constant(bytes(damaged)))
            except tf.errors.InvalidArgumentError:
                continue
            assert image.shape[1] * image.shape[2] <= LIMITS["max_pixels"]


@pytest.mark.parametrize(
    "name",
    [
        "style image",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("_1", "`")),
    ],
)
def test_any_name_will_do(name):
    function = tf.function(lambda x: decode_picture(x, **{**LIMITS, "name": name}))
    assert f"`{name}` must be {FORMATS}." in message(function, b"")


# Encoding


@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.float64])
def test_encode_png_rounds_as_to_pil(dtype):
    image = np.random.default_rng(0).uniform(-0.1, 1.1, (1, 30, 20, 3))
    image = tf.cast(image, dtype)
    encoded = tf.function(encode_png)(image)
    assert encoded.shape == ()
    actual = np.asarray(Image.open(io.BytesIO(encoded.numpy())))
    np.testing.assert_array_equal(actual, np.asarray(to_pil(image.numpy())))


def test_encode_png_undoes_decode_picture():
    image = decode(tf.constant(FILES["png"]))
    again = decode(encode_png(image))
    np.testing.assert_array_equal(again, image)
