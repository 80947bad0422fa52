"""What a picture takes along: alpha, profiles, Exif, resolution and 16 bits."""

import io
import struct
import time
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

import tfnst
from tests.helpers import TINY, picture
from tests.image_files import chunk, encode, png
from tfnst.images.color_profiles import convert_array, srgb_profile
from tfnst.images.formats import SUFFIXES
from tfnst.images.manifest import read_manifest
from tfnst.images.metadata import EXIF_IFD, GPS_IFD, PictureInfo
from tfnst.images.reading import load_image, read_picture
from tfnst.images.transparency import fill_hidden, resize_alpha
from tfnst.images.writing import check_output_path, save_image

MANIFEST = {"settings": {"size": 48}}
WITH_ALPHA = (".png", ".webp", ".tif")
LATITUDE = (52.0, 31.0, 12.0)


def noise(*shape, dtype=np.uint8, seed=0):
    top = np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(0, top, shape, dtype=dtype)


def photo_exif():
    exif = Image.Exif()
    exif[0x010E], exif[0x010F], exif[0x0112] = "Grand Place", "Acme", 6
    exif[0x8298], exif[0x9C9B] = "Somebody", "title".encode("utf-16-le")
    exif[EXIF_IFD] = {
        0x829A: 0.004,
        0x9003: "2024:05:06 07:08:09",
        0x927C: b"serial number 123",
        0x9286: b"ASCII\0\0\0a lovely day",
        0xA001: 65535,
        0xA002: 4000,
        0xA003: 3000,
    }
    exif[GPS_IFD] = {1: "N", 2: LATITUDE}
    return exif.tobytes()


def deep_png(array, *chunks):
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[array.shape[2]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    height, width = array.shape[:2]
    return png(width, height, 16, colour, rows, *chunks)


def deep_tiff(array, order="<", extra=None):
    """Uncompressed; `extra` is the value of ExtraSamples."""
    height, width, channels = array.shape
    pixels = array.astype(f"{order}u2").tobytes()
    entries = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, 8)),
        *((259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 16), (277, 3, 1, channels)),
        *((278, 4, 1, height), (279, 4, 1, len(pixels))),
    ]
    if extra is not None:
        entries.append((338, 3, 1, extra))
    magic = {"<": b"II*\0", ">": b"MM\0*"}[order]
    file = magic + struct.pack(f"{order}I", 16 + len(pixels))
    file += struct.pack(f"{order}4H", *[16] * 4) + pixels
    file += struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        layout = f"{order}HHIHH" if kind == 3 and count == 1 else f"{order}HHII"
        rest = (value, 0) if kind == 3 and count == 1 else (value,)
        file += struct.pack(layout, tag, kind, count, *rest)
    return file + bytes(4)


def unit16(array):
    return array.astype(np.float32) / np.float32(65535)


def p3_profile():
    """Display P3: the curve of sRGB, the primaries of DCI-P3, adapted to D50."""
    own = srgb_profile()
    for name, colorant in (
        (b"rXYZ", (0.51512, 0.24120, -0.00105)),
        (b"gXYZ", (0.29198, 0.69225, 0.04189)),
        (b"bXYZ", (0.15710, 0.06657, 0.78407)),
    ):
        place = own.index(name)
        (offset,) = struct.unpack_from(">I", own, place + 4)
        numbers = struct.pack(">3i", *(round(x * 65536) for x in colorant))
        own = own[: offset + 8] + numbers + own[offset + 20 :]
    return own


