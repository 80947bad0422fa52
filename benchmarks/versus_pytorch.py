"""A gradient step of tfnst compared with the same step in PyTorch.

Both use the same layers of the same network, the same losses and the same optimiser, in
float32 and bfloat16, on the same number of threads; PyTorch with both memory layouts,
and also compiled by `torch.compile`. PyTorch's steps get tfnst's weights and pictures,
and must give the same losses. They run in their own process: PyTorch's CUDA builds and
TensorFlow each bring a copy of LLVM, and abort when both are in one process. The cases
are measured alternately in one run, because a machine's speed changes from minute to
minute. The table shows medians, their ratios to tfnst's, and the speed of tfnst
relative to PyTorch's best variant.

    python benchmarks/versus_pytorch.py [--sizes 256,512] [--rounds 7]
        [--precisions float32,bfloat16] [--threads 2] [--no-compile]
        [--processor-time]

The ratios are those of wall time, or with `--processor-time` those of processor time
divided by the number of threads; use it on a busy machine.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.metadata
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tfnst import StyleTransferConfig

if TYPE_CHECKING:
    import tensorflow as tf
    import torch

WARM_UP = 2
MIN_COVARIANCE = 0.01
LAYOUTS = ("contiguous", "channels last")
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
    parser.add_argument("--sizes", default="256,512", help="sides of the pictures")
    parser.add_argument("--rounds", type=int, default=7, help="steps to time")
    parser.add_argument(
        "--precisions", default="float32,bfloat16", help="float32, bfloat16 or both"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="threads of both; all cores by default",
    )
    parser.add_argument(
        "--no-compile",
        action="store_true",
        help="leave out torch.compile, which takes minutes to compile",
    )
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="compare processor times",
    )
    arguments = parser.parse_args()

    import tensorflow as tf

    for use_threads in (
        tf.config.threading.set_intra_op_parallelism_threads,
        tf.config.threading.set_inter_op_parallelism_threads,
    ):
        use_threads(arguments.threads)
    if arguments.processor_time:
        # Or else PyTorch's threads count as busy while they wait for each other, which
        # is most of the time where they have to share their cores. TensorFlow's sleep.
        os.environ["OMP_WAIT_POLICY"] = "passive"
    precisions = arguments.precisions.split(",")
    variants = [
        Variant(precision, layout, compiled)
        for precision in precisions
        for layout in LAYOUTS
        for compiled in ((False,) if arguments.no_compile else (False, True))
    ]
    print(
        f"PyTorch {importlib.metadata.version('torch')}, TensorFlow {tf.__version__}, "
        f"{arguments.threads} threads",
        flush=True,
    )
    for size in map(int, arguments.sizes.split(",")):
        own = [tfnst_case(CONFIG.replace(precision=each), size) for each in precisions]
        with torch_cases(size, variants, arguments.threads) as others:
            cases = sorted(own + others, key=lambda case: case.precision != "float32")
            compare_losses(cases)
            for _ in range(arguments.rounds):
                for case in cases:
                    case.steps.append(case.take())
        show(size, cases, arguments.threads, processor=arguments.processor_time)


class Step(NamedTuple):
    """A measured step: the loss before it and the time that it took.

    Attributes:
        loss: total loss.
        wall: wall time in seconds.
        processor: processor time of all its threads in seconds.
    """

    loss: float
    wall: float
    processor: float

    @classmethod
    def timed(cls, step: Callable[[], float]) -> Step:
        """Takes a step that returns the loss before it."""
        wall, processor = time.perf_counter(), time.process_time()
        loss = step()
        return cls(loss, time.perf_counter() - wall, time.process_time() - processor)


@dataclasses.dataclass
class Case:
    """A way to compute a step.

    Attributes:
        name: name in the table.
        precision: precision of the network.
        take: function that takes a step.
        steps: timed steps.
    """

    name: str
    precision: str
    take: Callable[[], Step]
    steps: list[Step] = dataclasses.field(default_factory=list)

    def seconds(self, threads: int, *, processor: bool) -> float:
        """The median time of a step, or of the processor per thread."""
        if processor:
            return statistics.median(step.processor for step in self.steps) / threads
        return statistics.median(step.wall for step in self.steps)


def compare_losses(cases: Sequence[Case]) -> None:
    """Takes some steps of each case and checks that their losses agree."""
    losses = np.array([[case.take().loss for _ in range(WARM_UP)] for case in cases])
    for case, each in zip(cases, losses, strict=True):
        tolerance = 1e-3 if case.precision == "float32" else 2e-2
        np.testing.assert_allclose(each, losses[0], rtol=tolerance, err_msg=case.name)


def show(size: int, cases: Sequence[Case], threads: int, *, processor: bool) -> None:
    """Prints a table of the cases, and of tfnst against PyTorch's best variant.

    Args:
        size: side of the pictures.
        cases: cases with timed steps; ratios are relative to the first.
        threads: number of threads.
        processor: whether to compare processor times.
    """

    def compared(case: Case) -> float:
        return case.seconds(threads, processor=processor)

    print(f"\n{size:4}^2  {'step':42}  wall s  processor s  ratio")
    for case in cases:
        wall, busy = (case.seconds(threads, processor=each) for each in (False, True))
        ratio = compared(case) / compared(cases[0])
        print(f"        {case.name:42}  {wall:6.3f}  {busy:11.3f}  {ratio:5.2f}")
    for precision in dict.fromkeys(case.precision for case in cases):
        own, *others = (case for case in cases if case.precision == precision)
        best = min(others, key=compared)
        print(
            f"        {own.name} is {compared(best) / compared(own):.2f} times as fast "
            f"as {best.name}",
            flush=True,
        )


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

    return Case(f"tfnst {config.precision}", config.precision, lambda: Step.timed(step))


class Variant(NamedTuple):
    """A way to compute a step in PyTorch.

    Attributes:
        precision: precision of the network, `"float32"` or `"bfloat16"`.
        layout: layout of its activations in memory, one of `LAYOUTS`.
        compiled: whether `torch.compile` compiles loss and gradient.
    """

    precision: str
    layout: str
    compiled: bool

    @property
    def name(self) -> str:
        compiled = ", compiled" if self.compiled else ""
        return f"PyTorch {self.precision}, {self.layout}{compiled}"


@dataclasses.dataclass
class TorchTask:
    """Inputs of PyTorch's step, without any object of TensorFlow.

    Attributes:
        config: the settings.
        threads: number of threads.
        layers: name, kernel and bias of each layer; None for those of poolings.
        mean: mean to subtract from the pixels, in blue, green and red.
        border: mirrored pixels that the network sees around a picture.
        content_layer: name of the content layer.
        style_layers: weights of the style layers by name.
        content: the content image, [1, 3, H, W].
        style: the style image, the same.
    """

    config: StyleTransferConfig
    threads: int
    layers: list[tuple[str, np.ndarray | None, np.ndarray | None]]
    mean: tuple[float, ...]
    border: int
    content_layer: str
    style_layers: dict[str, float]
    content: np.ndarray
    style: np.ndarray


@contextlib.contextmanager
def torch_cases(
    size: int, variants: Sequence[Variant], threads: int
) -> Iterator[list[Case]]:
    """The same step in PyTorch, in another process, in each way that works there."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(
        target=serve_steps, args=(there, torch_task(size, threads), variants)
    )
    process.start()
    there.close()

    def case(index: int) -> Case:
        def take() -> Step:
            here.send(index)
            return here.recv()

        return Case(variants[index].name, variants[index].precision, take)

    try:
        cases = []
        for index, variant in enumerate(variants):
            failure = here.recv()
            if failure is None:
                cases.append(case(index))
            else:
                print(f"Left out: {variant.name}: {failure}", flush=True)
        yield cases
    finally:
        here.close()
        process.join()


