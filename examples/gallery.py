"""Paints the pictures of docs/gallery.md and docs/how_it_works.md, in strips.

    python examples/gallery.py [--size 256] [--out docs/images] [NAMES...]

With NAMES, it paints only these strips: `style_scale` is gallery_style_scale.jpg.
"""

import argparse
import pathlib
import tempfile

import numpy as np
from color_modes import sheet, to_pil
from PIL import Image
from region_masks import SIDES, left_half

import tfnst

IMAGES = pathlib.Path(__file__).parent / "images"
CAT, ROCKET = IMAGES / "photo_cat.jpg", IMAGES / "photo_rocket.jpg"
GLASS, HATCHING = IMAGES / "style_stained_glass.jpg", IMAGES / "style_ink_hatching.jpg"
MOSAIC, SWIRLS = IMAGES / "style_mosaic.jpg", IMAGES / "style_swirls.jpg"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAMES", help=", ".join(STRIPS))
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--out", type=pathlib.Path, default="docs/images")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(STRIPS))
    if unknown:
        parser.error(
            f"no such strips: {', '.join(unknown)}; choose from {', '.join(STRIPS)}"
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or STRIPS:
        pictures = STRIPS[name](arguments.size)
        page = sheet([pictures], pictures[0].size)
        tfnst.save_image(page, arguments.out / f"gallery_{name}.jpg", quality=85)


def each(content, style, *variants):
    """A strip of one photo, painted with different settings."""
    return lambda size: [
        paint(content, style, size=size, **settings).image for settings in variants
    ]


def styles(content, *blends):
    """A strip of one photo, painted in different styles with the default settings."""
    return lambda size: [paint(content, blend, size=size).image for blend in blends]


def paint(content, style, **settings):
    result = tfnst.stylize(content, style, **settings)
    shown = {name: value for name, value in settings.items() if name != "callback"}
    print(f"{shown}: {result.losses[-1]['seconds']:.0f} s", flush=True)
    return result


def blend(first, second):
    """A blend of mosaic and ink hatching in these proportions."""
    return [
        tfnst.StyleImage(image=MOSAIC, weight=first),
        tfnst.StyleImage(image=HATCHING, weight=second),
    ]


def part(mask):
    return tfnst.StyleImage(image=SWIRLS, mask=mask)


def sky():
    """White on the sky of the style image, black on its hills and field."""
    mask = np.zeros(SIDES, np.float32)
    mask[: SIDES[0] * 2 // 3] = 1
    return mask


def progress(size):
    """One run, after 5 %, 20 % and half of its work, and at its end."""
    moments, pictures = [0.05, 0.2, 0.5], []

    def watch(progress):
        if moments and progress.fraction >= moments[0]:
            del moments[0]
            pictures.append(progress.image())

    # Without this, callbacks come about twice a second.
    settings = {"callback": watch, "callback_steps": 1}
    result = paint(ROCKET, GLASS, size=size, **settings)
    shown = [picture.resize(result.image.size) for picture in pictures]
    return [*shown, result.image]


def everything(size):
    """A cut-out photo in two styles by region, its eyes kept, in three colour modes."""
    rgb = np.asarray(Image.open(CAT).convert("RGB"))
    alpha = Image.fromarray(np.uint8(255 * oval(0.45, 0.5, 0.42, 0.47)))
    head = np.dstack([rgb, alpha.resize(rgb.shape[1::-1])])
    left = left_half()
    painted = 1 - np.maximum(oval(0.38, 0.38, 0.1, 0.16), oval(0.7, 0.45, 0.08, 0.15))
    blend = [
        tfnst.StyleImage(image=MOSAIC, region=left * painted),
        tfnst.StyleImage(image=SWIRLS, region=(1 - left) * painted),
    ]
    pictures = [Image.fromarray(head)]
    with tempfile.TemporaryDirectory() as folder:
        for mode in ("none", "transport", "luminance"):
            # The file has alpha, but `result.image` hasn't.
            path = pathlib.Path(folder) / f"{mode}.png"
            paint(head, blend, size=size, preserve_color=mode).save(path)
            pictures.append(Image.open(path).copy())
    pictures[0].thumbnail(pictures[1].size)
    return [over_chequers(picture) for picture in pictures]


def oval(x, y, width, height):
    """A white oval with a soft edge; its centre and radii are shares of the sides."""
    rows, columns = ((np.indices(SIDES).T + 0.5) / SIDES).T
    distance = np.hypot((columns - x) / width, (rows - y) / height)
    return np.clip((1.1 - distance) / 0.2, 0, 1).astype("float32")


def over_chequers(picture):
    """A picture over light and dark squares, which show where it is transparent."""
    y, x = np.indices(picture.size[::-1]) // 8
    grey = np.where((x + y) % 2, 0.8, 0.6)[..., None]
    pixels = np.asarray(picture.convert("RGBA")) / 255
    rgb, alpha = pixels[..., :3], pixels[..., 3:]
    return to_pil((alpha * rgb + (1 - alpha) * grey)[None])


EARLY = ("block1_conv1", "block2_conv1")
LATE = ("block3_conv1", "block4_conv1")

STRIPS = {
    "style_strength": each(
        CAT, SWIRLS, *({"style_strength": x} for x in (0.1, 0.2, 0.5, 0.8))
    ),
    "style_scale": each(CAT, MOSAIC, *({"style_scale": x} for x in (0.5, 1, 2))),
    "init_image": each(
        CAT, SWIRLS, *({"init_image": x} for x in ("content", "style", "noise"))
    ),
    "style_loss": each(
        ROCKET, SWIRLS, *({"style_loss": x} for x in ("neighbors", "moments", "gram"))
    ),
    "pooling": each(CAT, GLASS, *({"pooling": x} for x in ("max", "average"))),
    "content_layers": each(
        CAT,
        HATCHING,
        *(
            {"content_layers": (x,)}
            for x in ("block2_conv2", "block4_conv2", "block5_conv2")
        ),
    ),
    "style_layers": each(
        ROCKET, SWIRLS, {}, {"style_layers": EARLY}, {"style_layers": LATE}
    ),
    "optimizer": each(CAT, GLASS, *({"optimizer": x} for x in ("adam", "lbfgs"))),
    "total_variation_weight": each(
        CAT, SWIRLS, *({"total_variation_weight": x} for x in (0, 12, 100))
    ),
    "steps": each(CAT, GLASS, *({"steps": x} for x in (5, 15, 60))),
    "blends": styles(CAT, *(blend(*parts) for parts in ((3, 1), (1, 1), (1, 3)))),
    "style_mask": styles(ROCKET, SWIRLS, part(sky()), part(1 - sky())),
    "progress": progress,
    # For docs/how_it_works.md: each loss alone, from noise, and then all together.
    "losses": each(
        CAT,
        SWIRLS,
        {"style_weight": 0.0, "init_image": "noise", "content_detail": 0.0},
        {"content_weight": 0.0, "init_image": "noise"},
        {},
    ),
    # As many steps of the finest scale alone as cost the same as all scales.
    "scales": each(ROCKET, SWIRLS, {"min_size": 256, "initial_steps": 45}, {}),
    "everything": everything,
}

if __name__ == "__main__":
    main()