def p3_to_srgb(p3):
    """In closed form, from the chromaticities of both."""

    def matrix(red, green, blue):
        xyz = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (red, green, blue)]).T
        white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
        return xyz * np.linalg.solve(xyz, white)

    p3_matrix = matrix((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
    srgb_matrix = matrix((0.64, 0.33), (0.3, 0.6), (0.15, 0.06))
    linear = np.where(p3 <= 0.04045, p3 / 12.92, ((p3 + 0.055) / 1.055) ** 2.4)
    linear = linear @ np.linalg.solve(srgb_matrix, p3_matrix).T
    linear = np.clip(linear, 0, 1)
    high = 1.055 * linear ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, high)


# Alpha


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_alpha_is_kept_or_laid_over_white(tmp_path, suffix):
    array = picture(20, 30)
    alpha = np.linspace(0, 1, 30, dtype=np.float32)[np.newaxis].repeat(20, axis=0)
    path = tmp_path / f"out{suffix}"
    save_image(array, path, info=PictureInfo(alpha))
    over = array * alpha[..., np.newaxis] + 1 - alpha[..., np.newaxis]
    lossless = suffix in (".png", ".tif", ".tiff")
    error = np.abs(load_image(path)[0] - over)
    assert error.max() < 1.01 / 255 if lossless else error.mean() < 0.06
    _, info = read_picture(path)
    if suffix in (".jpg", ".jpeg"):
        assert info.alpha is None
    else:
        np.testing.assert_allclose(info.alpha, alpha, atol=0.5001 / 255)


def test_alpha_of_every_mode():
    array = noise(16, 24, 4)
    alpha = array[..., 3]
    rgba = Image.fromarray(array)
    grey = Image.merge("LA", [Image.fromarray(alpha.copy())] * 2)
    palette = Image.fromarray((alpha > 99).astype(np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 255, 0])
    deep = noise(16, 24, 2, dtype=np.uint16)
    cases = [
        (rgba, alpha / 255),
        *((encode(rgba, kind), alpha / 255) for kind in ("PNG", "TIFF")),
        (encode(rgba, "WEBP", lossless=True, exact=True), alpha / 255),
        (encode(grey, "PNG"), alpha / 255),
        (encode(palette, "PNG", transparency=bytes([51, 255])), [0.2, 1]),
        (array, alpha / 255),
        (array[np.newaxis], alpha / 255),
        (deep_png(deep), deep[..., 1] / 65535),
    ]
    for source, expected in cases:
        if isinstance(expected, list):
            expected = np.array(expected)[(alpha > 99).astype(int)]
        rgb, info = read_picture(source)
        assert rgb.shape == (1, 16, 24, 3)
        assert rgb.dtype == np.float32
        np.testing.assert_allclose(info.alpha, expected, atol=1e-6)
    opaque = np.dstack([array[..., :3], np.full_like(alpha, 255)])
    for source in (opaque, encode(opaque, "PNG")):
        assert read_picture(source)[1].alpha is None


def test_hidden_pixels_take_the_colours_around_them():
    rgb = noise(64, 64, 3).astype(np.float32) / 255
    alpha = np.zeros([64, 64], np.float32)
    alpha[:, 20:24] = 1
    rgb[:, 20:24] = 0.2, 0.4, 0.6
    filled = fill_hidden(rgb, alpha)
    np.testing.assert_allclose(filled, np.broadcast_to([0.2, 0.4, 0.6], rgb.shape))
    # With two colours, each hole takes more of the one that is nearer.
    alpha[:, 56:] = 1
    rgb[:, 56:] = 0.8, 0.4, 0.6
    filled = fill_hidden(rgb, alpha)
    assert filled[:, :18, 0].max() < 0.4
    assert filled[:, 50:, 0].min() > 0.5
    np.testing.assert_array_equal(filled[alpha == 1], rgb[alpha == 1])
    # What is hidden makes no difference.
    other = np.where(alpha[..., np.newaxis] == 0, 1 - rgb, rgb)
    np.testing.assert_array_equal(fill_hidden(other, alpha), filled)


@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (17, 16), (31, 33)])
def test_filling_odd_shapes(shape):
    rgb = noise(*shape, 3).astype(np.float32) / 255
    assert (fill_hidden(rgb, np.zeros(shape, np.float32)) == 0.5).all()
    alpha = (noise(*shape, seed=3) > 200).astype(np.float32)
    alpha[-1, -1] = 1
    filled = fill_hidden(rgb, alpha)
    seen = rgb[alpha == 1]
    assert (filled >= seen.min(axis=0) - 1e-5).all()
    assert (filled <= seen.max(axis=0) + 1e-5).all()
    np.testing.assert_array_equal(fill_hidden(rgb, np.ones(shape, np.float32)), rgb)


