"""Paints the sample style pictures of tfnst.

Every picture is computed from a seed, with nothing but NumPy and Pillow; none of
them is a copy of a painting:

* ``swirls``: oil paint in thick strokes along a swirling sky;
* ``stained_glass``: a leaded rose window with the light behind it;
* ``ink_hatching``: hills in pen and sepia wash on warm paper;
* ``mosaic``: a vine scroll in glass and gold stones;
* ``pencil``: a still life in layers of graphite hatching;
* ``watercolor``: a lake in the hills in transparent washes;
* ``woodcut``: a valley under the sun, printed in black and grey;
* ``impasto``: flowers in thick oil paint, lit from the left.

The pictures are the project's own work and under Apache-2.0, like the rest of it.

Usage: ``python examples/paint_styles.py [--only NAME] [--output-dir DIR]``
"""

import argparse
from pathlib import Path

from painters.impasto import paint_impasto
from painters.ink_hatching import paint_ink_hatching
from painters.mosaic import paint_mosaic
from painters.pencil import paint_pencil
from painters.stained_glass import paint_stained_glass
from painters.swirls import paint_swirls
from painters.watercolor import paint_watercolor
from painters.woodcut import paint_woodcut
from PIL import Image

# Painter, height, width, and the quality of the JPEG file.
STYLES = {
    "swirls": (paint_swirls, 576, 768, 92),
    "stained_glass": (paint_stained_glass, 576, 768, 92),
    "ink_hatching": (paint_ink_hatching, 576, 768, 92),
    "mosaic": (paint_mosaic, 576, 768, 92),
    "pencil": (paint_pencil, 750, 1000, 78),
    "watercolor": (paint_watercolor, 750, 1000, 88),
    "woodcut": (paint_woodcut, 750, 1000, 64),
    "impasto": (paint_impasto, 750, 1000, 76),
}


def main():
    """Paints the pictures and saves them as JPEG files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output-dir", type=Path, default=Path(__file__).parent / "images"
    )
    parser.add_argument("--only", choices=STYLES, help="paint one picture only")
    parser.add_argument("--seed", type=int, default=1889)
    args = parser.parse_args()
    args.output_dir.mkdir(parents=True, exist_ok=True)
    for name in [args.only] if args.only else STYLES:
        paint, height, width, quality = STYLES[name]
        picture = paint(height, width, seed=args.seed)
        path = args.output_dir / f"style_{name}.jpg"
        Image.fromarray(picture).save(path, quality=quality)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