def torch_task(size: int, threads: int) -> TorchTask:
    """Inputs for PyTorch to take tfnst's step on square pictures of a size."""
    import keras

    from tfnst.engines import loading
    from tfnst.networks.features import IMAGENET_MEAN_BGR

    loop, _ = loading.load_engine(CONFIG.replace(precision="float32"))
    layers: list[tuple[str, np.ndarray | None, np.ndarray | None]] = []
    for layer in loop.feature_extractor.layers:
        if isinstance(layer, keras.layers.Conv2D):
            # tfnst's own layers have another weight, which follows from these.
            kernel, bias, *_ = layer.get_weights()
            layers.append((layer.name, kernel.transpose(3, 2, 0, 1).copy(), bias))
        elif isinstance(layer, keras.layers.MaxPooling2D):
            layers.append((layer.name, None, None))
    (content_layer,) = loop.objective.content_layers
    content, style = (
        picture.numpy().transpose(0, 3, 1, 2).copy() for picture in pictures(size)
    )
    border, behind = loop.objective.border.widths(size)
    if border != behind:
        raise ValueError(
            f"`size` must be a multiple of the network's stride. Received: {size}"
        )
    return TorchTask(
        config=CONFIG,
        threads=threads,
        layers=layers,
        mean=IMAGENET_MEAN_BGR,
        border=border,
        content_layer=content_layer,
        style_layers=loop.objective.style_layers,
        content=content,
        style=style,
    )


def serve_steps(
    connection: Connection, task: TorchTask, variants: Sequence[Variant]
) -> None:
    """Takes a step of a variant whenever it is sent its index, and answers with it.

    At first, it sends for each variant why it can't be had, or None.
    """
    import torch

    torch.set_num_threads(task.threads)
    steps = []
    for variant in variants:
        try:
            steps.append(build_step(task, variant))
            failure = None
        except Exception as error:
            # Compilers differ from machine to machine, and some have none.
            if not variant.compiled:
                raise
            steps.append(None)
            failure = str(error).strip().partition("\n")[0]
        connection.send(failure)
    while True:
        try:
            index = connection.recv()
        except EOFError:
            break
        connection.send(Step.timed(steps[index]))