def test_half_visible_glass_keeps_its_detail():
    rgb = noise(32, 32, 3).astype(np.float32) / 255
    alpha = np.full([32, 32], 0.25, np.float32)
    np.testing.assert_array_equal(fill_hidden(rgb, alpha), rgb)


def test_alpha_at_another_size():
    alpha = np.zeros([40, 60], np.float32)
    alpha[:, 30:] = 1
    small = resize_alpha(alpha, 20, 30)
    assert small.shape == (20, 30)
    assert (small[:, :14] == 0).all()
    assert (small[:, 16:] == 1).all()
    assert small.mean() == pytest.approx(0.5)


@pytest.mark.parametrize("suffix", WITH_ALPHA)
def test_a_painted_cutout_is_a_cutout(tmp_path, suffix):
    array = np.dstack([picture(60, 80, seed=1), np.ones([60, 80], np.float32)])
    array[:, :40, 3] = 0
    results = []
    for hidden in (0.0, 1.0):
        array[:, :40, :3] = hidden
        content = encode(np.uint8(array * 255), "PNG")
        results.append(tfnst.stylize(content, picture(50, 40), config=TINY, size=40))
    # No hidden pixel was seen.
    np.testing.assert_array_equal(results[0].array, results[1].array)
    results[0].save(tmp_path / f"out{suffix}")
    _, info = read_picture(tmp_path / f"out{suffix}")
    assert info.alpha.shape == (30, 40)
    assert (info.alpha[:, :19] == 0).all()
    assert (info.alpha[:, 21:] == 1).all()


def test_a_batch_keeps_alpha_and_bits(tmp_path):
    array = np.dstack([picture(60, 80, seed=1), np.ones([60, 80], np.float32)])
    array[:, :40, 3] = 0
    content = tmp_path / "cut.png"
    content.write_bytes(encode(np.uint8(array * 255), "PNG"))
    (item,) = tfnst.stylize_batch(
        [content], [picture(50, 40)], tmp_path, bits=16, config=TINY, size=40
    )
    assert item.status == "painted"
    info = read_picture(item.output)[1]
    assert (info.alpha[:, :19] == 0).all()
    assert (info.alpha[:, 21:] == 1).all()
    # Width, height, bits, RGBA.
    head = struct.unpack_from(">IIBB", item.output.read_bytes(), 16)
    assert head == (40, 30, 16, 6)


# Profiles


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_file_says_that_it_is_srgb(tmp_path, suffix):
    paths = [tmp_path / f"{i}{suffix}" for i in range(2)]
    save_image(picture(20, 30), paths[0])
    srgb_profile.cache_clear()
    time.sleep(1.01)
    save_image(picture(20, 30), paths[1])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with Image.open(paths[0]) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert ImageCms.getProfileDescription(profile).startswith("sRGB")
    assert profile.profile.creation_date.year == 1999


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_p3_photos(kind):
    array = noise(16, 24, 3, seed=5)
    if kind == "JPEG":  # It is lossy, so the colours are flat.
        array[:] = array[0, 0]
    options = {"quality": 100} if kind == "JPEG" else {}
    data = encode(array, kind, icc_profile=p3_profile(), **options)
    expected = p3_to_srgb(array / 255)
    # P3 has reds that sRGB doesn't.
    assert np.abs(expected - array / 255).max() > 0.04
    np.testing.assert_allclose(load_image(data)[0], expected, atol=2.5 / 255)


def test_p3_of_16_bits_is_converted_with_16_bits():
    array = noise(32, 32, 3, dtype=np.uint16)
    body = b"p3\0\0" + zlib.compress(p3_profile())
    loaded = load_image(deep_png(array, chunk(b"iCCP", body)))[0]
    expected = p3_to_srgb(array / 65535)
    # 8 bits would be off by up to 1 / 510. Near black, the rounding of the colorants
    # shows.
    inside = ((expected > 0.2) & (expected < 1)).all(axis=-1)
    assert inside.sum() > 100
    np.testing.assert_allclose(loaded[inside], expected[inside], atol=5e-4)


