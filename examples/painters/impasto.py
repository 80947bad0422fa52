"""Thick oil paint: flowers in a jar, lit from the left."""

import numpy as np

from painters.common import (
    SUPERSAMPLE,
    blur,
    finish,
    hex_colors,
    noise,
    pick,
    ramp,
    ribbon,
    smoothstep,
    trace,
)

# Lengths are in heights of the picture: the axis of the jar, its mouth and foot, and
# where the table begins.
CENTRE, MOUTH, FOOT, TABLE = 0.65, 0.635, 0.92, 0.775
WALL = hex_colors("2f5560", "4b7478", "6f9590", "95b0a2", "c4c8a8", "dcd3ad")
CLOTH = hex_colors("7c5f6e", "a9805f", "cf9f63", "e3c088", "f2e0b8")
GLAZE = hex_colors("14274f", "1f4480", "3a6fb0", "7fa9cf", "c9dbe2", "f6f3e6")
LEAF = hex_colors("12281f", "1e4a32", "3d7340", "6f9a45", "a9bf62", "d6d68a")
RED = hex_colors("4a0a14", "8e1220", "c8202a", "e8452c", "f5793f", "fbb488")
SOOT = hex_colors("0d0a14", "241430", "3a2a3c")
SEED = hex_colors("5f7a35", "a9b04e", "d8d07a")
WHITE = hex_colors("8b93b5", "b9c0d2", "e4e3df", "fbf6ea", "fffdf6")
YOLK = hex_colors("8a4a12", "cf8417", "f2b320", "fbdc5a")
BLUE = hex_colors("1a1c5e", "2a3fae", "4a6fe0", "86a4f0", "c3cdf6")
VIOLET = hex_colors("2a1450", "5a2a86", "8a5ab0")


def bristles(rng, count, knots, rows, hairs):
    """Values that differ from hair to hair, and change slowly along a stroke."""
    stops, at = np.linspace(0, 1, knots), np.linspace(0, 1, hairs)
    values = rng.standard_normal((count, knots))
    lines = np.stack([np.interp(at, stops, row) for row in values])
    place = np.linspace(0, count - 1.001, rows)
    low, part = place.astype(int), (place % 1)[:, None]
    return lines[low] * (1 - part) + lines[low + 1] * part


def loaded(palette, at, rng):
    """The load of a brush: a colour of a palette, and its neighbours."""
    colors = ramp(palette, np.clip([at, at + 0.22, at - 0.18], 0, 1))
    # No two loads are alike.
    shifts = rng.normal(0, 0.035, (3, 1)) + rng.normal(0, 0.021, (3, 3))
    return np.clip(colors + shifts, 0, 1)


