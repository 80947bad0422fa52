"""Watercolour: a lake in the hills in transparent washes on rough white paper."""

import functools

import numpy as np
from PIL import Image, ImageDraw

from painters.common import (
    SUPERSAMPLE,
    blur,
    enlarge,
    finish,
    hex_colors,
    noise,
    smoothstep,
)

SHORE = 0.60  # in heights of the picture
PIGMENTS = {
    "cobalt": "5f86c9",
    "cerulean": "86b7dc",
    "rose": "eab6b0",
    "ochre": "eccb8c",
    "indigo": "3d5a86",
    "violet": "7a7fae",
    "sap": "6f8f4e",
    "olive": "8a8a45",
    "sienna": "b5622d",
    "gold": "e2a13c",
    "umber": "4c3b34",
    "teal": "4f8388",
}
# Base line, peaks (x, height, breadth), roughness, pigments, density, depth of mist.
RANGES = (
    (
        *(0.47, ((0.42, 0.20, 0.17), (0.85, 0.13, 0.16), (1.25, 0.17, 0.14)), 0.022),
        *({"cobalt": 0.55, "violet": 0.35, "rose": 0.15}, 0.50, 0.20),
    ),
    (
        *(0.535, ((0.10, 0.17, 0.22), (0.66, 0.09, 0.12), (1.08, 0.12, 0.15)), 0.016),
        *({"indigo": 0.40, "violet": 0.35, "teal": 0.25}, 0.66, 0.16),
    ),
    (
        *(0.585, ((-0.02, 0.14, 0.22), (1.40, 0.17, 0.26)), 0.012),
        *({"teal": 0.35, "sap": 0.55, "indigo": 0.15}, 0.80, 0.14),
    ),
)
BIRCHES = ((1.06, -0.06, 0.155, 17), (1.165, 0.10, 0.12, 12))  # x, lean, height, width


