"""A gradient step of tfnst compared with the same step in PyTorch.

Both use the same layers of the same network, the same losses and the same optimiser, in
float32 and bfloat16; PyTorch with both memory layouts. PyTorch's step gets tfnst's
weights and pictures, and must give the same losses. It runs in a process of its own:
PyTorch's builds with CUDA and TensorFlow bring a copy of LLVM each, and abort when they
are in one. The cases take turns in one run, because machines change speed. The table
shows medians, and their ratios to the median of tfnst in float32.

    python benchmarks/versus_pytorch.py [--sizes 512] [--rounds 7]
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import numpy as np

from tfnst import StyleTransferConfig

if TYPE_CHECKING:
    import tensorflow as tf
    import torch

WARM_UP = 2
MIN_COVARIANCE = 0.01
LAYOUTS = ("contiguous", "channels_last")
# Moments are what both can compare.
CONFIG = StyleTransferConfig(
    weights=None,
    style_loss="moments",
    style_layers=tuple(f"block{block}_conv1" for block in range(1, 6)),
)

# TensorFlow and PyTorch are imported in the functions that use them, so that --help
# doesn't load them.


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="512", help="sides of the pictures")
    parser.add_argument("--rounds", type=int, default=7, help="steps to time")
    parser.add_argument(
        "--precisions", default="float32,bfloat16", help="float32, bfloat16 or both"
    )
    arguments = parser.parse_args()

    precisions = arguments.precisions.split(",")
    versions = map(importlib.metadata.version, ("torch", "tensorflow"))
    print("PyTorch {}, TensorFlow {}".format(*versions))
    print("size  step                               s/step  times tfnst's float32")
    for size in map(int, arguments.sizes.split(",")):
        cases = []
        for precision in precisions:
            here = CONFIG.replace(precision=precision)
            cases.append(tfnst_case(here, size))
            cases += [torch_case(here, size, layout) for layout in LAYOUTS]
        compare_losses(cases)
        for _ in range(arguments.rounds):
            for case in cases:
                start = time.perf_counter()
                case.step()
                case.times.append(time.perf_counter() - start)
        own = statistics.median(cases[0].times)
        for case in cases:
            case.end()
            median = statistics.median(case.times)
            print(f"{size:4}  {case.name:33}  {median:7.3f}  {median / own:6.2f}")


@dataclasses.dataclass
class Case:
    """A way to compute a step.

    Attributes:
        name: what the table calls it.
        precision: that it computes in.
        step: takes a step and returns the loss before it.
        end: frees what it holds.
        times: of the steps, in seconds.
    """

    name: str
    precision: str
    step: Callable[[], float]
    end: Callable[[], None] = lambda: None
    times: list[float] = dataclasses.field(default_factory=list)


def compare_losses(cases: list[Case]) -> None:
    """Takes some steps of each case and checks that their losses agree."""
    losses = np.array([[case.step() for _ in range(WARM_UP)] for case in cases])
    for case, each in zip(cases, losses, strict=True):
        tolerance = 1e-3 if case.precision == "float32" else 2e-2
        np.testing.assert_allclose(each, losses[0], rtol=tolerance, err_msg=case.name)


def pictures(size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """A content and a style image, made of noise with several sizes of grain."""
    from tfnst.ops import pyramid, resizing

    return tuple(
        sum(
            resizing.resize_image(
                pyramid.noise_image([1, size // grain, size // grain, 3], seed),
                size,
                size,
            )
            / 3
            for grain in (1, 4, 16)
        )
        for seed in (0, 1)
    )


def tfnst_case(config: StyleTransferConfig, size: int) -> Case:
    """tfnst's own step, starting from the content image."""
    import tensorflow as tf

    from tfnst.engines import engine, loading

    loop, _ = loading.load_engine(config)
    knobs = engine.Knobs.from_config(config)
    content, style = pictures(size)
    targets = loop.targets(content, style)
    held = [content, loop.init_state(content)]
    one = tf.constant(1)

    def step() -> float:
        image, state, history = loop.run_steps(held[0], held[1], targets, knobs, one)
        held[:] = image, state
        return float(history[0, 3, 0])

    return Case(f"tfnst {config.precision}", config.precision, step)


@dataclasses.dataclass
class TorchTask:
    """What PyTorch's step needs to know, without anything of TensorFlow's.

    Attributes:
        config: the settings.
        layout: one of `LAYOUTS`.
        layers: name, kernel and bias of each layer; None for those of poolings.
        mean: what is subtracted from the pixels, in blue, green and red.
        content_layer: name of the content layer.
        style_layers: weights of the style layers by name.
        content: the content image, [1, 3, H, W].
        style: the style image, the same.
    """

    config: StyleTransferConfig
    layout: str
    layers: list[tuple[str, np.ndarray | None, np.ndarray | None]]
    mean: tuple[float, ...]
    content_layer: str
    style_layers: dict[str, float]
    content: np.ndarray
    style: np.ndarray


