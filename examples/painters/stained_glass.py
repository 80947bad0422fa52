"""Stained glass: a leaded rose window with the light behind it."""

import numpy as np

from painters.common import (
    SUPERSAMPLE,
    blur,
    finish,
    hex_colors,
    lit,
    noise,
    smoothstep,
)


def rose_window(shape, rng):
    """Lays out the leads of a rose window.

    Returns:
        cell: number of the pane at each pixel.
        gap: distance to the nearest lead in pixels.
        wheel: for every pane, the wheel of the window that it is part of.
    """
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    size = shape[0]
    x, y = (x - 0.5 * shape[1]) / size, (y - 0.5 * size) / size
    x += 0.004 * noise(shape, size / 6, rng)
    y += 0.004 * noise(shape, size / 6, rng)
    radius, turn = np.hypot(x, y), np.arctan2(y, x)
    # Rings whose outlines are scalloped: outer radius, scallops and their depth.
    rims = [(0.085, 12, 0.0), (0.215, 12, 0.028), (0.40, 12, 0.035), (0.55, 24, 0.014)]
    ring = np.zeros(shape, int)
    gap = np.full(shape, 9.0, np.float32)
    for rim, count, depth in rims:
        # Arches meet in cusps, as the foils of tracery do.
        edge = rim + depth * (2 * np.abs(np.cos(turn * count / 2)) - 1)
        ring += radius > edge
        gap = np.minimum(gap, np.abs(radius - edge) * 0.9)
    # Panes are the Voronoi cells of seeds that stand in wheels, one ring or more
    # to a wheel: home ring, radius, number of seeds, offset.
    wheels = [(0, 0.0, 1, 0), (0, 0.06, 12, 0.5), (1, 0.115, 12, 0.5)]
    wheels += [(1, 0.17, 24, 0.5), (1, 0.215, 12, 0), (2, 0.26, 24, 0.5)]
    wheels += [(2, 0.315, 24, 0), (2, 0.385, 36, 0.5), (3, 0.44, 24, 0)]
    wheels += [(3, 0.51, 48, 0.5)]
    seeds = []
    for wheel, (home, rim, count, phase) in enumerate(wheels):
        spin = 2 * np.pi * (np.arange(count) + phase) / count
        spin += rng.normal(0, 0.014, count)
        reach = rim + rng.normal(0, 0.003, count)
        spots = np.stack([reach * np.cos(spin), reach * np.sin(spin)], -1)
        seeds += [(home, *spot, wheel) for spot in spots]
    for _ in range(3000):
        spot = rng.uniform(-0.52, 0.52, 2) * (shape[1] / size, 1)
        near = min(np.hypot(spot[0] - a, spot[1] - b) for _, a, b, _ in seeds)
        if np.hypot(*spot) > 0.57 and near > 0.052:
            seeds.append((4, *spot, len(wheels)))
    first = np.full(shape, 9.0, np.float32)
    second, cell, other = first.copy(), np.zeros(shape, int), np.zeros(shape, int)
    for number, (home, a, b, _) in enumerate(seeds):
        away = (x - a) ** 2 + (y - b) ** 2 + (ring != home) * 4
        closer, runner = away < first, away < second
        other = np.where(closer, cell, np.where(runner, number, other))
        second = np.where(closer, first, np.where(runner, away, second))
        cell, first = np.where(closer, number, cell), np.minimum(first, away)
    places = np.array([seed[1:3] for seed in seeds])
    apart = np.hypot(*np.moveaxis(places[cell] - places[other], -1, 0))
    gap = np.minimum(gap * 0.75, (second - first) / (2 * apart + 1e-6))
    return cell, gap * size, np.array([seed[3] for seed in seeds])


def paint_stained_glass(height, width, *, seed):
    """Paints a rose window of streaky glass with the light behind it."""
    rng = np.random.default_rng(seed)
    shape = (height * SUPERSAMPLE, width * SUPERSAMPLE)
    unit = shape[0] / 1152
    cell, gap, wheel = rose_window(shape, rng)
    count = len(wheel)
    red, ruby, orange = hex_colors("d81b22", "9c0f2e", "f0701c")
    gold, lemon, pale = hex_colors("f7b21c", "fbdc55", "f5ecc0")
    cobalt, azure, navy = hex_colors("1846c4", "2f9be0", "13228a")
    green, teal, violet = hex_colors("1f9a48", "0c7c7c", "6a2fb0")
    rose = hex_colors("d24a8c")[0]
    # Panes of one wheel alternate between the colours of its row.
    rows = [[lemon], [red, gold], [cobalt], [ruby, azure], [orange], [navy, azure]]
    rows += [[violet, cobalt], [red, gold, navy], [green, teal], [gold, ruby]]
    rows += [[cobalt, navy, azure, cobalt, teal, navy, rose, violet, ruby, pale]]
    glass = np.empty((count, 3))
    for number, place in enumerate(wheel):
        row = rows[place]
        turn = rng.integers(len(row)) if place == len(rows) - 1 else number
        glass[number] = row[turn % len(row)] + rng.normal(0, 0.03, 3)
    # Each pane is cut from its own sheet: streaks run its own way.
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    streaks = noise(shape, 190 * unit, rng, 4)
    lean = rng.uniform(0, np.pi, count)[cell]
    side = np.cos(lean) * x + np.sin(lean) * y + 30 * unit * streaks
    offset = rng.uniform(0, 99, count)[cell]
    wave = np.sin(side / (13 * unit) + offset) + 0.6 * np.sin(side / (5 * unit))
    cloud = noise(shape, 60 * unit, rng, 4)
    light = 1.12 + 0.20 * wave * (0.4 + np.abs(cloud)) + 0.22 * cloud
    light += rng.normal(0, 0.15, count)[cell]
    glow = np.hypot(x - shape[1] * 0.44, y - shape[0] * 0.4) / shape[0]
    light *= 1.22 - 0.5 * glow
    # Grime gathers along the leads, and a painted line follows them.
    light *= 0.5 + 0.5 * smoothstep(0, 15 * unit, gap)
    line = np.abs(gap - 13 * unit - 2 * unit * cloud)
    light *= 1 - 0.45 * smoothstep(2.6 * unit, 1.0 * unit, line) * (cell % 3 > 0)
    light *= 1 + 0.05 * noise(shape, 3 * unit, rng, 1)
    color = np.clip(glass[cell] * light[..., None], 0, None)
    # Strong light washes the colour towards white.
    color += 0.55 * np.clip(light - 1.12, 0, None)[..., None] * (1.1 - color)
    # The lead is a rounded bar of uneven width that catches some light.
    bar = unit * (4.6 + 1.3 * noise(shape, 70 * unit, rng))
    depth = np.sqrt(np.clip(1 - (gap / bar) ** 2, 0, None))
    lead = lit(blur(depth * 9 + 0.4 * noise(shape, 6 * unit, rng), 1.6), 0.6)
    metal = hex_colors("17161b")[0] * (1 + 0.9 * lead[..., None])
    metal = metal + np.clip(lead - 0.25, 0, None)[..., None] * hex_colors("5d6270")
    solid = smoothstep(bar + 0.8, bar - 0.8, gap)[..., None]
    window = color * (1 - solid)
    halo = np.stack([blur(window[..., i], 11 * unit) for i in range(3)], -1)
    return finish(window + metal * solid + 0.16 * halo)