@pytest.mark.parametrize(
    "curve",
    [
        struct.pack(">4sII", b"curv", 0, 0),
        struct.pack(">4sIIH", b"curv", 0, 1, 563),
        struct.pack(">4sII257H", b"curv", 0, 257, *(i * i for i in range(256)), 65535),
        struct.pack(">4sIHHi", b"para", 0, 0, 0, 144179),
        struct.pack(">4sIHH3i", b"para", 0, 1, 0, 157286, 68813, -3277),
        struct.pack(">4sIHH4i", b"para", 0, 2, 0, 157286, 68813, -3277, 0),
        struct.pack(
            ">4sIHH7i", b"para", 0, 4, 0, 157286, 62119, 3417, 5072, 2651, 655, 0
        ),
    ],
)
def test_curves_of_profiles_are_those_of_littlecms(curve):
    own = p3_profile()
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        place = own.index(name)
        own = (
            own[: place + 4]
            + struct.pack(">II", len(own), len(curve))
            + (own[place + 12 :])
        )
    own += curve + bytes(-len(curve) % 4)
    own = struct.pack(">I", len(own)) + own[4:]
    array = noise(32, 32, 3)
    expected = load_image(encode(array, "PNG", icc_profile=own))[0]
    actual = convert_array(array.astype(np.float32) / 255, own)
    # LittleCMS works with 8 bits, and rounds along the way.
    np.testing.assert_allclose(actual, expected, atol=2.5 / 255)
    assert np.abs(actual - array / 255).max() > 0.1


def test_broken_profiles_of_deep_pictures_are_ignored():
    own = p3_profile()
    array = noise(16, 16, 3, dtype=np.uint16)
    for broken in (
        b"",
        b"no profile",
        own[:140],
        own[:300],
        own.replace(b"para", b"x" * 4),
    ):
        rgb = unit16(array)
        assert convert_array(rgb, broken) is None
    data = deep_png(array, chunk(b"iCCP", b"p\0\0" + zlib.compress(b"x")))
    np.testing.assert_allclose(load_image(data)[0], unit16(array), atol=1 / 255)


def test_cmyk_photos():
    array = noise(16, 24, 4)
    array[:] = array[0, 0]
    channels = [Image.fromarray(array[..., i].copy()) for i in range(4)]
    image = Image.merge("CMYK", channels)
    for kind, options in (("TIFF", {}), ("JPEG", {"quality": 100})):
        loaded = load_image(encode(image, kind, **options))[0]
        c, m, y, k = array[0, 0] / 255
        expected = [(1 - ink) * (1 - k) for ink in (c, m, y)]
        np.testing.assert_allclose(loaded[3, 5], expected, atol=3 / 255)