class Canvas:
    """Paint and its thickness, in pixels of a picture 1,500 pixels high."""

    def __init__(self, shape, rng):
        self.shape, self.size, self.rng = shape, shape[0], rng
        self.unit = self.size / 1500
        y, x = np.mgrid[: shape[0], : shape[1]] / self.unit
        weave = np.sin(x * 0.9) * np.sin(y * 0.9)
        weave += 0.5 * noise(shape, 3 * self.unit, rng, 1)
        self.relief = (0.8 * weave).astype(np.float32)
        self.color = np.empty((*shape, 3), np.float32)

    def stroke(self, path, width, colors, *, thick=1.0, pick_up=0.25):
        """Lays one stroke of a loaded bristle brush.

        Args:
            path: (n, 2) points.
            width: width of the brush.
            colors: colours on the brush, [n, 3]; most of the paint has the first.
            thick: amount of paint on the brush.
            pick_up: share of the wet paint below that the brush takes along.
        """
        path = np.asarray(path) * self.size
        points, along, across = ribbon(path, max(width * self.size, 2))
        rows, hairs = points.shape[:2]
        knots = max(3, int(width * 470))
        furrows = bristles(self.rng, 5, knots, rows, hairs)
        blunt = min(0.4, 0.5 * width * self.size / (0.48 * rows))
        ends = blunt * (1 - np.sqrt(np.clip(1 - across**2, 0, 1)))
        ragged = 0.04 * np.abs(bristles(self.rng, 2, knots, rows, hairs))
        wet = (along > ends) & (along < 1 - 0.8 * ends - ragged)
        # Paint is pressed out to the sides and pushed ahead to the end of the stroke.
        ahead = (1 - along) / max(0.7 * blunt, 0.02)
        heap = 0.9 * np.exp(-(ahead**2)) * (1 - across**2)
        body = 0.85 + 0.75 * across**4 + heap + 0.30 * furrows
        body = body + 0.12 * bristles(self.rng, 3, 2 * knots, rows, hairs)
        height = np.clip(body, 0.05, None) * thick * 44 * width**0.5
        # Colours lie side by side in the hairs, not quite mixed.
        streak = bristles(self.rng, 2, knots, rows, hairs) + 0.3 * furrows
        paint = np.broadcast_to(colors[0], (rows, hairs, 3))
        for level, color in enumerate(colors[1:]):
            share = streak * (-1) ** level - 0.5 * level
            share = smoothstep(0.35, 1.1, share)[..., None]
            paint = paint * (1 - share) + color * share
        paint = paint * (1 + 0.035 * furrows[..., None])
        taken = np.broadcast_to(pick_up * (0.35 + 0.65 * along), wet.shape)[..., None]
        cols, lines = np.moveaxis(np.rint(points).astype(int), -1, 0)
        wet &= (cols >= 0) & (cols < self.shape[1])
        wet &= (lines >= 0) & (lines < self.shape[0])
        at, taken = (lines[wet], cols[wet]), taken[wet]
        self.color[at] = paint[wet] * (1 - taken) + self.color[at] * taken
        self.relief[at] = 0.45 * self.relief[at] + height[wet]

    def dab(self, start, angle, length, bend, width, palette, at, **how):
        """Lays a short curved stroke, in a colour of a palette."""
        turns = angle + bend * np.linspace(0, 1, 7)
        moves = np.stack([np.cos(turns), np.sin(turns)], -1) * length / 7
        path = np.concatenate([[start], start + np.cumsum(moves, axis=0)])
        self.stroke(path, width, loaded(palette, at, self.rng), **how)

    def lit(self):
        """The painting in a raking light from the upper left."""
        unit = self.unit
        relief = blur(self.relief * unit, 1.1 * unit)
        down, right = np.gradient(relief)
        slope = 0.30 * down + 0.46 * right
        tilt = 0.41 * down - 0.27 * right
        facing = slope / np.sqrt(1 + slope**2 + tilt**2)
        shadow = np.zeros(self.shape, np.float32)
        for step in range(1, 9):
            shift = round(step * 1.1 * unit), round(step * 1.7 * unit)
            higher = np.roll(relief, shift, (0, 1)) - relief - step * 1.15 * unit
            shadow = np.maximum(shadow, higher)
        shadow = smoothstep(0, 5, blur(shadow, 1.2 * unit) / unit)
        color = self.color * (1 + 0.46 * facing - 0.40 * shadow)[..., None]
        gloss = smoothstep(0.42, 0.85, facing) ** 2 * (1 - shadow)
        return color + 0.34 * gloss[..., None] * hex_colors("fff6e6")[0]


def light_from(way):
    """Amount by which a direction faces the light, -1..1."""
    return -0.78 * np.cos(way) - 0.62 * np.sin(way)