def build_step(task: TorchTask, variant: Variant) -> Callable[[], float]:
    """PyTorch's step, starting from the content image."""
    import torch

    config = task.config
    content, style = map(torch.from_numpy, (task.content, task.style))
    loss_of = build_loss(task, variant, content, style)
    if variant.compiled:
        loss_of = torch.compile(loss_of, dynamic=False)
    image = content.clone().requires_grad_(True)
    adam = torch.optim.Adam(
        [image], lr=config.learning_rate, betas=(0.9, 0.99), fused=True
    )
    average = image.detach().clone()
    taken = 0
    if variant.compiled:
        # Compiles, or fails to.
        torch.autograd.grad(loss_of(image), image)

    def step() -> float:
        nonlocal taken
        loss = loss_of(image)
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


def build_loss(
    task: TorchTask, variant: Variant, content: torch.Tensor, style: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The total loss as a function of the picture, [1, 3, H, W]."""
    import torch

    weights, style_weights = task.config.loss_weights(), task.style_layers
    network, sums = TorchNetwork(task, variant), channel_sums()
    with torch.no_grad():
        wanted = network(content)[task.content_layer]
        energy = wanted.float().square().sum()
        seen = network(style)
        moments = {layer: torch_moments(sums, seen[layer]) for layer in style_weights}

    def loss_of(image: torch.Tensor) -> torch.Tensor:
        seen = network(image)
        difference = (seen[task.content_layer] - wanted).float()
        loss = weights["content_weight"] * difference.square().sum() / energy
        for layer, weight in style_weights.items():
            measured = torch_moments(sums, seen[layer])
            distance = moments_distance(measured, moments[layer])
            loss = loss + weights["style_weight"] * weight * distance
        variation = (image[:, :, 1:] - image[:, :, :-1]).square().mean()
        variation = variation + (image[..., 1:] - image[..., :-1]).square().mean()
        return loss + weights["total_variation_weight"] * variation

    return loss_of


class TorchNetwork:
    """The feature extractor, rebuilt layer by layer in PyTorch."""

    def __init__(self, task: TorchTask, variant: Variant) -> None:
        import torch

        self.layers = []
        self.border = task.border
        self.kind = getattr(torch, variant.precision)
        self.layout = (
            torch.channels_last
            if variant.layout == "channels last"
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
        # One pixel more in place of the first convolution's zeros.
        for width in (self.border, 1):
            x = mirrored(mirrored(x, 2, width), 3, width)
        x = x.to(self.kind).contiguous(memory_format=self.layout)
        seen = {}
        for index, (name, kernel, bias) in enumerate(self.layers):
            if kernel is None:
                x = functional.max_pool2d(x, 2)
            else:
                x = functional.conv2d(x, kernel, bias, padding=1 if index else 0)
                x = functional.relu(x, inplace=True)
            if name in self.wanted:
                seen[name] = x
        return seen


def mirrored(x: torch.Tensor, axis: int, width: int) -> torch.Tensor:
    """A tensor with a mirrored border along an axis."""
    import torch

    first = x.narrow(axis, 0, width).flip(axis)
    last = x.narrow(axis, x.shape[axis] - width, width).flip(axis)
    return torch.cat([first, x, last], axis)


def channel_sums() -> Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Sums of activations [1, C, H, W], and of their products, as a function.

    Sums of rows are added up in float32, and the gradient is a single product, as in
    tfnst, in the memory layout of the activations.
    """
    import torch

    class ChannelSums(torch.autograd.Function):
        @staticmethod
        def forward(
            context: Any, activations: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            context.save_for_backward(activations)
            flat = activations.flatten(2)[0]
            return activations[0].sum(2).float().sum(1), (flat @ flat.T).float()

        @staticmethod
        def backward(
            context: Any, by_sums: torch.Tensor, by_products: torch.Tensor
        ) -> torch.Tensor:
            (activations,) = context.saved_tensors
            flat = activations.flatten(2)[0]
            symmetric = (by_products + by_products.T).to(flat.dtype)
            by_sums = by_sums.to(flat.dtype)
            if flat.is_contiguous():
                gradient = torch.addmm(by_sums[:, None], symmetric, flat)
            else:
                gradient = torch.addmm(by_sums, flat.T, symmetric).T
            return gradient.unflatten(1, activations.shape[2:])[None]

    return ChannelSums.apply


def torch_moments(
    sums: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    activations: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean, covariance and Gram matrix of the channels."""
    count = activations[0, 0].numel()
    mean, gram = (each / count for each in sums(activations))
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
