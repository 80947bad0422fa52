"""Pen and ink: hills, trees and clouds in hatching over a sepia wash."""

import numpy as np

from painters.common import (
    SUPERSAMPLE,
    blur,
    finish,
    hex_colors,
    noise,
    pick,
    ribbon,
    smoothstep,
    trace,
)


def hill_scene(shape, rng):
    """Composes the drawing.

    Returns:
        tone: darkness of the drawing, from 0 to 1.
        angle: direction of the first hatching.
        ridges: outlines of the hills, as lists of points.
        region: 0 in the sky, then the number of the hill, and 5 in trees.
        rim: rises through a half at the outline of a cloud or a tree.
    """
    y, x = np.mgrid[: shape[0], : shape[1]] / shape[0]
    size = shape[0]
    drift = noise(shape, size / 3, rng, 5)
    lumps = noise(shape, size / 28, rng, 3)
    tone = 0.52 - 0.62 * y + 0.10 * drift
    angle = 0.16 * drift - 0.10
    # Cumulus: heaps of puffs on a flat base, the lower ones in front.
    cloud = np.full(shape, -1.0)
    heaps = (
        (0.14, 0.33, 0.26),
        (0.70, 0.20, 0.20),
        (1.14, 0.39, 0.32),
        (0.40, 0.08, 0.12),
    )
    for left, base, broad in heaps:
        spots = np.clip(rng.normal(0, 0.4, 26), -0.75, 0.75)
        lifts = rng.random(26) * np.exp(-2.2 * spots**2) * 0.8
        for spot, lift in sorted(zip(spots, lifts, strict=True), key=lambda p: -p[1]):
            reach = broad * rng.uniform(0.16, 0.34) * np.exp(-0.5 * abs(spot))
            dx = (x - left - broad * spot) / reach + 0.16 * drift
            dy = (y - base + broad * lift) / reach
            puff = 1 - np.hypot(dx, dy) + 0.16 * lumps
            puff = np.minimum(puff, (base + 0.03 - y) / reach)
            shade = 0.34 * smoothstep(-0.3, 1.3, 0.55 * dx + 0.8 * dy)
            shade += 0.36 * smoothstep(base - 0.35 * broad, base + 0.03, y)
            tone = np.where(puff > 0, shade, tone)
            angle = np.where(puff > 0, 0.5 * dx - 0.2, angle)
            cloud = np.maximum(cloud, puff * reach / broad)
    rim = smoothstep(-0.06, 0.06, cloud)
    region = np.zeros(shape, int)
    ridges = []
    row = np.arange(shape[1]) / size
    jag = noise((4, shape[1]), size / 9, rng, 5)[0]
    roll = noise((4, shape[1]), size / 3, rng, 3)[0]
    tops = [0.47 - 0.20 * np.exp(-(((row - 0.38) / 0.20) ** 2)) + 0.045 * jag]
    tops += [0.57 - 0.05 * np.sin(3.4 * row + 2.4) + 0.03 * roll + 0.006 * jag]
    tops += [0.70 + 0.05 * np.sin(2.9 * row + 0.9) + 0.008 * jag]
    tops += [0.86 - 0.06 * np.sin(2.3 * row + 0.2) - 0.012 * roll]
    for number, top in enumerate(tops, 1):
        inside = y > top
        depth = y - top
        # Folds of the ground: lit from the left, and darker where they turn away.
        relief = noise(shape, size / (5 + 2 * number), rng, 4 if number == 1 else 2)
        right = np.gradient(blur(relief, size / 150), axis=1)
        turned = np.clip(right * size / 14, -1, 1)
        shade = 0.34 + (0.46 - 0.07 * number) * turned + 0.06 * number
        shade += 0.26 * np.exp(-depth / 0.03) * (number > 1) - 0.6 * depth
        furrow = np.sin((x - 0.7) / (depth + 0.10) * 7 + 2 * drift)
        shade += (number == 4) * (0.20 * furrow + 0.05)
        shade = np.maximum(shade, 0.10 * (number > 1))
        fall = 1.05 + 0.5 * turned + 0.2 * drift
        along = np.arctan2(np.gradient(top) * size, 1)[None] + 0.30 * relief
        tone = np.where(inside, shade, tone)
        angle = np.where(inside, fall if number == 1 else along, angle)
        region = np.where(inside, number, region)
        ridges.append(np.stack([row * size, top * size], -1))
    # Trees: crowns of lobes in front of the hills, dark on the side off the sun.
    for _ in range(46):
        number = rng.choice([1, 2, 2, 3])
        cx = rng.choice([0.16, 0.62, 1.16]) + rng.normal(0, 0.07)
        column = int(np.clip(cx * size, 0, shape[1] - 1))
        high = rng.uniform(0.016, 0.030) * (1 + number) * 0.7
        cy = tops[number][column] - 0.5 * high
        dx, dy = (x - cx) / (0.62 * high), (y - cy) / high
        crown = np.hypot(dx, dy) + 0.42 * noise(shape, size / 45, rng, 2)
        inside = (crown < 1) & (region <= number + 1)
        lobes = 0.62 + 0.42 * dx + 0.30 * dy + 0.25 * np.sin(9 * dx) * np.sin(7 * dy)
        tone = np.where(inside, lobes + 0.12, tone)
        angle = np.where(inside, 0.5 + 1.1 * dx + 0.8 * dy, angle)
        region = np.where(inside, 5, region)
    rim = np.where(region == 0, rim, blur(1.0 * (region == 5), size / 400))
    return np.clip(tone, 0, 1), angle, ridges, region, rim


