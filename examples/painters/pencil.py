"""Graphite: a still life in layers of hatching on grained paper."""

import numpy as np
from PIL import Image

from painters.common import (
    SUPERSAMPLE,
    blur,
    enlarge,
    finish,
    noise,
    pick,
    ribbon,
    smoothstep,
    trace,
)
from painters.still_life import TABLE, WALL, look

# Layers of straight hatching: the darkness they begin at, their slant, the space
# between strokes, their length and width, and how firmly the pencil is pressed.
LAYERS = (
    (0.10, -0.95, 9.5, 170, 4.2, 0.62),
    (0.30, -0.45, 8.5, 130, 4.0, 0.66),
    (0.48, -1.45, 8.5, 110, 4.4, 0.72),
    (0.64, 0.65, 8.0, 90, 4.8, 0.85),
    (0.76, -0.80, 6.5, 80, 5.6, 1.0),
    (0.86, -0.25, 6.0, 60, 5.6, 1.1),
)


class Sheet:
    """Paper with a tooth, and the graphite on it."""

    def __init__(self, shape, unit, rng):
        tooth = noise(shape, 3.6 * unit, rng, 2) + 0.4 * noise(shape, 9 * unit, rng, 2)
        # As many hollows as hills: the share of the paper that lies lower.
        levels = np.quantile(tooth[::4, ::4], np.linspace(0, 1, 256))
        self.tooth = np.interp(tooth, levels, np.linspace(0, 1, 256))
        self.graphite = np.zeros(shape, np.float32)

    def rub(self, rows, cols, pressure):
        """Leaves graphite on the hills of the paper, and with pressure in hollows."""
        tooth = self.tooth[rows, cols]
        caught = np.clip(1.5 * pressure + 0.8 * (tooth - 0.5) - 0.13, 0, 1)
        self.graphite[rows, cols] += (
            caught * (0.25 + 0.75 * pressure) * np.minimum(1, 9 * pressure)
        )

    def draw(self, path, width, pressure, rng):
        """Draws one stroke; its pressure is given at equal steps along the path."""
        points, along, across = ribbon(path, width)
        press = np.interp(along, np.linspace(0, 1, len(pressure)), pressure)
        # The lead sets down firmly and leaves in a flick.
        press = press * np.clip(along * 12, 0.3, 1) * np.clip((1 - along) * 3.5, 0, 1)
        press = press * np.sqrt(np.clip(1 - across**2 * 0.8, 0, 1))
        cols, rows = np.moveaxis(np.rint(points).astype(int), -1, 0)
        keep = (press > 0.03) & (cols >= 0) & (cols < self.tooth.shape[1])
        keep &= (rows >= 0) & (rows < self.tooth.shape[0])
        self.rub(rows[keep], cols[keep], press[keep])


def rows_of_strokes(shape, angle, gap, length, rng):
    """Straight strokes in rows, as a hand draws them: arrays of points."""
    reach = np.hypot(*shape) / 2
    ahead = np.array([np.cos(angle), np.sin(angle)])
    aside = np.array([-ahead[1], ahead[0]])
    middle = np.array([shape[1], shape[0]]) / 2
    steps = np.linspace(0, 1, 9)[:, None]
    for offset in np.arange(-reach, reach, gap):
        at = -reach + rng.uniform(0, length)
        while at < reach:
            long = length * rng.uniform(0.5, 1.15)
            lean = rng.normal(0, 0.035)
            bow = rng.normal(0.03, 0.012) * long
            base = middle + ahead * at + aside * (offset + rng.normal(0, 0.28 * gap))
            path = base + ahead * steps * long
            path = path + aside * (steps * lean * long + bow * 4 * steps * (1 - steps))
            if ((path > -long) & (path < np.array(shape[::-1]) + long)).all():
                yield path
            at += long * rng.uniform(0.75, 1.0)


def hatch(sheet, tone, strokes, width, firm, rng):
    """Draws strokes with the pressure that the tone asks for along each of them."""
    for path in strokes:
        wanted = pick(tone, path)
        if wanted.max() <= 0.02 or (wanted > 0).mean() < 0.3:
            continue
        # The hand doesn't stop at every edge, but lifts off where it is light.
        inside = np.flatnonzero(wanted > 0)
        inside = slice(inside[0], inside[-1] + 1)
        path, wanted = path[inside], wanted[inside]
        if len(path) < 3:
            continue
        pressure = np.clip(wanted, 0, 1) * firm * rng.uniform(0.75, 1.15)
        sheet.draw(path, width * rng.uniform(0.8, 1.2), pressure, rng)


def tangents(plane, radius):
    """The direction of the edges of a picture, from its structure tensor."""
    down, right = np.gradient(plane)
    xx, xy, yy = (blur(a, radius) for a in (right * right, right * down, down * down))
    return 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2


