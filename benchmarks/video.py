"""Videos painted frame by frame, and with frames held to the previous ones.

python benchmarks/video.py [--film clip.mp4] [--frames 12] [--size 256]

Without --film, a camera moves over a photo: it pans, zooms and rotates by known
amounts, so that the measures use the exact flow. Both ways of painting get the same
frames and settings. Frame by frame, each frame is painted as a separate picture; in a
long video, --alone 10 does so for every tenth frame only. With --passes 3, the held
frames are painted twice more. "young" is the saturation of areas that came into sight
at most six frames ago, in 8-bit levels: it shows whether new areas are paler than frame
by frame.

python benchmarks/video.py --memory

This paints a thousand frames with a small network, and measures the peak memory of
every hundred of them. It needs Linux.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import pathlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tfnst.config import FRAME_STEPS, TEMPORAL_WEIGHT

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
# So many frames ago, something that is young came into sight.
YOUNG = 6
# Frames whose memory is measured, their size, and how many are measured together.
MEMORY_FRAMES, MEMORY_SIZE, MEMORY_GROUP = 1000, 96, 100
HEADINGS = (
    *("variant", "warping", f"over {GAP}", "drift", "style", "style swd"),
    *("content", "similar", "young", "steps", "s/frame", "of one"),
)


@dataclasses.dataclass
class Variant:
    """A way of painting, and what it gave.

    Attributes:
        name: what the table calls it.
        painted: frames by their numbers.
        steps: of each frame.
        seconds: of each frame.
        cuts: frames that began anew.
    """

    name: str
    painted: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)
    steps: list[int] = dataclasses.field(default_factory=list)
    seconds: list[float] = dataclasses.field(default_factory=list)
    cuts: int = 0


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
        """Map from a frame's pixels to the photo's, 3 by 3."""
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
        """A frame of the camera, uint8 [H, W, 3]."""
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
    parser.add_argument("--film", type=pathlib.Path, help="video to paint")
    parser.add_argument("--start", type=float, default=0.0, help="seconds into --film")
    parser.add_argument("--photo", type=pathlib.Path, default=IMAGES / "photo_cat.jpg")
    parser.add_argument(
        "--style", type=pathlib.Path, default=IMAGES / "style_impasto.jpg"
    )
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frame-steps", type=int, default=FRAME_STEPS)
    parser.add_argument("--temporal-weight", type=float, default=TEMPORAL_WEIGHT)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--alone", type=int, default=1, help="each N-th frame only")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="frames evaluated")
    parser.add_argument("--weights", help="weights of the network, as for tfnst")
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    if arguments.memory:
        measure_memory(arguments.photo, arguments.style)
        return

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
    style = arguments.style
    alone = paint_alone(pictures[:: arguments.alone], style, config, arguments.alone)
    young = find_young(pictures, next(iter(alone.painted.values())).shape, flow)

    def show(variant: Variant) -> None:
        numbers = row(
            variant, alone, pictures, style, config, flow, young, arguments.samples
        )
        print(numbers, flush=True)

    show(alone)
    for name, motion in (("coherent", None), ("exact", flow)):
        if name == "exact" and flow is None:
            continue
        for variant in paint_held(
            name, pictures, style, config, motion, held, arguments.passes
        ):
            show(variant)
            mean = sum(variant.seconds) / len(variant.seconds)
            print(
                f"{'':>11} {variant.cuts} began anew; {mean:.2f} s a frame on average"
            )


def read_film(path: pathlib.Path, start: float, count: int) -> list[np.ndarray]:
    """Some frames of a video."""
    from tfnst.video.frame_range import FrameRange
    from tfnst.video.reading import open_film

    with open_film(path) as film:
        frames = film.frames(FrameRange(start))
        return [frame.picture for frame in itertools.islice(frames, count)]


def find_young(
    pictures: list[np.ndarray], shape: tuple[int, ...], flow: OpticalFlow | None
) -> list[np.ndarray]:
    """Areas of each frame that have come into sight lately, bool [H, W]."""
    import cv2
    import numpy as np

    from tfnst.video.coherence import look_alike, reliability
    from tfnst.video.flow import DISFlow

    height, width = shape[:2]
    frames = [as_frame(i, each, height, width) for i, each in enumerate(pictures)]
    motion, places = flow or DISFlow(), np.dstack(np.mgrid[:height, :width][::-1])
    # At the beginning of the film nothing is young.
    ages = [np.full((height, width), 255, np.uint8)]
    for before, now in itertools.pairwise(frames):
        there, back = motion(now, before), motion(before, now)
        known = reliability(there, back)
        known &= look_alike(now.picture, before.picture, there)
        moved = cv2.remap(
            ages[-1], (places + there).astype(np.float32), None, cv2.INTER_NEAREST
        )
        ages.append(np.where(known, np.minimum(moved, 254) + 1, 0).astype(np.uint8))
    return [age <= YOUNG for age in ages]


def as_frame(number: int, picture: np.ndarray, height: int, width: int) -> Frame:
    """A frame of a video, at the size of the painted ones."""
    from fractions import Fraction

    import cv2

    from tfnst.video.frames import Frame

    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return Frame(number, Fraction(number), Fraction(1), small)


def paint_alone(
    pictures: list[np.ndarray],
    style: pathlib.Path,
    config: StyleTransferConfig,
    every: int,
) -> Variant:
    """Frames as separate pictures; their numbers are multiples of `every`."""
    import numpy as np

    from tfnst import StyleTransfer

    quick = StyleTransfer(style, config=config, steps=1, initial_steps=1)
    quick.stylize(pictures[0])  # So that all is traced.
    transfer = StyleTransfer(style, config=config)
    variant = Variant("alone")
    for number, picture in enumerate(pictures):
        began = time.perf_counter()
        result = transfer.stylize(picture)
        variant.seconds.append(time.perf_counter() - began)
        variant.painted[number * every] = np.asarray(result.image)
        variant.steps.append(len(result.losses))
        variant.cuts += 1
    return variant


def paint_held(
    name: str,
    pictures: list[np.ndarray],
    style: pathlib.Path,
    config: StyleTransferConfig,
    flow: OpticalFlow | None,
    held: dict[str, Any],
    passes: int,
) -> Iterator[Variant]:
    """Frames held to the previous ones; the first one isn't counted."""
    from tfnst import FilmPainter

    quick = {"steps": 1, "initial_steps": 1, "frame_steps": 1}
    painter = FilmPainter(style, flow=flow, config=config, **held | quick)
    for picture in pictures[:2]:  # So that all is traced.
        painter.paint(picture)
    painter = FilmPainter(style, flow=flow, config=config, **held)
    before: dict[int, np.ndarray] = {}
    for pass_number in range(passes):
        variant = Variant(name if not pass_number else f"pass {pass_number + 1}")
        numbers = list(range(len(pictures)))[:: -1 if pass_number % 2 else 1]
        painter.begin_pass(numbers[0], backward=pass_number % 2 == 1)
        for number in numbers:
            began = time.perf_counter()
            painted = painter.paint(pictures[number], painted=before.get(number))
            if number != numbers[0]:
                variant.seconds.append(time.perf_counter() - began)
                result = painted.result
                variant.steps.append(0 if result is None else len(result.losses))
            variant.painted[number] = painted.picture
            variant.cuts += painted.cut
        before = variant.painted
        yield variant


