"""Tools that the painters share: colours, noise, light, and paths with a width."""

import numpy as np
from PIL import Image

SUPERSAMPLE = 2  # Paint at twice the size; scaling down smooths the edges.


def hex_colors(*codes):
    """Turns codes such as ``"1b2a6b"`` into an array of RGB rows in 0..1."""
    return np.array([list(bytes.fromhex(code)) for code in codes]) / 255.0


def ramp(palette, position):
    """Looks up colours along a palette, at positions in 0..1."""
    stops = np.linspace(0, 1, len(palette))
    channels = [np.interp(position, stops, palette[:, i]) for i in range(3)]
    return np.stack(channels, axis=-1)


def smoothstep(low, high, value):
    """Rises smoothly from 0 at ``low`` to 1 at ``high``."""
    x = np.clip((value - low) / (high - low), 0, 1)
    return x * x * (3 - 2 * x)


def blur(plane, radius):
    """Blurs a float plane with a Gaussian of a radius in pixels."""
    reach = max(1, int(3 * radius))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    taps /= taps.sum()
    for _ in range(2):
        padded = np.pad(plane, ((reach, reach), (0, 0)), mode="edge")
        plane = sum(
            tap * padded[i : i + plane.shape[0]] for i, tap in enumerate(taps)
        ).T
    return plane


def noise(shape, scale, rng, octaves=3):
    """Makes smooth noise, about -1..1, with features of ``scale`` pixels."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cell = max(scale / 2**octave, 1)
        rows, cols = (int(np.ceil(side / cell)) + 3 for side in shape)
        knots = Image.fromarray(rng.uniform(-1, 1, (rows, cols)).astype(np.float32))
        # The box keeps the cells square, whatever the shape of the picture.
        box = (1, 1, 1 + shape[1] / cell, 1 + shape[0] / cell)
        layer = knots.resize(shape[::-1], Image.Resampling.BICUBIC, box=box)
        total += np.asarray(layer) * 0.5**octave
    return total


def lit(relief, strength):
    """Shades a height map with a light from the upper left: -1..1, 0 if flat."""
    down, right = np.gradient(relief)
    slope = (down * 0.8 + right * 0.6) * strength
    return slope / np.sqrt(1 + slope**2)


def finish(canvas):
    """Scales a supersampled canvas down to bytes."""
    image = Image.fromarray((np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8))
    size = (image.width // SUPERSAMPLE, image.height // SUPERSAMPLE)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def pick(field, points):
    """Reads a field at the nearest pixels to points given as (x, y)."""
    rows = np.clip(points[..., 1], 0, field.shape[0] - 1).astype(int)
    cols = np.clip(points[..., 0], 0, field.shape[1] - 1).astype(int)
    return field[rows, cols]


def trace(angle, starts, steps, stride):
    """Walks from each start along a field of angles; (starts, steps, 2)."""
    paths = [np.asarray(starts, float)]
    for _ in range(steps - 1):
        here = paths[-1]
        half = pick(angle, here)
        middle = here + stride / 2 * np.stack([np.cos(half), np.sin(half)], -1)
        turn = pick(angle, middle)
        paths.append(here + stride * np.stack([np.cos(turn), np.sin(turn)], -1))
    return np.stack(paths, axis=1)


def ribbon(path, width):
    """Fills a band around a path with samples closer than a pixel.

    Returns:
        points: (along, across, 2) positions on the canvas.
        along: (along, 1) from 0 at the start to 1 at the end.
        across: (1, across) from -1 at one edge to 1 at the other.
    """
    steps = np.diff(path, axis=0)
    length = np.concatenate([[0], np.cumsum(np.hypot(*steps.T))])
    at = np.linspace(0, length[-1], max(int(length[-1] / 0.48), 4))
    line = np.stack([np.interp(at, length, path[:, i]) for i in (0, 1)], -1)
    tangent = np.gradient(line, axis=0)
    # A bend of the polyline would fold the band; a short average rounds it off.
    size = min(9, len(at))
    window = np.ones(size) / size
    tangent = np.stack([np.convolve(tangent[:, i], window, "same") for i in (0, 1)], -1)
    tangent /= np.hypot(*tangent.T)[:, None] + 1e-9
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], -1)
    across = np.linspace(-1, 1, max(int(width / 0.48), 3))[None, :]
    points = line[:, None] + normal[:, None] * (across[..., None] * width / 2)
    return points, (at / at[-1])[:, None], across


def enlarge(plane, shape, resample=Image.Resampling.BICUBIC):
    """Resizes a plane."""
    image = Image.fromarray(np.asarray(plane, np.float32))
    return np.asarray(image.resize(shape[::-1], resample))