def paint_room(canvas):
    """The wall, scrubbed crosswise in broad strokes, and the cloth on the table."""
    rng, size = canvas.rng, canvas.size
    aspect = canvas.shape[1] / size
    y, x = np.mgrid[: canvas.shape[0], : canvas.shape[1]] / size
    drift = noise(canvas.shape, 0.28 * size, rng, 3)
    below = y > TABLE
    angle = np.where(below, 0.04 + 0.25 * drift, -0.7 + 1.6 * drift)
    shade = ((x - CENTRE - 0.30) / 0.27) ** 2 + ((y - FOOT + 0.01) / 0.045) ** 2
    cloth = 0.72 - 0.18 * x / aspect + 0.22 * drift - 0.85 * np.exp(-shade)
    wall = 0.77 - 0.52 * x / aspect + 0.22 * drift - 0.10 * y
    # A thin first coat, and what is left of it between the strokes.
    canvas.color[:] = ramp(WALL, wall)
    canvas.color[below] = ramp(CLOTH, cloth[below])
    for wide, length, gap, thick in (
        (0.061, 0.13, 0.033, 0.8),
        (0.044, 0.085, 0.027, 1.05),
        (0.029, 0.06, 0.029, 1.25),
    ):
        starts = rng.uniform(-0.03, 1.03, (int(aspect / gap**2), 2)) * (aspect, 1)
        paths = trace(angle, starts * size, 10, length * size / 9) / size
        for path in paths[:, :: rng.choice([-1, 1])]:
            middle = path[5]
            on_cloth = middle[1] > TABLE + 0.008 * rng.normal()
            if middle[1] < TABLE - 0.03:
                spin = rng.choice([-0.55, 0, 0.45]) + rng.normal(0, 0.2)
                turn = [[np.cos(spin), np.sin(spin)], [-np.sin(spin), np.cos(spin)]]
                path = middle + (path - middle) @ np.array(turn)
            palette, tone = (CLOTH, cloth) if on_cloth else (WALL, wall)
            load = loaded(palette, pick(tone, middle * size) + rng.normal(0, 0.07), rng)
            canvas.stroke(path, wide * rng.uniform(0.7, 1.15), load, thick=thick)


def half_width(y):
    """Half the width of the jar at some height."""
    t = np.clip((y - MOUTH) / (FOOT - MOUTH), 0, 1)
    return 0.070 + 0.088 * np.sin(np.pi * t**0.8) ** 0.9 * (1 - 0.12 * t)


def paint_jar(canvas):
    """A glazed jar in strokes round its form."""
    rng = canvas.rng
    for wide, count in ((0.023, 330), (0.016, 420), (0.010, 300)):
        for _ in range(count):
            y, side = rng.uniform(MOUTH, FOOT), rng.uniform(-1, 1)
            reach = rng.uniform(0.25, 0.55) * np.linspace(-0.5, 0.5, 8)
            across = np.clip(side + reach, -0.97, 0.97)
            sag = 0.022 * np.sqrt(1 - across**2) * (1 + 1.5 * (y - MOUTH))
            path = np.stack([CENTRE + half_width(y) * across, y + sag], -1)
            light = 0.50 - 0.52 * side + 0.10 * np.sin(9 * y)
            light += 0.24 * np.exp(-(((side - 0.86) / 0.10) ** 2))  # the cloth's glow
            light -= 0.25 * (y > FOOT - 0.04)
            load = loaded(GLAZE, 0.8 * light + rng.normal(0, 0.06), rng)
            canvas.stroke(path, wide * rng.uniform(0.7, 1.1), load, thick=0.9)
    for y, side, long in (
        (0.715, -0.52, 0.06),
        (0.74, -0.60, 0.06),
        (0.69, -0.42, 0.03),
        (0.84, -0.50, 0.025),
    ):
        start = CENTRE + side * half_width(y), y
        canvas.dab(start, 1.9, long, -0.4, 0.010, WHITE, 0.95, thick=1.5, pick_up=0.1)
    for side in rng.uniform(-0.9, 0.6, 26):  # the rim
        start = CENTRE + 0.078 * side, MOUTH + 0.004 + 0.014 * np.sqrt(1 - side**2)
        way, at = 0.1 - 0.3 * side, 0.66 - 0.45 * side
        canvas.dab(start, way, 0.04, 0, 0.009, GLAZE, at, thick=1.3, pick_up=0.1)


