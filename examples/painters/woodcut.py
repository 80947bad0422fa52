"""Woodcut: a valley under the rising sun, printed from two blocks."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from painters.common import (
    SUPERSAMPLE,
    blur,
    enlarge,
    finish,
    hex_colors,
    noise,
    pick,
    ribbon,
    smoothstep,
    trace,
)

# In heights of the picture, from its upper left corner.
SUN, SUN_RADIUS = (0.86, 0.30), 0.115
CLOUDS = (  # x, y, half the width, height
    (0.20, 0.16, 0.30, 0.040),
    (0.40, 0.255, 0.20, 0.026),
    (1.20, 0.13, 0.26, 0.036),
    (1.08, 0.40, 0.20, 0.020),
    (0.06, 0.36, 0.20, 0.026),
)
PEAKS = ((0.36, 0.13, 0.17), (1.27, 0.10, 0.15))  # x, height, breadth
HILLS = (  # the crest: base, swing, rate and phase of a wave; and the hill's depth
    (0.535, 0.030, 5.0, 0.4, 0.13),
    (0.600, 0.045, 3.4, 2.2, 0.16),
    (0.690, 0.055, 2.7, 4.4, 0.20),
)
POPLARS = (  # x, the hill it stands on, height
    (0.245, 1, 0.085),
    (0.29, 1, 0.10),
    (0.335, 1, 0.09),
    (1.18, 1, 0.075),
    (1.225, 1, 0.09),
    (0.60, 2, 0.13),
    (0.655, 2, 0.15),
    (1.12, 2, 0.12),
)
COTTAGE = (  # corners, light, direction of the cuts
    (
        ((0.385, 0.66), (0.385, 0.60), (0.425, 0.565), (0.465, 0.60), (0.465, 0.66)),
        1,
        0,
    ),
    (((0.465, 0.66), (0.465, 0.60), (0.565, 0.60), (0.565, 0.66)), 0.55, 0),
    (((0.425, 0.555), (0.535, 0.555), (0.578, 0.605), (0.467, 0.605)), 0.16, 0.85),
    (((0.375, 0.607), (0.425, 0.553), (0.432, 0.562), (0.385, 0.614)), 0, 0),
    (((0.505, 0.565), (0.505, 0.53), (0.522, 0.53), (0.522, 0.565)), 0.3, 0),
    (((0.413, 0.66), (0.413, 0.622), (0.437, 0.622), (0.437, 0.66)), 0, 0),
    (((0.49, 0.645), (0.49, 0.62), (0.51, 0.62), (0.51, 0.645)), 0, 0),
    (((0.53, 0.645), (0.53, 0.62), (0.55, 0.62), (0.55, 0.645)), 0, 0),
)
OAK_X = 0.17
# The parts of the picture; those in front are set off by a white line.
SKY, DISC, CLOUD, PEAK, HILL, RIVER, BANK, FRONT = 0, 1, 2, 3, 10, 4, 5, 100
POPLAR, HOUSE, OAK = 100, 200, 300
# How the parts are cut: numbers from and to, space between lines, their length in
# half spaces, and how many of the lines there is room for are cut.
TOOLS = (
    (SKY, SKY, 14, 34, 1),
    (CLOUD, CLOUD, 10, 16, 1),
    (PEAK, PEAK, 9.5, 16, 1),
    (HILL, HILL + 9, 12, 22, 1),
    (RIVER, RIVER, 11, 20, 1),
    (BANK, BANK, 12, 10, 0.6),
    (POPLAR, POPLAR + 99, 6.5, 9, 1),
    (HOUSE, HOUSE + 99, 7, 8, 1),
    (OAK, OAK, 9, 14, 0.8),
)


class Frame:
    """Coordinates in heights of the picture, and noise that all parts share."""

    def __init__(self, shape, rng):
        self.shape, self.size, self.rng = shape, shape[0], rng
        self.y, self.x = np.mgrid[: shape[0], : shape[1]] / shape[0]
        self.row = np.arange(shape[1]) / shape[0]
        self.drift = noise(shape, shape[0] / 5, rng, 3)

    def jags(self, cell, octaves):
        """Noise along the picture."""
        return noise((4, self.shape[1]), cell * self.size, self.rng, octaves)[0]

    def shape_of(self, draw_on):
        """Area of a drawing that is given in heights of the picture."""
        image = Image.new("L", self.shape[::-1], 0)
        draw_on(ImageDraw.Draw(image))
        return np.asarray(image) > 127

    def polygon(self, corners):
        points = [(x * self.size, y * self.size) for x, y in corners]
        return self.shape_of(lambda draw: draw.polygon(points, fill=255))


class Design(NamedTuple):
    """The drawing that is transferred to the blocks."""

    part: np.ndarray  # what there is; outlines between two parts stay black
    angle: np.ndarray  # the direction of the gouge
    light: np.ndarray  # the share of the wood that is cut away, 0..1
    tint: np.ndarray  # where the second block prints

    def put(self, inside, part, light, angle, tint=False):
        """The design with something in front of it."""
        return Design(
            np.where(inside, part, self.part),
            np.where(inside, angle, self.angle),
            np.where(inside, np.clip(light, 0, 1), self.light),
            np.where(inside, tint, self.tint),
        )


def draw_sky(frame):
    """The sun, its rays in broad and narrow beams, and long clouds."""
    x, y = frame.x - SUN[0], frame.y - SUN[1]
    away, turn = np.hypot(x, y), np.arctan2(y, x)
    beams = 0.5 + 0.5 * np.sin(turn * 26 + 0.8 * np.sin(turn * 3))
    light = np.clip(1 - 0.34 * away, 0.45, 1)
    light = light * (0.62 + 0.33 * smoothstep(0.2, 0.6, beams))
    light = np.where(away < 0.175, 1, light)
    tint = away > 0.26 + 0.02 * frame.drift
    design = Design(np.full(frame.shape, SKY), turn, light, tint)
    design = design.put(away < SUN_RADIUS, DISC, 1, turn)
    for cx, cy, wide, high in CLOUDS:
        across, down = (frame.x - cx) / wide, (frame.y - cy) / high
        lens = 1 - across**2
        lumps = 0.75 + 0.5 * frame.jags(1 / 14, 2)
        inside = (lens > 0) & (down > -lens * lumps) & (down < 0.45 * lens)
        # Black above, and cut away below, where the sun reaches them.
        light = smoothstep(-0.6, 0.36, down) * 0.9
        design = design.put(inside, CLOUD, light, 0.25 * across)
    return design


def draw_peaks(design, frame):
    """Peaks, whose planes are cut where they face the sun."""
    top = 0.485 - 0.028 * frame.jags(1 / 7, 4)
    for x, high, broad in PEAKS:
        top = top - high * np.exp(-(np.abs((frame.row - x) / broad) ** 1.3))
    spurs = noise(frame.shape, frame.size / 9, frame.rng, 3)
    spurs += 0.6 * np.abs(noise(frame.shape, frame.size / 6, frame.rng, 2))
    right = np.gradient(blur(spurs, frame.size / 260), axis=1) * frame.size / 9
    facing = 0.14 - right * np.tanh(5 * (SUN[0] - frame.x)) + 0.15 * frame.drift
    light = 0.9 * smoothstep(-0.15, 0.35, facing)
    nearest = np.where(frame.x < 0.8, PEAKS[0][0], PEAKS[1][0])
    angle = np.where(frame.x > nearest, 1.15, np.pi - 1.15) + 0.3 * frame.drift
    return design.put(frame.y > top, PEAK, light, angle, light < 0.5)


def crest_of(hill, x):
    """The height of a hill's crest."""
    base, swing, rate, phase, _ = hill
    wave = swing * np.sin(rate * x + phase) + 0.012 * np.sin(2.3 * rate * x + phase)
    return base - wave


