"""Memory of requests on a server, measured and predicted.

Each row is a fresh `tfnst serve` that gets one request of one step per scale, after the
export's warm-up. `predicted` is what `tfnst export --max-memory` limits.

    python benchmarks/serving_memory.py [--sizes 256,512,1024] [--styles 1,8]
        [--weights none]
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile

import numpy as np

import tfnst
from serving import picture, serving
from tfnst.client.client import StylizeClient
from tfnst.export.memory import request_bytes
from tfnst.export.requests import RequestLimits
from tfnst.export.served_model import ServedStyleTransfer
from tfnst.images.style_images import StyleImage


def styles_of(count: int, size: int, regions: bool) -> list[StyleImage] | bytes:
    """One style picture, or several, each with its own region."""
    if count == 1 and not regions:
        return picture(size, 100)
    styles = []
    for index in range(count):
        region = np.zeros((size, size), np.float32)
        region[:, index * size // count : (index + 1) * size // count] = 1
        styles.append(
            StyleImage(
                image=picture(size, 100 + index), region=region if regions else None
            )
        )
    return styles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="256,512,1024", help="long sides in pixels")
    parser.add_argument("--styles", default="1,8", help="numbers of styles")
    parser.add_argument("--backbone", default="vgg19", help="vgg19 or vgg16")
    parser.add_argument("--weights", default="none", help="weights; any take as much")
    arguments = parser.parse_args()

    sizes = [int(size) for size in arguments.sizes.split(",")]
    counts = [int(count) for count in arguments.styles.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        directory = pathlib.Path(scratch, "tfnst")
        config = tfnst.StyleTransferConfig(
            backbone=arguments.backbone,
            weights=None if arguments.weights == "none" else arguments.weights,
            precision="float32",
            size=max(sizes),
        )
        limits = {"max_size": max(sizes), "max_pixels": max(sizes) ** 2}
        tfnst.export_saved_model(directory, config=config, **limits)
        model = ServedStyleTransfer(config, RequestLimits(max_steps=1000, **limits))
        cost = model.memory_cost
        print("size  styles  regions  idle MiB  peak MiB  a run took  predicted")
        for size in sizes:
            for count in counts:
                for regions in (False, True) if count > 1 else (False,):
                    style = styles_of(count, size, regions)
                    settings = {"size": size, "steps": 1}
                    predicted = request_bytes(
                        cost,
                        size,
                        pictures=1,
                        styles=count,
                        style_scale=1,
                        regions=count * regions,
                    )
                    with serving(directory) as server:
                        idle = server.memory()
                        with StylizeClient(server.target, timeout=3600) as client:
                            client.stylize(picture(size, 1), style, **settings)
                        peak = server.peak_memory()
                    print(
                        f"{size:4}  {count:6}  {count * regions:7}  {idle:8.0f}"
                        f"  {peak:8.0f}  {peak - idle:10.0f}"
                        f"  {float(predicted) / 2**20:9.0f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