# Exif and resolution


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("manifest", [None, MANIFEST])
@pytest.mark.parametrize("keep_gps", [False, True])
def test_exif_is_kept(tmp_path, suffix, manifest, keep_gps):
    data = encode(noise(30, 40, 3), "JPEG", exif=photo_exif(), dpi=(300, 300))
    rgb, info = read_picture(data)
    assert rgb.shape == (1, 40, 30, 3)
    path = tmp_path / f"out{suffix}"
    save_image(rgb[:, :20, :30], path, info=info, manifest=manifest, keep_gps=keep_gps)
    assert read_manifest(path) == manifest
    with Image.open(path) as image:
        image.load()
        exif = image.getexif()
        if suffix != ".webp":
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        photo, place = exif.get_ifd(EXIF_IFD), exif.get_ifd(GPS_IFD)
    assert exif[0x010F] == "Acme"
    assert exif[0x8298] == "Somebody"
    assert bytes(exif[0x9C9B]) == "title".encode("utf-16-le")
    assert 0x0112 not in exif
    assert (exif[0x010E] == "Grand Place") == (manifest is None or ".tif" not in suffix)
    assert photo[0x9003] == "2024:05:06 07:08:09"
    assert float(photo[0x829A]) == pytest.approx(0.004)
    assert 0x927C not in photo
    assert [photo[tag] for tag in (0xA001, 0xA002, 0xA003)] == [1, 30, 20]
    lovely = bytes(photo[0x9286]).endswith(b"a lovely day")
    assert lovely == (manifest is None or suffix in (".png", ".tif", ".tiff"))
    if keep_gps:
        assert place[1] == "N"
        assert tuple(map(float, place[2])) == LATITUDE
    else:
        assert not place
    again = read_picture(path)[1]
    assert again.dpi == pytest.approx((300, 300), abs=0.01)
    assert b"serial number" not in path.read_bytes()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_is_read_from_every_format(kind):
    options = {} if kind == "WEBP" else {"dpi": (72, 144)}
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Acme", 6
    if kind == "WEBP":
        exif[0x011A], exif[0x011B], exif[0x0128] = 72.0, 144.0, 2
    data = encode(noise(20, 30, 3), kind, exif=exif, **options)
    rgb, info = read_picture(data)
    assert rgb.shape == (1, 30, 20, 3)
    assert info.exif == {0x010F: "Acme"}
    assert info.dpi == pytest.approx((72, 144), abs=0.01)


def test_odd_exif_never_stops_anything(tmp_path):
    whole = photo_exif()
    rng = np.random.default_rng(0)
    array = noise(20, 20, 3)
    blocks = [b"", b"Exif\0\0", b"Exif\0\0MM\0*", whole[:40], whole[:-30]]
    for _ in range(60):
        broken = bytearray(whole)
        for place in rng.integers(6, len(broken), 6):
            broken[place] = rng.integers(0, 256)
        blocks.append(bytes(broken))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in blocks:
            image = Image.fromarray(array)
            image.info["exif"] = block
            _, info = read_picture(image)
            for suffix in (".png", ".jpg", ".webp", ".tif"):
                path = tmp_path / f"out{suffix}"
                save_image(
                    picture(20, 20), path, info=info, manifest=MANIFEST, keep_gps=True
                )
                assert read_manifest(path) == MANIFEST
                load_image(path)


def test_too_much_exif_gives_way_to_the_manifest(tmp_path):
    long = {0x9000 + i: "x" * 15_000 for i in range(0x10, 0x16)}
    info = PictureInfo(exif={0x010F: "Acme", EXIF_IFD: long})
    for manifest in (None, MANIFEST):
        save_image(picture(20, 20), tmp_path / "a.jpg", info=info, manifest=manifest)
        assert read_manifest(tmp_path / "a.jpg") == manifest
    save_image(picture(20, 20), tmp_path / "a.png", info=info)
    assert read_picture(tmp_path / "a.png")[1].exif[0x010F] == "Acme"


@pytest.mark.parametrize("dpi", [(0, 0), (1e9, 1e9), (float("nan"), 1), "text", (72,)])
def test_nonsense_resolutions_are_dropped(dpi):
    image = Image.fromarray(noise(20, 20, 3))
    image.info["dpi"] = dpi
    assert read_picture(image)[1].dpi is None


# 16 bits


def test_deep_files_keep_their_bits():
    for channels in (2, 3, 4):
        array = noise(17, 23, channels, dtype=np.uint16)
        sources = [deep_png(array)]
        if channels != 2:
            extra = 2 if channels == 4 else None
            sources += [deep_tiff(array, order, extra) for order in "<>"]
        for source in sources:
            rgb, info = read_picture(source)
            colours = array[..., :3] if channels > 2 else array[..., :1]
            seen = slice(None)
            if channels != 3:
                np.testing.assert_array_equal(info.alpha, unit16(array[..., -1]))
                seen = info.alpha >= 0.25
            expected = np.broadcast_to(unit16(colours), (17, 23, 3))
            np.testing.assert_array_equal(rgb[0][seen], expected[seen])
    assert (unit16(array) * 255 % 1 != 0).any()