def draw_hills(design, frame):
    """Rows of rounded hills, light along their crests and dark at their feet."""
    for number, hill in enumerate(HILLS):
        *_, rate, phase, tall = hill
        crest = crest_of(hill, frame.row)
        depth = frame.y - crest
        fall = np.clip(depth / tall, 0, 1)
        slope = np.arctan2(np.gradient(crest) * frame.size, 1)[None]
        # Furrows run over the crest and down; on one hill, along it.
        centre = 0.9 + 0.3 * np.sin(rate * frame.x + phase)
        lean = np.tanh(1.6 * (frame.x - centre)) * (1 - 0.35 * fall)
        angle = np.pi / 2 - 0.9 * lean + 0.2 * slope
        if number == 1:
            angle = slope + 0.16 * np.sin(9 * depth) + 0.15 * frame.drift
        light = 0.95 - 0.78 * fall + 0.16 * np.sin(rate * frame.x * 2 + phase)
        light = np.clip(light + 0.12 * frame.drift, 0.06, 0.92)
        design = design.put(depth > 0, HILL + number, light, angle, fall > 0.25)
    return design


def draw_river(design, frame):
    """A river that winds towards the reader and carries the light."""
    run = np.clip((frame.y - 0.575) / 0.43, 0, 1)
    middle = 0.93 - 0.16 * np.sin(6 * run**0.75) * (0.25 + run) - 0.05 * run
    side = np.abs(frame.x - middle) / (0.008 + 0.15 * run**1.6)
    inside = (side < 1 + 0.10 * frame.drift) & (frame.y > 0.575)
    light = 0.35 + 0.75 * np.clip(1 - side, 0, 1) + 0.2 * np.sin(frame.y * 160)
    return design.put(inside, RIVER, np.clip(light, 0.2, 0.96), 0.05 * frame.drift)