def draw_line(ink, path, width, rng):
    """Draws one pen line: it swells with the pressure and ends in a point."""
    points, along, across = ribbon(path, width)
    press = np.interp(along, np.linspace(0, 1, 5), rng.uniform(0.55, 1, 5))
    press = press * np.clip(np.minimum(along * 14, (1 - along) * 5), 0.25, 1)
    cols, rows = np.moveaxis(np.rint(points[np.abs(across) < press]), -1, 0)
    keep = (cols >= 0) & (cols < ink.shape[1]) & (rows >= 0) & (rows < ink.shape[0])
    ink[rows[keep].astype(int), cols[keep].astype(int)] = 1


def hatch(ink, angle, room, region, gap, rng):
    """Fills the area where ``room`` is above 0 with lines along ``angle``."""
    height, width = ink.shape
    taken = np.zeros(ink.shape, np.float32)
    count = int(0.7 * height * width / gap**2)
    starts = rng.uniform(-0.02, 1.02, (count, 2)) * (width, height)
    paths = trace(angle, starts, 30, 0.45 * gap)
    depths = pick(room, paths) + rng.normal(0, 0.025, (count, 1))
    limits = rng.integers(10, 31, count)
    places = pick(region, paths)
    for path, depth, limit, place in zip(paths, depths, limits, places, strict=True):
        # A line stops at the light, at a contour and at other lines.
        stop = (depth < 0) | (place != place[0]) | (pick(taken, path) > 0)
        limit = min(limit, int(np.argmax(stop)) if stop.any() else limit)
        if limit < 5:
            continue
        path = path[:limit] + rng.normal(0, 0.04 * gap, (limit, 2))
        dark = float(np.clip(depth[:limit].mean(), 0, 0.5))
        draw_line(ink, path, gap * (0.24 + 0.36 * dark), rng)
        points, *_ = ribbon(path, gap * (2.1 - 1.9 * dark))
        cols, rows = np.moveaxis(points.reshape(-1, 2), -1, 0).astype(int)
        taken[np.clip(rows, 0, height - 1), np.clip(cols, 0, width - 1)] = 1


def paint_ink_hatching(height, width, *, seed):
    """Draws hills, trees and clouds in pen hatching over a sepia wash."""
    rng = np.random.default_rng(seed)
    shape = (height * SUPERSAMPLE, width * SUPERSAMPLE)
    unit = shape[0] / 1152
    tone, angle, ridges, region, rim = hill_scene(shape, rng)
    ink = np.zeros(shape, np.float32)
    angle = angle + 0.10 * noise(shape, 60 * unit, rng, 2)
    # Darker tones are crossed by more layers, each at its own slant.
    for least, slant, gap in (
        (0.08, 0.0, 8.5),
        (0.32, 0.85, 8.0),
        (0.54, -0.7, 7.5),
        (0.72, 1.6, 7.0),
    ):
        hatch(ink, angle + slant, tone - least, region, gap * unit, rng)
    down, right = np.gradient(blur(rim, 2 * unit))
    band = np.where(np.hypot(down, right) > 0.004, 0.3 - np.abs(rim - 0.5), -1)
    hatch(ink, np.arctan2(right, -down), band, region, 6 * unit, rng)
    for ridge in ridges:
        at = 0
        while at < len(ridge) - 40:
            reach = int(rng.uniform(60, 260) * unit)
            path = ridge[at : at + reach : 6] + rng.normal(0, 0.6 * unit, 2)
            seen = pick(region, path + np.array([0, 6])) < 5
            if len(path) > 4 and seen.all():
                draw_line(ink, path, rng.uniform(3, 4.6) * unit, rng)
            at += reach + int(rng.uniform(-20, 14) * unit)
    # Paper, then washes that pool at their edges, then the ink on top.
    fibre = noise(shape, 5 * unit, rng, 2) + 0.8 * noise(shape, 300 * unit, rng, 3)
    canvas = hex_colors("f1e4c8")[0] * (1 + 0.022 * fibre[..., None])
    soft = blur(tone, 9 * unit) + 0.10 * noise(shape, 130 * unit, rng, 4)
    tints = hex_colors("8fa3ad", "a8906f", "b08a52", "b98a3e", "a4682a", "6f5a2c")
    tint = np.stack([blur(tints[region][..., i], 3 * unit) for i in range(3)], -1)
    for level, strength in ((0.16, 0.30), (0.40, 0.36), (0.64, 0.40)):
        wash = smoothstep(level - 0.03, level + 0.03, soft)
        pool = np.exp(-(((soft - level - 0.02) / 0.022) ** 2))
        grain = 1 + 0.20 * noise(shape, 4 * unit, rng, 2)
        amount = strength * (wash + 0.30 * pool) * grain
        canvas *= 1 - np.clip(amount, 0, 1)[..., None] * (1 - tint)
    line = np.clip(blur(ink, 0.7) * (0.92 + 0.1 * fibre), 0, 1)[..., None]
    return finish(canvas * (1 - line) + hex_colors("2b1a12")[0] * line)