def measure_memory(photo: pathlib.Path, style: pathlib.Path) -> None:
    """Prints the peak memory of every hundred frames of a painted video."""
    import os
    import tempfile

    from PIL import Image

    import tfnst

    camera = Camera(photo, MEMORY_SIZE)
    peaks: list[float] = []

    def watch(progress: tfnst.FilmProgress) -> None:
        if progress.picture is not None and progress.frames_done % MEMORY_GROUP == 0:
            peaks.append(peak_memory())
            print(
                f"frames {progress.frames_done - MEMORY_GROUP + 1} to "
                f"{progress.frames_done}: {peaks[-1]:.1f} MiB",
                flush=True,
            )

    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "in"))
        for number in range(MEMORY_FRAMES):
            # To and fro, so that the camera stays within the photo.
            picture = camera.frame(abs(number % 20 - 10))
            Image.fromarray(picture).save(os.path.join(folder, "in", f"{number}.png"))
        peak_memory()
        result = tfnst.stylize_video(
            os.path.join(folder, "in"),
            style,
            os.path.join(folder, "out.mp4"),
            size=MEMORY_SIZE,
            weights=None,
            content_layers=("block2_conv1",),
            style_layers=("block1_conv1", "block2_conv1"),
            initial_steps=10,
            frame_steps=2,
            callback=watch,
        )
    print(
        f"{result.frames} frames of {result.width}x{result.height} pixels, "
        f"{result.steps} steps; the last {MEMORY_GROUP} frames' peak is "
        f"{peaks[-1] - peaks[0]:+.1f} MiB from that of the first"
    )


def peak_memory() -> float:
    """The process's largest resident memory in MiB since the last call."""
    status = pathlib.Path("/proc/self/status").read_text()
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return int(peak.split()[1]) / 1024


def row(
    variant: Variant,
    alone: Variant,
    pictures: list[np.ndarray],
    style: pathlib.Path,
    config: StyleTransferConfig,
    flow: OpticalFlow | None,
    young: list[np.ndarray],
    samples: int,
) -> str:
    """The results of a variant, as a row of the table."""
    import numpy as np

    import tfnst
    from tfnst.video.evaluation import Steadiness
    from tfnst.video.flow import DISFlow

    steady: tuple[float | None, ...] = (None,) * 3
    if len(variant.painted) == len(pictures):
        steadiness = Steadiness(GAP, flow or DISFlow())
        for number, picture in enumerate(pictures):
            painted = variant.painted[number]
            steadiness.add(as_frame(number, picture, *painted.shape[:2]), painted)
        steady = steadiness.result()
    # Those that all variants have.
    common = sorted(alone.painted)
    chosen = np.linspace(0, len(common) - 1, samples).round().astype(int)
    rows = [
        tfnst.evaluate(pictures[i], style, variant.painted[i], weights=config.weights)
        for i in sorted({common[k] for k in chosen})
    ]
    saturations = np.concatenate(
        [np.ptp(variant.painted[i].astype(int), axis=-1)[young[i]] for i in common]
    )
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
        f"{saturations.mean():.1f}" if saturations.size else "-",
        f"{np.mean(variant.steps):.1f}",
        f"{seconds:.2f}",
        f"{seconds / one:.2f}",
    ]
    return "".join(f"{cell:>11}" for cell in (variant.name, *numbers))


if __name__ == "__main__":
    main()