def bank_at(frame):
    """The height of the near bank, along the picture."""
    aspect = frame.shape[1] / frame.size
    left = 0.15 * np.exp(-((frame.row / 0.42) ** 2))
    right = 0.10 * np.exp(-(((frame.row - aspect) / 0.30) ** 2))
    return 0.90 - left - right


def draw_bank(design, frame):
    """The near bank: black, with blades of grass."""
    depth = frame.y - bank_at(frame) - 0.008 * frame.jags(1 / 7, 4)
    light = 0.42 - 0.9 * depth + 0.2 * frame.drift
    angle = -np.pi / 2 + 0.5 * frame.drift + 0.25
    return design.put(depth > 0, BANK, light, angle)


def draw_poplars(design, frame):
    """Poplars on the hills: black flames, cut on the side of the sun."""
    t = np.linspace(0, 1, 40)
    for number, (cx, hill, tall) in enumerate(POPLARS):
        foot = crest_of(HILLS[hill], cx) + 0.03
        half = 0.15 * tall * np.sin(np.pi * t**0.75) ** 0.8
        half = half + 0.002 * frame.rng.standard_normal(40)
        up = foot - tall * t
        left = [*zip(cx - half, up, strict=True)]
        right = [*zip(cx + half, up, strict=True)]
        trunk = [(cx + a, foot + b) for a, b in ((-0.004, 0), (-0.004, 0.02))]
        trunk += [(cx + 0.004, foot + 0.02), (cx + 0.004, foot - 0.1 * tall)]
        inside = frame.polygon(left + right[::-1]) | frame.polygon(trunk)
        side = (frame.x - cx) / (0.15 * tall)
        light = 0.55 * smoothstep(0, 0.9, side * np.sign(SUN[0] - cx))
        design = design.put(inside, POPLAR + number, light, -np.pi / 2 + 0.5 * side)
    return design


def draw_cottage(design, frame):
    """A cottage between the hills, its gable in the light."""
    for number, (corners, light, angle) in enumerate(COTTAGE):
        design = design.put(frame.polygon(corners), HOUSE + number, light, angle)
    return design


def limbs(rng, x, y, lean, reach, wide):
    """A limb of the oak and all its branches, as short pieces: x, y, x, y, width."""
    bend = rng.normal(0, 0.05)
    for _ in range(9):
        ahead = x + np.sin(lean) * reach / 9, y - np.cos(lean) * reach / 9
        yield x, y, *ahead, wide
        (x, y), lean, wide = ahead, lean + bend + rng.normal(0, 0.05), wide * 0.955
    if wide < 0.0030:
        return
    for turn in (-0.55, 0.10, 0.60):
        if turn != 0.10 or rng.random() < 0.5:
            way = lean * 0.92 + turn + rng.normal(0, 0.14)
            part, thin = rng.uniform(0.62, 0.84), rng.uniform(0.55, 0.78)
            yield from limbs(rng, x, y, way, reach * part, wide * thin)