def paint_leaves(canvas, count, width, reach):
    """Leaves and stems that spread from the mouth of the jar."""
    rng = canvas.rng
    for _ in range(count):
        lean = np.clip(rng.normal(0, 0.85), -1.5, 1.5)
        heading = lean - np.pi / 2
        out = rng.uniform(0, reach if abs(lean) < 1.3 else 0.6 * reach)
        start = (
            CENTRE + 1.05 * out * np.cos(heading),
            MOUTH - 0.005 + out * np.sin(heading),
        )
        light = (0.25 - 0.22 * np.cos(heading)) * rng.uniform(0.3, 1.1)
        canvas.dab(
            start,
            heading + rng.normal(0, 0.55),
            rng.uniform(0.05, 0.12),
            rng.normal(0, 0.7),
            width * rng.uniform(0.6, 1.2),
            LEAF,
            0.18 + light + rng.normal(0, 0.10),
        )


def heap(canvas, centre, size, count, palette, light):
    """A heart of small thick dabs, lighter towards the light if `light` isn't 0."""
    rng = canvas.rng
    for _ in range(count):
        spot = rng.normal(0, 0.5, 2) * size
        at = 0.55 + light * light_from(np.arctan2(*spot[::-1])) + rng.normal(0, 0.12)
        way, long, wide = rng.uniform(0, 2 * np.pi), 0.55 * size, 0.5 * size
        how = {"thick": 1.6, "pick_up": 0.05}
        canvas.dab(centre + spot, way, long, 0.5, wide, palette, at, **how)


def paint_poppy(canvas, centre, size):
    """Broad petals pulled from the heart outwards, one over another."""
    rng = canvas.rng
    turn, flat = rng.uniform(0, 2 * np.pi), np.array([1, rng.uniform(0.72, 0.95)])
    for far, petals, glow in ((1.0, 5, 0.50), (0.72, 4, 0.60)):
        for petal in rng.permutation(petals):
            base = 2 * np.pi * (petal + 0.5 * (far < 1)) / petals + turn
            for side in np.linspace(-0.5, 0.5, 5):
                way = base + 1.15 * side
                ahead = flat * (np.cos(way), np.sin(way))
                reach = 0.84 * size * far * (1 - side**2 / 2) * rng.uniform(0.85, 1.08)
                canvas.dab(
                    centre + 0.16 * size * ahead,
                    np.arctan2(*ahead[::-1]) - 0.5 * side,
                    reach * np.hypot(*ahead),
                    0.9 * side,
                    size * rng.uniform(0.20, 0.31),
                    RED,
                    glow + 0.26 * light_from(way) + rng.normal(0, 0.07),
                    thick=1.35,
                    pick_up=0.15,
                )
            for side in rng.uniform(-0.45, 0.3, 2):  # where the petal turns over
                way = base + side + np.linspace(0, rng.uniform(0.25, 0.5), 6)
                out = rng.uniform(0.86, 0.97) - 0.06 * np.linspace(-1, 1, 6) ** 2
                rim = np.stack([np.cos(way), np.sin(way)], -1) * out[:, None] * flat
                at = 0.70 + 0.30 * light_from(base) + rng.normal(0, 0.1)
                wide, load = size * rng.uniform(0.10, 0.16), loaded(RED, at, rng)
                rim = centre + size * far * rim
                canvas.stroke(rim, wide, load, thick=1.5, pick_up=0.3)
    for _ in range(22):
        way, out = rng.uniform(0, 2 * np.pi), 0.26 * np.sqrt(rng.random())
        start = centre + size * out * flat * (np.cos(way), np.sin(way))
        how = {"thick": 1.5, "pick_up": 0.05}
        canvas.dab(start, way, 0.1 * size, 0.3, 0.07 * size, SOOT, rng.random(), **how)
    heap(canvas, centre, 0.12 * size, 7, SEED, 0.2)