def torch_case(config: StyleTransferConfig, size: int, layout: str) -> Case:
    """The same step in PyTorch, in another process."""
    import keras

    from tfnst.engines import loading
    from tfnst.networks.features import IMAGENET_MEAN_BGR

    loop, _ = loading.load_engine(config)
    layers: list[tuple[str, np.ndarray | None, np.ndarray | None]] = []
    for layer in loop.feature_extractor.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, bias = map(np.float32, layer.get_weights())
            layers.append((layer.name, kernel.transpose(3, 2, 0, 1).copy(), bias))
        elif isinstance(layer, keras.layers.MaxPooling2D):
            layers.append((layer.name, None, None))
    (content_layer,) = loop.objective.content_layers
    content, style = (
        picture.numpy().transpose(0, 3, 1, 2).copy() for picture in pictures(size)
    )
    task = TorchTask(
        config,
        layout,
        layers,
        IMAGENET_MEAN_BGR,
        content_layer,
        loop.objective.style_layers,
        content,
        style,
    )
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve_steps, args=(there, task), daemon=True)
    process.start()
    there.close()

    def step() -> float:
        here.send(None)
        return float(here.recv())

    def end() -> None:
        here.close()
        process.join()

    name = f"PyTorch {config.precision}, {layout.replace('_', ' ')}"
    return Case(name, config.precision, step, end)


def serve_steps(connection: Connection, task: TorchTask) -> None:
    """Takes a step whenever it is asked to, and answers with the loss before it."""
    step = build_step(task)
    while True:
        try:
            connection.recv()
        except EOFError:
            break
        connection.send(step())


def build_step(task: TorchTask) -> Callable[[], float]:
    """PyTorch's step, starting from the content image."""
    import torch

    # As many threads as TensorFlow uses.
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    config, style_weights = task.config, task.style_layers
    weights = config.loss_weights()
    network = TorchNetwork(task)
    content, style = (
        torch.from_numpy(picture).to(memory_format=network.layout)
        for picture in (task.content, task.style)
    )
    with torch.no_grad():
        wanted = network(content)[task.content_layer].float()
        energy = wanted.square().sum()
        seen = network(style)
        moments = {layer: torch_moments(seen[layer]) for layer in style_weights}
    image = content.clone(memory_format=torch.preserve_format).requires_grad_(True)
    adam = torch.optim.Adam([image], lr=config.learning_rate, betas=(0.9, 0.99))
    average = image.detach().clone()
    taken = 0

    def step() -> float:
        nonlocal taken
        seen = network(image)
        loss = (seen[task.content_layer].float() - wanted).square().sum() / energy
        loss = weights["content_weight"] * loss
        for layer, weight in style_weights.items():
            distance = moments_distance(torch_moments(seen[layer]), moments[layer])
            loss = loss + weights["style_weight"] * weight * distance
        variation = (image[:, :, 1:] - image[:, :, :-1]).square().mean()
        variation = variation + (image[..., 1:] - image[..., :-1]).square().mean()
        loss = loss + weights["total_variation_weight"] * variation
        (image.grad,) = torch.autograd.grad(loss, image)
        done = min(taken / config.steps, 1.0)
        adam.param_groups[0]["lr"] = config.learning_rate * (1 - 0.9 * done)
        adam.step()
        taken += 1
        with torch.no_grad():
            image.clamp_(0, 1)
            momentum = config.ema_momentum
            average.lerp_(image, (1 - momentum) / (1 - momentum**taken))
        return loss.item()

    return step


class TorchNetwork:
    """The feature extractor, rebuilt layer by layer in PyTorch."""

    def __init__(self, task: TorchTask) -> None:
        import torch

        self.layers = []
        self.kind = getattr(torch, task.config.precision)
        self.layout = (
            torch.channels_last
            if task.layout == "channels_last"
            else torch.contiguous_format
        )
        self.mean = torch.tensor(task.mean).view(1, 3, 1, 1)
        self.wanted = {task.content_layer, *task.style_layers}
        for name, kernel, bias in task.layers:
            if kernel is not None:
                kernel = torch.from_numpy(kernel).to(self.kind)
                kernel = kernel.contiguous(memory_format=self.layout)
                bias = torch.from_numpy(bias).to(self.kind)
            self.layers.append((name, kernel, bias))

    def __call__(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        from torch.nn import functional

        x = image.flip(1) * 255.0 - self.mean
        x = functional.pad(x, (1, 1, 1, 1), "replicate")
        x = x.to(self.kind).contiguous(memory_format=self.layout)
        seen = {}
        for index, (name, kernel, bias) in enumerate(self.layers):
            if kernel is None:
                x = functional.max_pool2d(x, 2)
            else:
                x = functional.relu(
                    functional.conv2d(x, kernel, bias, padding=1 if index else 0)
                )
            if name in self.wanted:
                seen[name] = x
        return seen


def torch_moments(
    activations: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean, covariance and Gram matrix of the channels."""
    flat = activations.float().flatten(2)[0]
    mean = flat.mean(1)
    gram = flat @ flat.T / flat.shape[1]
    return mean, gram - mean[:, None] * mean[None, :], gram


def moments_distance(
    one: tuple[torch.Tensor, ...], target: tuple[torch.Tensor, ...]
) -> torch.Tensor:
    """Half the sum of the relative distances of means and covariances."""
    import torch

    mean, covariance, _ = one
    wanted_mean, wanted, gram = target
    energy = torch.maximum(wanted.square().sum(), MIN_COVARIANCE * gram.square().sum())
    means = (mean - wanted_mean).square().sum() / wanted_mean.square().sum()
    return (means + (covariance - wanted).square().sum() / energy) / 2


if __name__ == "__main__":
    main()
