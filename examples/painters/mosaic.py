"""Mosaic: a vine scroll in glass and gold stones."""

import numpy as np
from PIL import Image

from painters.common import SUPERSAMPLE, blur, finish, hex_colors, lit, noise, pick

# The glass of each kind of thing (see vine_scroll and mosaic_scene): for every
# row from the outline inwards, the colours that its stones are drawn from.
GLASS = (
    (("1d4a2a", "2f6b33", "5f9a3a"),),
    (("14532f", "1d6b3a"), ("4f9f3a", "7fbf45"), ("c4dc6a", "a4cf58")),
    (("7a0f22", "93142a"), ("d8342a", "e8553a"), ("f59a7a", "f2b49a")),
    (("f3ead2", "fff8e6"), ("e9a81f", "f2c14a")),
    (("0f2a6e", "15388a"), ("1c4fae", "17409a", "1f62b8"), ("2a86c4", "1c4fae")),
    (("e9bd52", "d9a436"), ("c98f2a", "e2b046", "d6a032", "f0cb6a", "b47c22")),
    (("efe6cf",), ("8f1626", "a81d2a"), (), ("8f1626", "b5302c"), ("13225e", "1c3380")),
)
SECOND_FLOWER = (("5a1e6e", "6d2a7e"), ("d982ae", "e79cba"), ("f7dfe0", "f3c9d6"))
FRAME_CHECKS = (("1d8f9a", "2ba6a8"), ("13225e", "1c3380"))


def vine_scroll():
    """Lays out a vine scroll as discs: rows of x, y, radius and kind.

    The kinds are 0 for the stem, 1 for leaves, 2 for petals, 3 for hearts. The
    height of the picture is 1 and its width 4/3.
    """
    discs = []
    stem = np.linspace(0.07, 1.263, 160)
    discs += [(a, 0.5 + 0.02 * np.sin(15.5 * a), 0.0119, 0) for a in stem]
    for column, row in np.ndindex(3, 2):
        cx, cy = 0.257 + 0.41 * column, 0.27 + 0.46 * row
        sign = 1 if (column + row) % 2 else -1
        t = np.linspace(0, 1, 150)
        reach = 0.118 + 0.115 * (1 - t) ** 1.6
        turn = np.pi * (0.5 - row) + sign * t * 2.35 * np.pi
        spiral = np.stack([cx + reach * np.cos(turn), cy + reach * np.sin(turn)], -1)
        discs += [(*spot, 0.0119, 0) for spot in spiral]
        for at in (34, 66, 98):
            # Leaves curl out of the stem, and swell in the middle.
            heading = turn[at] + sign * 0.5
            for s in np.linspace(0, 1, 14):
                bend = heading + sign * 0.55 * s
                x = spiral[at, 0] + 0.125 * s * np.cos(bend)
                y = spiral[at, 1] + 0.125 * s * np.sin(bend)
                discs.append((x, y, 0.002 + 0.026 * np.sin(np.pi * s**0.75), 1))
        for petal in np.arange(6) * np.pi / 3 + 0.3 * column:
            for s in np.linspace(0.03, 0.068, 6):
                spot = cx + s * np.cos(petal), cy + s * np.sin(petal)
                discs.append((*spot, 0.36 * s + 0.003, 2))
        discs.append((cx, cy, 0.027, 3))
    return np.array(discs)


def mosaic_scene(shape):
    """Composes the mosaic.

    Returns:
        guide: distance to the nearest outline; rows of stones run along it.
        kind: kind of thing, as in ``vine_scroll``; 4 is the ground in the
            scrolls, 5 the gold ground and 6 the frame.
    """
    y, x = np.mgrid[: shape[0] : 3, : shape[1] : 3] / shape[0]
    fields = np.full((4, *x.shape), 9.0)
    for a, b, radius, kind in vine_scroll():
        field = fields[int(kind)]
        np.minimum(field, np.hypot(x - a, y - b) - radius, out=field)
    frame = np.minimum(np.minimum(x, shape[1] / shape[0] - x), np.minimum(y, 1 - y))
    outside = np.minimum(fields.min(axis=0), np.abs(frame - 0.072))
    guide, kind = outside, np.full(x.shape, 5)
    column = (x - 0.257 + 0.205) % 0.41 - 0.205
    inner = np.hypot(column, np.abs(y - 0.5) - 0.23) < 0.15
    kind[inner] = 4
    for number, field in enumerate(fields):
        guide = np.where(field < 0, np.abs(field), guide)
        kind = np.where(field < 0, number, kind)
    guide = np.where(frame < 0.072, np.abs(frame - 0.072), guide)
    kind = np.where(frame < 0.072, 6, kind)
    guide = Image.fromarray((guide * shape[0]).astype(np.float32))
    guide = np.asarray(guide.resize(shape[::-1], Image.Resampling.BILINEAR))
    kind = np.repeat(np.repeat(kind, 3, axis=0), 3, axis=1)
    return guide, kind[: shape[0], : shape[1]]


