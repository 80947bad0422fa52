"""Films painted frame by frame, and with frames that are held to each other.

python benchmarks/video.py [--film clip.mp4] [--frames 12] [--size 256]

Without --film, a camera moves over a photo: it pans, zooms and rotates by known
amounts, so that the measures use the exact flow. Both ways of painting get the same
frames and settings. Painting frame by frame, each frame is a picture of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import pathlib
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from tfnst import StyleTransferConfig
    from tfnst.video.flow import OpticalFlow
    from tfnst.video.frames import Frame

IMAGES = pathlib.Path(__file__).parent.parent / "examples" / "images"
# Of a frame, in pixels, at first; a camera that stands still measures drift.
PAN, ZOOM, ROTATION = (2.0, 0.7), 1.004, 0.2
# The part of the photo that the camera sees at first.
SEEN = 0.6
# Frames between those that are compared besides neighbours, and frames whose style and
# content are measured.
GAP, SAMPLES = 5, 4
HEADINGS = (
    *("variant", "warping", f"over {GAP}", "drift", "style", "style swd"),
    *("content", "similar", "steps", "s/frame", "of one"),
)


@dataclasses.dataclass
class Variant:
    """A way of painting, and what it gave."""

    name: str
    painted: list[np.ndarray]
    steps: list[int]
    seconds: list[float]


class Camera:
    """Frames of a photo, seen by a camera that moves steadily.

    Args:
        photo: path of the photo.
        size: long side of the frames.
    """

    def __init__(self, photo: pathlib.Path, size: int) -> None:
        import numpy as np
        from PIL import Image

        with Image.open(photo) as image:
            scale = size / SEEN / max(image.size)
            sides = tuple(round(scale * side) for side in image.size)
            self._photo = np.asarray(
                image.convert("RGB").resize(sides, Image.Resampling.LANCZOS)
            )
        self.width, self.height = (round(SEEN * side) for side in sides)

    def _matrix(self, number: int) -> np.ndarray:
        """From a frame's pixels to the photo's, 3 by 3."""
        import numpy as np

        turn = np.deg2rad(ROTATION * number)
        turned = np.array(
            [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        ) / (ZOOM**number)
        height, width = self._photo.shape[:2]
        middle = np.array([self.width - 1, self.height - 1]) / 2
        where = np.array([0.45 * width, 0.47 * height]) + np.array(PAN) * number
        matrix = np.eye(3)
        matrix[:2, :2], matrix[:2, 2] = turned, where - turned @ middle
        return matrix

    def frame(self, number: int) -> np.ndarray:
        """What the camera sees, uint8 [H, W, 3]."""
        import cv2

        return cv2.warpAffine(
            self._photo,
            self._matrix(number)[:2],
            (self.width, self.height),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )

    def __call__(self, first: Frame, second: Frame) -> np.ndarray:
        """The exact flow, as an `OpticalFlow`."""
        import numpy as np

        there = np.linalg.inv(self._matrix(second.number)) @ self._matrix(first.number)
        height, width = first.picture.shape[:2]
        # Frames that are painted at another size.
        scale = np.array([width / self.width, height / self.height])
        places = np.dstack(np.meshgrid(np.arange(width), np.arange(height)))
        moved = (places / scale) @ there[:2, :2].T + there[:2, 2]
        return (moved * scale - places).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--film", type=pathlib.Path, help="of which --frames are used")
    parser.add_argument("--start", type=float, default=0.0, help="seconds into --film")
    parser.add_argument("--photo", type=pathlib.Path, default=IMAGES / "photo_cat.jpg")
    parser.add_argument(
        "--style", type=pathlib.Path, default=IMAGES / "style_impasto.jpg"
    )
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frame-steps", type=int, default=8)
    parser.add_argument("--temporal-weight", type=float, default=300.0)
    parser.add_argument("--weights", help="of the network, as for tfnst")
    arguments = parser.parse_args()

    from tfnst import StyleTransferConfig

    config = StyleTransferConfig(size=arguments.size)
    if arguments.weights:
        weights = None if arguments.weights == "none" else arguments.weights
        config = config.replace(weights=weights)
    flow: Any = None
    if arguments.film is None:
        flow = Camera(arguments.photo, arguments.size)
        pictures = [flow.frame(number) for number in range(arguments.frames)]
        print(f"{arguments.photo.name}: {arguments.frames} frames, exact flow")
    else:
        pictures = read_film(arguments.film, arguments.start, arguments.frames)
        print(f"{arguments.film.name}: {len(pictures)} frames")
    held = {
        "frame_steps": arguments.frame_steps,
        "temporal_weight": arguments.temporal_weight,
    }
    print(
        f"{arguments.style.name}; {config.size} pixels; frame steps "
        f"{held['frame_steps']}, temporal weight {held['temporal_weight']:g}\n"
    )
    print("".join(f"{heading:>11}" for heading in HEADINGS), flush=True)
    alone = paint_alone(pictures, arguments.style, config)
    variants: Iterable[Callable[[], Variant]] = [
        lambda: alone,
        lambda: paint_held("coherent", pictures, arguments.style, config, None, held),
    ]
    if flow is not None:
        variants = itertools.chain(
            variants,
            [
                lambda: paint_held(
                    "exact", pictures, arguments.style, config, flow, held
                )
            ],
        )
    for paint in variants:
        print(row(paint(), alone, pictures, arguments.style, config, flow), flush=True)


def read_film(path: pathlib.Path, start: float, count: int) -> list[np.ndarray]:
    """Some frames of a film."""
    from tfnst.video.reading import open_film

    with open_film(path) as film:
        frames = film.frames(start=start)
        return [frame.picture for frame in itertools.islice(frames, count)]


def paint_alone(
    pictures: list[np.ndarray], style: pathlib.Path, config: StyleTransferConfig
) -> Variant:
    """Each frame as a picture of its own."""
    import numpy as np

    from tfnst import StyleTransfer

    quick = StyleTransfer(style, config=config, steps=1, initial_steps=1)
    quick.stylize(pictures[0])  # So that all is traced.
    transfer = StyleTransfer(style, config=config)
    variant = Variant("alone", [], [], [])
    for picture in pictures:
        began = time.perf_counter()
        result = transfer.stylize(picture)
        variant.seconds.append(time.perf_counter() - began)
        variant.painted.append(np.asarray(result.image))
        variant.steps.append(len(result.losses))
    return variant


def paint_held(
    name: str,
    pictures: list[np.ndarray],
    style: pathlib.Path,
    config: StyleTransferConfig,
    flow: OpticalFlow | None,
    held: dict[str, Any],
) -> Variant:
    """Each frame held to those before; the first one isn't counted."""
    from tfnst import FilmPainter

    for count in (2, len(pictures)):  # First so that all is traced.
        quick = {"steps": 1, "initial_steps": 1, "frame_steps": 1} if count == 2 else {}
        arguments = {"flow": flow, "config": config, **held, **quick}
        painter = FilmPainter(style, **arguments)
        variant = Variant(name, [], [], [])
        for number, picture in enumerate(pictures[:count]):
            began = time.perf_counter()
            painted = painter.paint(picture)
            variant.painted.append(painted.picture)
            if number:
                variant.seconds.append(time.perf_counter() - began)
                result = painted.result
                variant.steps.append(0 if result is None else len(result.losses))
    return variant