def test_deep_transparent_colour_and_orientation():
    array = noise(17, 23, 3, dtype=np.uint16)
    array[3, 4] = 1, 2, 300
    exif = Image.Exif()
    exif[0x0112] = 6
    data = deep_png(
        array,
        chunk(b"tRNS", struct.pack(">3H", 1, 2, 300)),
        chunk(b"eXIf", exif.tobytes()[6:]),
    )
    expected = unit16(array)
    expected[3, 4] = 1
    np.testing.assert_array_equal(load_image(data)[0], np.rot90(expected, -1))


def test_bad_deep_files(monkeypatch):
    array = noise(40, 40, 3, dtype=np.uint16)
    for data in (deep_png(array), deep_tiff(array)):
        with pytest.raises(ValueError, match="`image` must be an image of at most 99"):
            load_image(data, max_pixels=99)
        for keep in (0.2, 0.5, 0.9):
            with pytest.raises(ValueError, match=r"`image` must be .* which is"):
                load_image(data[: int(len(data) * keep)])
    # A file that claims to hold more than it does takes no more memory than others.
    tracemalloc.start()
    with pytest.raises(ValueError, match="89478485 pixels"):
        load_image(png(10_000, 10_000, 16, 2, b"\0" * 100))
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_deep_planes_are_refused(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    array = noise(3, 20, 20, dtype=np.uint16)
    path = tmp_path / "planes.tif"
    tifffile.imwrite(path, array, photometric="rgb", planarconfig="separate")
    with pytest.raises(ValueError, match="`image` must be a TIFF file with all chan"):
        load_image(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_deep_files_are_written(tmp_path, suffix, with_alpha):
    array = noise(33, 47, 3, dtype=np.uint16)
    alpha = unit16(noise(33, 47, dtype=np.uint16)) if with_alpha else None
    exif = {0x010F: "Acme", EXIF_IFD: {0x9003: "2024:05:06 07:08:09"}}
    info = PictureInfo(alpha, exif, (300.0, 300.0))
    path = tmp_path / f"out{suffix}"
    save_image(unit16(array), path, bits=16, info=info, manifest=MANIFEST)
    rgb, again = read_picture(path)
    seen = slice(None) if alpha is None else alpha >= 0.25
    np.testing.assert_array_equal(rgb[0][seen], unit16(array)[seen])
    if alpha is not None:
        np.testing.assert_array_equal(again.alpha, alpha)
    assert again.exif[0x010F] == "Acme"
    assert again.exif[EXIF_IFD] == exif[EXIF_IFD]
    assert again.dpi == pytest.approx((300, 300), abs=0.01)
    assert read_manifest(path) == MANIFEST
    with Image.open(path) as image:
        assert image.info["icc_profile"] == srgb_profile()
        image.load()


def test_other_programs_read_what_is_written(tmp_path):
    tf = pytest.importorskip("tensorflow")
    array = noise(33, 47, 3, dtype=np.uint16)
    path = tmp_path / "out.png"
    save_image(unit16(array), path, bits=16)
    decoded = tf.io.decode_png(path.read_bytes(), dtype=tf.uint16)
    np.testing.assert_array_equal(decoded, array)
    save_image(unit16(array), path, bits=16, info=PictureInfo(unit16(array[..., 0])))
    decoded = tf.io.decode_png(path.read_bytes(), dtype=tf.uint16)
    np.testing.assert_array_equal(decoded, np.dstack([array, array[..., 0]]))


def test_bits_are_checked(tmp_path):
    for bits in (1, 12, "16", None, True):
        with pytest.raises(ValueError, match=r"`bits` must be 8 or 16\. Received"):
            save_image(picture(20, 20), tmp_path / "a.png", bits=bits)
    for suffix in (".jpg", ".webp"):
        expected = rf"`bits` must be 8 in a {suffix} file \(PNG and TIFF hold 16\)"
        with pytest.raises(ValueError, match=expected):
            save_image(picture(20, 20), tmp_path / f"a{suffix}", bits=16)
        with pytest.raises(ValueError, match=expected):
            check_output_path(tmp_path / f"a{suffix}", bits=16)
    assert not list(tmp_path.iterdir())