def paint_daisy(canvas, centre, size):
    """A stroke for each petal, and a heap of yellow."""
    rng = canvas.rng
    turn, flat = rng.uniform(0, 2 * np.pi), np.array([1, rng.uniform(0.62, 0.95)])
    petals = rng.integers(15, 20)
    for far in (1.0, 0.82):
        for petal in rng.permutation(petals):
            place = petal + 0.5 * (far < 1) + rng.normal(0, 0.15)
            way = 2 * np.pi * place / petals + turn
            ahead = flat * (np.cos(way), np.sin(way))
            canvas.dab(
                centre + 0.2 * size * ahead,
                np.arctan2(*ahead[::-1]),
                np.hypot(*ahead) * size * far * rng.uniform(0.72, 0.86),
                rng.normal(0, 0.25),
                0.19 * size * rng.uniform(0.8, 1.1),
                WHITE,
                0.62 + 0.32 * light_from(way) + rng.normal(0, 0.08),
                thick=1.45,
                pick_up=0.08,
            )
    heap(canvas, centre, 0.22 * size, 26, YOLK, 0.3)


def paint_cornflower(canvas, centre, size):
    """A ragged ring of blue touches."""
    rng = canvas.rng
    for far in (1.0, 0.6):
        for way in 2 * np.pi * (np.arange(11) + rng.normal(0, 0.2, 11)) / 11 + far:
            canvas.dab(
                centre + 0.15 * size * np.array([np.cos(way), np.sin(way)]),
                way,
                size * far * rng.uniform(0.7, 1.0),
                rng.normal(0, 0.4),
                0.24 * size,
                BLUE,
                0.5 + 0.3 * light_from(way) + rng.normal(0, 0.1),
                thick=1.4,
                pick_up=0.1,
            )
    heap(canvas, centre, 0.24 * size, 8, VIOLET, 0.2)


def arrange(rng):
    """The flowers: painter, centre and size, those further out first."""
    wanted = 7 * [(paint_poppy, 0.098)] + 9 * [(paint_daisy, 0.078)]
    wanted += 13 * [(paint_cornflower, 0.046)]
    placed = []
    for paint, size in wanted:
        size = size * rng.uniform(0.82, 1.15)
        for _ in range(300):
            way, out = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
            centre = np.array([CENTRE, 0.37]) + out * np.array(
                [0.43 * np.cos(way), 0.29 * np.sin(way)]
            )
            if all(np.hypot(*(centre - c)) > 0.8 * (s + size) for _, c, s in placed):
                placed.append((paint, centre, size))
                break
    return sorted(placed, key=lambda flower: -np.hypot(*(flower[1] - (CENTRE, 0.40))))


def paint_impasto(height, width, *, seed):
    """Paints flowers in a jar in thick oil."""
    rng = np.random.default_rng(seed)
    canvas = Canvas((height * SUPERSAMPLE, width * SUPERSAMPLE), rng)
    paint_room(canvas)
    paint_leaves(canvas, 260, 0.023, 0.38)
    paint_jar(canvas)
    paint_leaves(canvas, 330, 0.016, 0.38)
    paint_leaves(canvas, 70, 0.016, 0.16)
    for paint, centre, size in arrange(rng):
        paint(canvas, centre, size)
    # Petals that have fallen on the cloth.
    for x, y in ((0.30, 0.87), (0.36, 0.92), (0.99, 0.93), (1.06, 0.88)):
        for _ in range(3):
            start = np.array([x, y]) + rng.normal(0, 0.006, 2)
            at, way = rng.uniform(0.4, 0.75), rng.normal(0.1, 0.3)
            how = {"thick": 1.4, "pick_up": 0.1}
            canvas.dab(start, way, 0.035, 0.6, 0.011, RED, at, **how)
    return finish(canvas.lit())