def row(
    variant: Variant,
    alone: Variant,
    pictures: list[np.ndarray],
    style: pathlib.Path,
    config: StyleTransferConfig,
    flow: OpticalFlow | None,
) -> str:
    """What a variant gave, as a row of the table."""
    from fractions import Fraction

    import cv2
    import numpy as np

    import tfnst
    from tfnst.video.evaluation import Steadiness
    from tfnst.video.flow import DISFlow
    from tfnst.video.frames import Frame

    steadiness = Steadiness(GAP, flow or DISFlow())
    for number, (picture, painted) in enumerate(
        zip(pictures, variant.painted, strict=True)
    ):
        sides = painted.shape[1::-1]
        small = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)
        steadiness.add(Frame(number, Fraction(number), Fraction(1), small), painted)
    steady = steadiness.result()
    chosen = np.linspace(0, len(pictures) - 1, SAMPLES).round().astype(int)
    rows = [
        tfnst.evaluate(pictures[i], style, variant.painted[i], weights=config.weights)
        for i in sorted(set(chosen))
    ]
    means = [
        float(np.mean([getattr(each, name) for each in rows]))
        for name in (
            *("style_gram", "style_swd"),
            *("content_cosine", "content_self_similarity"),
        )
    ]
    seconds, one = np.median(variant.seconds), np.median(alone.seconds)
    numbers = [
        *((f"{x:.2f}" if x is not None else "-") for x in steady[:3]),
        *(f"{x:.3f}" for x in means),
        f"{np.mean(variant.steps):.1f}",
        f"{seconds:.2f}",
        f"{seconds / one:.2f}",
    ]
    return "".join(f"{cell:>11}" for cell in (variant.name, *numbers))


if __name__ == "__main__":
    main()