def spread(plane, radius):
    """A blur for large radii, computed on a smaller plane."""
    factor = max(1, int(radius / 3))
    small = tuple(max(2, side // factor) for side in plane.shape)
    plane = blur(enlarge(plane, small, Image.Resampling.BOX), radius / factor)
    return enlarge(plane, (small[0] * factor, small[1] * factor))


class Paper:
    """Rough paper, and the light that the washes on it let through.

    Lengths are in pixels of a picture 1,500 pixels high, unless they are `x` and `y`,
    which are in heights of the picture.
    """

    def __init__(self, shape, rng):
        self.shape, self.size, self.rng = shape, shape[0], rng
        self.unit = self.size / 1500
        self.y, self.x = np.mgrid[: shape[0], : shape[1]] / self.size
        self.aspect = shape[1] / self.size
        self.tooth = self.even(13, 3)
        self.grain = self.even(5, 2)
        self.light = np.ones((*shape, 3), np.float32)

    def noise(self, scale, octaves=3):
        return noise(self.shape, scale * self.unit, self.rng, octaves)

    def even(self, scale, octaves):
        """Noise of mean 0 and deviation 1."""
        plane = self.noise(scale, octaves)
        return (plane - plane.mean()) / plane.std()

    def spread(self, plane, radius):
        """A wide blur."""
        return enlarge(spread(plane, radius * self.unit), self.shape)

    def drawn(self, draw_on, soft=1.2):
        """Distance of each place inside a drawing, in pixels of the sheet."""
        image = Image.new("L", self.shape[::-1], 0)
        draw_on(ImageDraw.Draw(image))
        mask = np.asarray(image, np.float32) / 255
        return (blur(mask, soft * self.unit) - 0.45) * 6 * soft

    def edge(self, inside, ragged=1.0, dry=0.0):
        """The cover of a wash with a hard edge, by the distance inside.

        Args:
            inside: distance from the edge, below 0 outside.
            ragged: distance by which the edge strays.
            dry: share of the paper's tooth that a dry brush misses.
        """
        stray = 3 * self.noise(26) + 1.2 * self.tooth
        missed = dry * 9 * (self.tooth + 1)
        return smoothstep(-1.6, 1.6, inside + ragged * stray - missed)

    def wash(self, cover, mixture, density, *, rim=0.5, granulation=0.2, blooms=0.0):
        """Lays a transparent wash.

        Args:
            cover: cover of the wash, 0..1.
            mixture: pigments and the share of each, a plane or a number.
            density: amount of pigment, a plane or a number.
            rim: amount of pigment that gathers at the edge as it dries.
            granulation: amount of pigment that settles in the hollows of the paper.
            blooms: amount of water that ran back into the drying wash.
        """
        amount = density * (1 + 0.20 * self.noise(240, 4) + 0.09 * self.noise(60))
        if blooms:
            amount = amount * (1 + blooms * self.cauliflowers())
        narrow = 2 * np.clip(1 - blur(cover, 3.2 * self.unit), 0, 1)
        wide = 0.35 * np.clip(1 - self.spread(cover, 14), 0, 1)
        strength = np.clip(0.9 + 0.9 * self.noise(90, 2), 0.1, 2)
        amount = amount * (1 + rim * strength * cover * (narrow + wide))
        settled = 1 - granulation * (0.25 * self.tooth + 0.55 * self.grain)
        amount = np.clip(amount, 0, None) * np.clip(settled, 0.1, None) * cover
        # Each pigment absorbs its own share of the light (Beer-Lambert).
        absorbed = sum(
            np.asarray(share)[..., None] * -np.log(hex_colors(PIGMENTS[name])[0])
            for name, share in mixture.items()
        )
        self.light *= np.exp(-amount[..., None] * absorbed)

    def spare(self, cover, share):
        """Takes back part of the washes, as if they had been painted round a place."""
        self.light = 1 - (1 - self.light) * (1 - share * cover[..., None])

    def cauliflowers(self):
        """Blooms, where water ran back: paler inside, with a crinkled dark rim."""
        field = np.zeros(self.shape)
        crinkle = 0.30 * self.noise(70, 5)
        for _ in range(3):
            x, y = self.rng.uniform(0.1, 1.2), self.rng.uniform(0.05, 0.45)
            away = np.hypot((self.x - x) / 1.3, self.y - y)
            away = away / self.rng.uniform(0.05, 0.13) + crinkle
            rim = np.exp(-(((away - 1) / 0.05) ** 2))
            rim += 0.4 * np.exp(-np.abs(away - 1.05) / 0.15) * (away > 1)
            field += 0.55 * rim - 0.45 * smoothstep(1.0, 0.5, away)
        return field

    def seen(self):
        """The paper seen through the washes, with a little light on its bumps."""
        down, right = np.gradient(blur(self.tooth, 1.2 * self.unit))
        bumps = 0.055 * self.unit * (0.8 * down + 0.6 * right)
        white = 1 + np.clip(bumps, -0.06, 0.06) + 0.004 * self.noise(300)
        return hex_colors("fbf8f0")[0] * white[..., None] * self.light


def mixed(mixture, drift):
    """A mixture whose pigments flow apart: some gather where others are scarce."""
    return {
        name: np.clip(share + 0.35 * drift * (-1) ** number, 0.02, 1)
        for number, (name, share) in enumerate(mixture.items())
    }


def ridge(paper, base, peaks, rough):
    """The outline of a range of hills along the sheet, as y."""
    x = np.arange(paper.shape[1]) / paper.size
    jags = noise((4, len(x)), 150 * paper.unit, paper.rng, 5)[0]
    line = base - rough * jags
    for at, high, broad in peaks:
        line = line - high * np.exp(-(np.abs((x - at) / broad) ** 1.5))
    return line


def paint_sky(paper):
    """A sky wet in wet; clouds are left white, some with crisp tops."""
    y = paper.y
    bank = paper.noise(420) + 0.5 * paper.noise(150, 2) + 0.10 * paper.noise(40, 2)
    bank += 0.45 - 2.2 * np.abs(y - 0.25 - 0.05 * np.sin(4 * paper.x))
    crisp = smoothstep(-0.03, 0.05, -bank)
    soft = smoothstep(-0.35, 0.45, -paper.spread(bank, 40))
    share = smoothstep(-0.1, 0.5, paper.noise(300) + 3 * (0.16 - y))
    blue = crisp * share + soft * (1 - share)
    high = smoothstep(0.55, 0.0, y)
    fade = smoothstep(SHORE - 0.02, SHORE - 0.14, y)
    warm = smoothstep(0.2, 0.55, y) * smoothstep(0.75, 0.6, y)
    one = np.ones(paper.shape)
    paper.wash(
        one, {"ochre": 0.5, "rose": 0.35}, 0.10 + 0.42 * warm, rim=0.3, granulation=0.05
    )
    mixture = {"cobalt": 0.25 + 0.6 * high, "cerulean": 0.9 - 0.5 * high}
    paper.wash(blue * fade, mixture, 0.16 + 0.62 * high, rim=0.35, blooms=0.6)
    shade = smoothstep(0.05, 0.8, paper.spread(bank, 25))
    shade = np.clip(shade * (0.35 + 0.5 * paper.noise(160)), 0, 1) * fade
    paper.wash(shade, {"violet": 0.6, "ochre": 0.25}, 0.26, rim=0)


def paint_hills(paper):
    """Ranges of hills, each paler towards its foot, where mist lay; their outlines."""
    lines = []
    for base, peaks, rough, mixture, density, mist in RANGES:
        line = ridge(paper, base, peaks, rough)
        cover = paper.edge((paper.y - line) * 1200, 0.8)
        low = paper.y + 0.015 * paper.noise(200)
        cover *= 0.10 + 0.90 * smoothstep(SHORE + 0.012, SHORE - mist, low)
        shore = paper.y + 0.003 * paper.noise(90)
        cover *= smoothstep(SHORE + 0.006, SHORE - 0.004, shore)
        paper.wash(cover, mixed(mixture, paper.noise(230)), density, rim=0.55)
        lines.append(line)
    return lines


def draw_fir(draw, x, foot, high, rng):
    """A stem, and tiers of drooping boughs that grow longer downwards."""
    draw.line([(x, foot), (x, foot - high)], fill=255, width=int(high / 40) + 1)
    for part in np.linspace(0, 1, 13):
        reach = high * (0.03 + 0.19 * part) * rng.uniform(0.75, 1.2)
        y = foot - high * (0.99 - 0.9 * part)
        for side in (-reach, reach):
            out, down = side * rng.uniform(0.8, 1.15), reach * rng.uniform(0.25, 0.55)
            under = x + 0.3 * side, y + 0.5 * reach
            stem = [(x, y - 0.03 * high), (x, y + 0.05 * high)]
            draw.polygon([stem[0], (x + out, y + down), under, stem[1]], fill=255)


def paint_firs(paper, line):
    """Firs on the nearest hills, paler further up and fading into the mist."""
    rng, size = paper.rng, paper.size

    def wood(draw, tall, down):
        for x in rng.uniform(0.06, paper.aspect - 0.06, 90):
            if rng.random() < np.exp(-((min(x, paper.aspect - x) / 0.26) ** 2)):
                foot = min(line[int(x * size)] + down, SHORE)
                high = tall * rng.uniform(0.6, 1.35)
                draw_fir(draw, x * size, foot * size, high * size, rng)

    for density, tall, down in ((0.44, 0.040, 0.022), (0.82, 0.056, 0.034)):
        trees = functools.partial(wood, tall=tall, down=down)
        cover = paper.edge(paper.drawn(trees, 1.5), 0.35)
        cover *= 0.35 + 0.65 * smoothstep(SHORE + 0.01, SHORE - 0.10, paper.y)
        drift = paper.noise(110, 2)
        mixture = {"teal": 0.3, "sap": 0.5 + 0.4 * drift, "indigo": 0.4, "umber": 0.15}
        paper.wash(cover, mixture, density + 0.25 * drift, rim=0.4)


def paint_lake(paper, lines):
    """Water: the hills upside down, broken by level strokes left white."""
    level = noise((paper.shape[0], 4), 10 * paper.unit, paper.rng, 3)[:, :1]
    strokes = (paper.shape[0], paper.shape[1] // 12 + 4)
    strokes = enlarge(noise(strokes, 9 * paper.unit, paper.rng, 2), paper.shape)
    near = np.clip((paper.y - SHORE) / (1 - SHORE), 0, 1)
    wet = paper.edge((paper.y - SHORE) * 1500 + 1.5 * paper.noise(60), 0.4)
    glitter = 0.7 * strokes + 0.20 * paper.tooth + 0.25 * level
    glitter = glitter + 0.35 * np.exp(-(((near - 0.30) / 0.16) ** 2))
    glitter = smoothstep(0.62, 0.72, glitter)
    mixture = {"cerulean": 0.5, "cobalt": 0.15 + 0.6 * near, "ochre": 0.25 * (1 - near)}
    paper.wash(wet * (1 - 0.9 * glitter), mixture, 0.20 + 0.45 * near, rim=0.45)
    ripple = (9 * strokes + 5 * level) * paper.unit * (0.4 + 2.2 * near)
    columns = np.arange(paper.shape[1])[None] + ripple
    columns = np.clip(columns, 0, paper.shape[1] - 1).astype(int)
    for line, mixture, density in (
        (lines[1], {"indigo": 0.45, "violet": 0.4}, 0.30),
        (lines[2], {"teal": 0.6, "indigo": 0.3}, 0.55),
    ):
        high = 0.85 * (SHORE - line)[columns] - (paper.y - SHORE)
        mirrored = smoothstep(-1, 1, high * 107 + ripple / (2.8 * paper.unit))
        cover = mirrored * wet * (1 - 0.8 * glitter)
        paper.wash(cover, mixture, density * (1 - 0.55 * near), rim=0.35)
    # Level strokes of a nearly dry brush.
    streaks = smoothstep(0.45, 0.75, strokes - 0.25 * paper.tooth)
    streaks = streaks * smoothstep(0.05, 0.5, near) * wet
    paper.wash(streaks, {"cobalt": 0.5, "indigo": 0.35}, 0.36)


def paint_bank(paper, top):
    """The near bank: a wet wash, and a drier one over it."""
    depth = (paper.y - top) * 1500
    drift, fine = paper.noise(260), paper.noise(90)
    mixture = {
        "sap": np.clip(0.45 + 0.6 * drift, 0, 1),
        "gold": np.clip(0.4 - 0.5 * drift, 0, 1),
        "sienna": np.clip(0.12 + 0.36 * fine, 0, 0.6),
    }
    first = paper.edge(depth, 1.6, 0.25)
    second = paper.edge(depth - 40 - 30 * fine, 1.6, 0.9)
    paper.wash(first, mixture, 0.55 + 0.25 * drift)
    paper.wash(second, mixture, 0.65 + 0.25 * drift)


def branches(rng, x, y, lean, reach, wide):
    """A branch and all that grows from it: x, y, x, y and width of each."""
    tip = x + np.sin(lean) * reach, y - np.cos(lean) * reach
    yield x, y, *tip, wide
    if wide < 1.6:
        return
    for turn in (-0.42, 0.06, 0.45):
        if turn != 0.06 or rng.random() < 0.6:
            way = 0.8 * lean + turn + rng.normal(0, 0.14)
            part, thin = rng.uniform(0.62, 0.82), rng.uniform(0.5, 0.68)
            yield from branches(rng, *tip, way, reach * part, wide * thin)


def paint_birches(paper, top):
    """Two birches in autumn: leaves first, then the wood that shows through them."""
    size, rng = paper.size, paper.rng
    wood = [
        branch
        for x, lean, tall, wide in BIRCHES
        for branch in branches(rng, x, top[int(x * size)] + 0.02, lean, tall, wide)
    ]

    def limbs(draw):
        for x0, y0, x1, y1, wide in wood:
            line = [(x0 * size, y0 * size), (x1 * size, y1 * size)]
            draw.line(line, fill=255, width=max(1, int(wide * paper.unit)))

    paint_leaves(paper, [branch[2:4] for branch in wood if branch[4] < 7])
    cover = paper.edge(paper.drawn(limbs), 0.3, 0.12)
    mixture = {"umber": 0.6, "indigo": 0.3, "sienna": 0.2}
    paper.wash(cover, mixture, 0.95 + 0.3 * paper.noise(90), rim=0.3)


def paint_leaves(paper, tips):
    """Masses of leaves round the tips of branches: gold, then darker from below."""
    rng, unit, size = paper.rng, paper.unit, paper.size

    def crowns(draw):
        for x, y in tips:
            reach = rng.uniform(16, 36) * unit
            box = x * size - reach, y * size - 0.8 * reach
            draw.ellipse([*box, box[0] + 2 * reach, box[1] + 1.5 * reach], fill=255)

    def touches(draw, many):
        around = np.linspace(0, 2 * np.pi, 12)
        for tip in np.repeat(tips, many, axis=0):
            x, y = (tip + rng.normal(0, (0.027, 0.024))) * size
            turn, long = rng.uniform(0, np.pi), rng.uniform(5, 12) * unit
            ahead = long * np.cos(around)
            aside = rng.uniform(0.35, 0.6) * long * np.sin(around)
            xs = x + ahead * np.cos(turn) - aside * np.sin(turn)
            ys = y + ahead * np.sin(turn) + aside * np.cos(turn)
            draw.polygon([*zip(xs, ys, strict=True)], fill=255)

    mass = paper.spread(np.clip(paper.drawn(crowns) / 3.2 + 0.45, 0, 1), 20)
    shift = int(-26 * unit), int(-14 * unit)
    shade = 1 - paper.spread(np.roll(mass, shift, (0, 1)), 8)
    tint = paper.noise(130)
    for level, many, density, mixture in (
        (0.36, 4, 0.50, {"gold": 0.85, "sienna": 0.12, "olive": 0.10}),
        (0.42, 2, 0.40, {"gold": 0.45, "sienna": 0.45, "olive": 0.15}),
        (0.72, 2, 0.62, {"olive": 0.50, "sienna": 0.60, "gold": 0.05}),
    ):
        lace = 0.31 * paper.noise(34) + 0.22 * paper.noise(90, 2)
        field = mass - level + lace * smoothstep(0, 0.3, mass)
        if many == 2:
            field = field - 0.45 * shade
        cover = paper.edge(60 * field, 0.5, 0.10)
        some = functools.partial(touches, many=many)
        cover = np.maximum(cover, paper.edge(paper.drawn(some), 0.3))
        if many == 4:
            paper.spare(cover, 0.72)
        paper.wash(cover, mixed(mixture, tint), density + 0.15 * tint, rim=0.55)


def paint_grass(paper, top):
    """Blades of grass, and drops shaken from the brush."""
    rng, unit, size = paper.rng, paper.unit, paper.size

    def blades(draw):
        t = np.linspace(0, 1, 7)
        for x in rng.uniform(0, paper.shape[1] - 1, 330):
            y = top[int(x)] * size + abs(rng.normal(10, 60)) * unit
            tall, lean = rng.uniform(20, 70) * unit, rng.normal(0.1, 0.35)
            path = zip(x + lean * tall * t**2, y - tall * t, strict=True)
            wide = max(1, int(rng.uniform(1.5, 4.5) * unit))
            draw.line([*path], fill=255, width=wide)

    def drops(draw):
        for _ in range(22):
            x = rng.uniform(0.05, paper.aspect - 0.05) * size
            y, radius = rng.normal(0.85, 0.08) * size, rng.uniform(1.5, 5) * unit
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)

    cover = paper.edge(paper.drawn(blades, 1), 0.3, 0.10)
    dry = np.clip(0.3 + 0.7 * paper.noise(260), 0, 1)
    paper.wash(cover, {"olive": 0.6, "umber": 0.35, "sienna": dry}, 0.95, rim=0.4)
    cover = paper.edge(paper.drawn(drops), 0.4)
    paper.wash(cover, {"sienna": 0.5, "olive": 0.5}, 0.6)


def paint_watercolor(height, width, *, seed):
    """Paints a lake in the hills in watercolour."""
    rng = np.random.default_rng(seed)
    paper = Paper((height * SUPERSAMPLE, width * SUPERSAMPLE), rng)
    paint_sky(paper)
    lines = paint_hills(paper)
    paint_firs(paper, lines[2])
    paint_lake(paper, lines)
    right = (paper.aspect, 0.22, 0.42)
    top = ridge(paper, 0.97, (right, (0.0, 0.06, 0.25)), 0.010)
    paint_bank(paper, top)
    paint_birches(paper, top)
    paint_grass(paper, top)
    return finish(paper.seen())