def draw_oak(design, frame):
    """A bare old tree on the left bank, black against the light."""
    size = frame.size
    foot = bank_at(frame)[int(OAK_X * size)] + 0.05

    def wood(draw):
        for x0, y0, x1, y1, wide in limbs(frame.rng, OAK_X, foot, 0.05, 0.24, 0.062):
            line = [(x0 * size, y0 * size), (x1 * size, y1 * size)]
            draw.line(line, fill=255, width=max(1, int(wide * size)))
            (x, y), r = line[1], wide * size / 2
            draw.ellipse([x - r, y - r, x + r, y + r], fill=255)

    inside = frame.shape_of(wood)
    for side in (-1, 1):  # roots
        corners = (
            (-0.03, -0.09),
            (0.03, -0.09),
            (side * 0.075, 0.03),
            (-side / 50, 0.03),
        )
        inside |= frame.polygon([(OAK_X + a, foot + b) for a, b in corners])
    x, y = frame.x - OAK_X, frame.y
    bark = 0.34 * smoothstep(-0.005, 0.03, x + 0.02 * np.sin(30 * y))
    bark = np.where(y > foot - 0.24, bark, 0)
    angle = -np.pi / 2 + 0.35 * np.sin(16 * y) + 2 * x
    return design.put(inside, OAK, bark, angle)


def mark(plane, points):
    """Sets the pixels at points given as (x, y)."""
    cols, rows = np.moveaxis(np.rint(points).astype(int), -1, 0)
    keep = (cols >= 0) & (cols < plane.shape[1]) & (rows >= 0) & (rows < plane.shape[0])
    plane[rows[keep], cols[keep]] = True