def stone_color(kind, row, spot, rng):
    """Chooses the glass of one stone by its place in the picture."""
    rows = GLASS[kind]
    if kind == 2 and (int((spot[0] - 0.05) / 0.41) + (spot[1] > 0.5)) % 2:
        rows = SECOND_FLOWER
    if kind == 6 and row == 2:
        # A checkered row runs in the middle of the frame.
        rows = FRAME_CHECKS
        row = int((spot // 0.035).sum() % 2)
    codes = rows[min(row, len(rows) - 1)]
    return hex_colors(*codes)[rng.integers(len(codes))]


def paint_mosaic(height, width, *, seed):
    """Sets a vine scroll in glass and gold stones that follow its outlines."""
    rng = np.random.default_rng(seed)
    shape = (height * SUPERSAMPLE, width * SUPERSAMPLE)
    size = shape[0] / 84  # The side of a stone.
    guide, kind = mosaic_scene(shape)
    down, right = np.gradient(blur(guide, 2))
    flow = np.arctan2(right, -down)
    mortar = 1 + 0.10 * noise(shape, 4, rng, 2) + 0.06 * noise(shape, 90, rng, 2)
    canvas = hex_colors("4a4038")[0] * mortar[..., None]
    relief = 0.6 * noise(shape, 3, rng, 1)
    taken = np.zeros(shape, np.float32)
    patina = 0.11 * noise(shape, shape[0] / 5, rng, 3)
    grid = np.linspace(-1, 1, int(size * 1.25 / 0.6))
    u, v = np.meshgrid(grid, grid)

    def set_stone(spot, side):
        """Sets a stone if there is room for it; returns whether there was."""
        turn = pick(flow, spot) + rng.normal(0, 0.05)
        # Corners move a little, for stones are cut by hand.
        long, broad = side * rng.uniform(0.43, 0.60), side * 0.44
        skew, taper = rng.normal(0, 0.06, 2)
        a = u * long * (1 + taper * v) + skew * v * broad
        b = v * broad * (1 + rng.normal(0, 0.06) * u)
        cols = np.rint(spot[0] + a * np.cos(turn) - b * np.sin(turn)).astype(int)
        rows = np.rint(spot[1] + a * np.sin(turn) + b * np.cos(turn)).astype(int)
        if rows.min() < 0 or cols.min() < 0:
            return False
        if rows.max() >= shape[0] or cols.max() >= shape[1]:
            return False
        if taken[rows, cols].mean() > 0.07:
            return False
        what = pick(kind, spot)
        glass = stone_color(what, int(pick(guide, spot) / size), spot / shape[0], rng)
        golden = what == 5
        tone = 1 + rng.normal(0, 0.17 if golden else 0.11) + pick(patina, spot)
        tilt = rng.normal(0, 0.16, 2)
        edge = np.clip(1 - np.maximum(np.abs(u), np.abs(v)), 0, 0.3) / 0.3
        shine = (tilt[0] * u + tilt[1] * v) * (1.1 if golden else 0.6)
        canvas[rows, cols] = (glass * tone)[None, None] * (1 + shine[..., None])
        relief[rows, cols] = 2 + 3 * np.sqrt(edge) + 3 * (tilt[0] * u + tilt[1] * v)
        taken[rows, cols] = 1
        return True

    # Full stones in rows from the outlines on, figures first; then splinters.
    for part, tries, stones in ((1, 16000, 60), (0.78, 16000, 1), (0.52, 22000, 1)):
        side = size * part
        spots = rng.uniform(0, 1, (tries, 2)) * shape[::-1]
        order = pick(guide, spots) // size + 50 * (pick(kind, spots) > 3)
        for spot in spots[np.argsort(order, kind="stable")]:
            for _ in range(stones):
                row = (np.floor(pick(guide, spot) / size) + 0.5) * size
                slope = np.array([pick(right, spot), pick(down, spot)])
                steep = max(float(slope @ slope), 0.25)
                if stones > 1:
                    spot = spot - slope * (pick(guide, spot) - row) / steep
                if not set_stone(spot, side):
                    break
                turn = pick(flow, spot)
                spot = spot + side * 1.1 * np.array([np.cos(turn), np.sin(turn)])
    shade = lit(blur(relief, 1.0), 0.7)[..., None]
    canvas = canvas * (1 + 0.42 * shade) + 0.30 * np.clip(shade - 0.45, 0, None)
    return finish(canvas)