def outline(sheet, view, unit, rng):
    """Searches for the outlines in short strokes, darker on the side off the light."""
    shape = sheet.tooth.shape
    labels = view.kind * 3.0 + np.minimum(view.depth, 8) * 4
    edge = np.hypot(*np.gradient(labels)) > 0.35
    room = np.isin(view.kind, (TABLE, WALL)).astype(float)
    edge &= blur(room, 1) < 0.99  # the table and the wall meet without a line
    way = tangents(labels, 2)
    way = np.arctan2(enlarge(np.sin(way), shape), enlarge(np.cos(way), shape))
    near = enlarge(blur(edge * 1.0, 1.2), shape) > 0.05
    shade = enlarge(blur(view.shadow, 3), shape)
    places = (np.argwhere(edge)[:, ::-1] + 0.5) * shape[0] / edge.shape[0]
    starts = places[rng.random(len(places)) < 0.085]
    back, ahead = (trace(way + turn, starts, 14, 6 * unit) for turn in (np.pi, 0))
    paths = np.concatenate([back[:, :0:-1], ahead], axis=1)
    for path, kept in zip(paths, pick(near, paths), strict=True):
        middle = len(path) // 2
        low, high = (
            int(np.argmin(np.append(part, False)))
            for part in (kept[middle::-1], kept[middle:])
        )
        path = path[max(0, middle - low + 1) : middle + high]
        if len(path) < 6:
            continue
        path = path + rng.normal(0, 0.9 * unit, 2)
        firm = 0.52 + 0.5 * pick(shade, path).mean() ** 1.5
        pressure = firm * rng.uniform(0.6, 1.1) * rng.uniform(0.75, 1, 5)
        sheet.draw(path, rng.uniform(3, 4.4) * unit, pressure, rng)


def darkness(view, shape, unit, rng):
    """Darkness of the drawing, 0..1, and the kinds of things, at the sheet's size."""
    dark = (0.95 - np.clip(view.light, 0, 1) ** (1 / 2.2)) / 0.72
    dark = enlarge(np.clip(dark, 0, 1), shape)
    kind = enlarge(view.kind, shape, Image.Resampling.NEAREST)
    y, x = np.mgrid[: shape[0], : shape[1]] / shape[0]
    drift = noise(shape, 330 * unit, rng, 3)
    # The wall is darker behind the lit side, and the sheet stays bare around.
    away = np.hypot((x - 0.48 * shape[1] / shape[0]) / 1.05, (y - 0.5) / 0.92)
    room = smoothstep(0.92, 0.50, away + 0.06 * drift)
    wall = 0.25 + 0.33 * smoothstep(0.95, 0.25, x) + 0.10 * drift
    table = np.where(dark > 0.55, dark, (dark - 0.10 + 0.06 * drift) * room)
    dark = np.where(kind == WALL, wall * room, np.where(kind == TABLE, table, dark))
    return np.clip(dark, 0, 1), kind


def hatch_round(sheet, dark, kind, around, unit, rng):
    """Draws strokes round the forms."""
    shape = sheet.tooth.shape
    count = int(shape[0] * shape[1] / (26 * unit) ** 2)
    starts = rng.uniform(0, 1, (count, 2)) * shape[::-1]
    starts = starts[pick(kind, starts) > WALL]
    paths = trace(around, starts, 12, 9 * unit)
    for path, place in zip(paths, pick(kind, paths), strict=True):
        path = path[: int(np.argmin(np.append(place == place[0], False)))]
        if len(path) < 5:
            continue
        tone = np.clip((pick(dark, path) - 0.10) / 0.5, 0, 1)
        if tone.max() > 0.05:
            sheet.draw(path, 4 * unit, 0.75 * tone, rng)


def paint_pencil(height, width, *, seed):
    """Draws a jug, a book and fruit in graphite."""
    rng = np.random.default_rng(seed)
    shape = (height * SUPERSAMPLE, width * SUPERSAMPLE)
    unit = shape[0] / 1500
    view = look(height, width)
    dark, kind = darkness(view, shape, unit, rng)
    sheet = Sheet(shape, unit, rng)
    # A first tone with the side of the lead.
    soft = blur(dark, 5 * unit)
    first = np.clip(0.04 + 0.36 * soft, 0, 1) * smoothstep(0.12, 0.40, soft)
    sheet.rub(*np.indices(shape), first)
    for least, slant, gap, length, wide, firm in LAYERS:
        tone = np.clip((dark - least) / 0.30, -1, 1)
        strokes = rows_of_strokes(shape, slant, gap * unit, length * unit, rng)
        hatch(sheet, tone, strokes, wide * unit, firm, rng)
    around = enlarge(view.around, shape, Image.Resampling.NEAREST)
    hatch_round(sheet, dark, kind, around, unit, rng)
    outline(sheet, view, unit, rng)
    paper = 0.955 + 0.012 * noise(shape, 4 * unit, rng, 2)
    paper += 0.008 * noise(shape, 400 * unit, rng, 2)
    covered = 1 - np.exp(-1.3 * sheet.graphite)
    grey = paper * (1 - covered) + 0.17 * covered
    return finish(np.repeat(grey[..., None], 3, axis=-1))