class Block:
    """The wood: the parts that are cut away, and the lines that are already cut."""

    def __init__(self, shape):
        self.cut = np.zeros(shape, bool)
        self.near = np.zeros(shape, bool)  # too near to a line to start another
        self.touching = np.zeros(shape, bool)  # too near to go on

    def gouge(self, path, widths, gap):
        """Cuts a line that swells, and begins and ends in a point."""
        for plane, wide in ((self.near, 1.75 * gap), (self.touching, gap)):
            mark(plane, ribbon(path, wide)[0].reshape(-1, 2))
        widest = max(widths.max(), 1)
        points, along, across = ribbon(path, widest)
        wide = np.interp(along, np.linspace(0, 1, len(widths)), widths / widest)
        wide = wide * np.clip(along / 0.16, 0, 1) ** 0.7
        wide = wide * np.clip((1 - along) / 0.24, 0, 1) ** 0.8
        mark(self.cut, points[np.abs(across) <= wide])

    def carve(self, design, room, tool, rng):
        """Cuts lines along a part's forms, as wide as the light is strong."""
        gap, stride, share = tool
        places = np.argwhere(room)[:, ::-1]
        count = min(len(places), int(3.2 * share * len(places) / gap**2))
        if not count:
            return
        starts = places[rng.integers(0, len(places), count)].astype(float)
        back, ahead = (
            trace(design.angle + turn, starts, stride, 0.5 * gap) for turn in (np.pi, 0)
        )
        paths = np.concatenate([back[:, :0:-1], ahead], axis=1)
        limits = rng.integers(stride // 2, stride + 1, (count, 2))
        for path, limit in zip(paths, limits, strict=True):
            path = self._free(path, room, limit)
            if len(path) < 5:
                continue
            widths = np.clip(0.10 + 0.86 * pick(design.light, path), 0, 0.95)
            widths = widths * rng.uniform(0.85, 1.1) * rng.uniform(0.85, 1.1, len(path))
            path = path + rng.normal(0, 0.03 * gap, path.shape)
            self.gouge(path, widths * gap, gap)

    def _free(self, path, room, limit):
        """The piece round the middle of a path that meets no edge and no other line."""
        middle = len(path) // 2
        if pick(self.near, path[middle]):
            return path[:0]
        free = pick(room, path) & ~pick(self.touching, path)
        back, ahead = (
            min(most, int(np.argmin(np.append(way, False))))
            for most, way in zip(limit, (free[middle::-1], free[middle:]), strict=True)
        )
        return path[middle - back + 1 : middle + ahead]

    def clear(self, white, unit, rng):
        """Cuts away the white parts, and leaves some ridges standing."""
        ridges = np.zeros_like(white)
        places = np.argwhere(white)[:, ::-1]
        chosen = places[rng.random(len(places)) < 0.00012 / unit**2]
        for start in chosen:
            x, y = start - np.array(SUN) * white.shape[0]
            turn = np.arctan2(y, x) + rng.normal(0, 0.12)
            if np.hypot(x, y) < SUN_RADIUS * white.shape[0]:
                turn += np.pi / 2
                if rng.random() < 0.75:
                    continue
            ahead = rng.uniform(14, 46) * unit * np.array([np.cos(turn), np.sin(turn)])
            path = start + np.linspace(0, 1, 8)[:, None] * ahead
            points, along, across = ribbon(path, rng.uniform(2, 4.5) * unit)
            mark(ridges, points[np.abs(across) < np.sin(np.pi * along)])
        self.cut |= white & ~ridges


def cut_block(design, unit, rng):
    """Cuts the black block; what stands in front gets a white line round it."""
    changes = np.zeros(design.part.shape, np.float32)
    changes[:-1] += design.part[1:] != design.part[:-1]
    changes[:, :-1] += design.part[:, 1:] != design.part[:, :-1]
    outline = blur(np.clip(changes, 0, 1), 2.6 * unit) > 0.045
    front = design.part >= FRONT
    halo = blur(front.astype(np.float32), 3.2 * unit) > 0.06
    halo &= ~front & (design.part != BANK)
    outline &= ~halo
    block = Block(design.part.shape)
    block.cut |= halo
    for first, last, gap, stride, share in TOOLS:
        room = (design.part >= first) & (design.part <= last)
        room &= ~outline & (design.light > 0.07)
        block.carve(design, room, (gap * unit, stride, share), rng)
    block.clear((design.light > 0.955) & ~outline, unit, rng)
    return block


def pull(cut, tint, unit, rng):
    """Prints both blocks: ink lies unevenly, and shows the grain of the wood."""
    shape = cut.shape
    grain = enlarge(noise((shape[0], shape[1] // 24 + 4), 7 * unit, rng, 2), shape)
    fibre = noise(shape, 5 * unit, rng, 2)
    paper = 1 + 0.012 * fibre + 0.010 * noise(shape, 220 * unit, rng, 2)
    canvas = hex_colors("f3f0e8")[0] * paper[..., None]
    # The grey block sits a little beside the black one.
    shift = (int(4 * unit), int(-5 * unit))
    grey = np.roll(blur(tint.astype(np.float32), 3 * unit), shift, (0, 1))
    grey = smoothstep(0.42, 0.58, grey + 0.05 * noise(shape, 8 * unit, rng, 2))
    grey = grey * (0.88 + 0.08 * grain)
    canvas *= 1 - grey[..., None] * (1 - hex_colors("cfccc4")[0])
    # Wood breaks and ink spreads, so edges are a little rough.
    rough = blur(cut.astype(np.float32), 1.5 * unit) + 0.09 * fibre
    salt = noise(shape, 3.2 * unit, rng, 2) + 0.55 * noise(shape, 120 * unit, rng, 3)
    bare = smoothstep(1.0, 1.4, salt + 0.5 * grain)
    ink = smoothstep(0.56, 0.44, rough) * (1 - 0.75 * bare)
    black = 1 + 0.25 * np.clip(grain + 0.4, 0, 1) + 0.10 * fibre
    black = hex_colors("1b1a19")[0] * black[..., None]
    return canvas * (1 - ink[..., None]) + black * ink[..., None]


def paint_woodcut(height, width, *, seed):
    """Prints a valley under the rising sun from a black and a grey block."""
    rng = np.random.default_rng(seed)
    shape = (height * SUPERSAMPLE, width * SUPERSAMPLE)
    unit = shape[0] / 1500
    frame = Frame(shape, rng)
    design = draw_sky(frame)
    for draw in (
        *(draw_peaks, draw_hills, draw_river, draw_bank),
        *(draw_poplars, draw_cottage, draw_oak),
    ):
        design = draw(design, frame)
    block = cut_block(design, unit, rng)
    return finish(pull(block.cut, design.tint, unit, rng))
