"""A still life in three dimensions: a jug, a book and fruit in one light."""

from typing import NamedTuple

import numpy as np

# Distances are in jug heights, about; y points up and z away from the eye.
EYE, TARGET, ZOOM = (0.14, 2.15, -4.5), (0.15, 0.60, 0.0), 2.0
LIGHT = np.array([-0.70, 0.58, -0.42])
TABLE, WALL, JUG, COVER, PAGES, PEAR, APPLE, STEM = range(8)
ALBEDO = np.array([0.60, 0.52, 0.74, 0.30, 0.80, 0.72, 0.46, 0.20])
# The profile of the jug: heights and radii.
HEIGHTS = (-0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4)
RADII = (
    *(0.20, 0.25, 0.315, 0.37, 0.41, 0.432, 0.438, 0.422, 0.385, 0.33, 0.268, 0.215),
    *(0.195, 0.22, 0.32),
)
APPLES = ((0.56, 0.0, -0.62, 0.215, 0.4), (1.12, 0.0, -0.12, 0.225, 2.2))
PEAR_AT, PEAR_TILT = (-0.66, 0.0, -0.52), 0.16


class View(NamedTuple):
    """The view of the eye, pixel by pixel."""

    light: np.ndarray  # reflected light, 0..1
    kind: np.ndarray  # what there is: TABLE, WALL, JUG, ...
    around: np.ndarray  # the direction round the form, as an angle in the picture
    shadow: np.ndarray  # 1 in a cast shadow or on the side off the light
    depth: np.ndarray  # the distance from the eye


def _revolved(x, y, z):
    """Distance to the jug: a profile turned round an axis, hollow, with a handle."""
    table = np.linspace(HEIGHTS[0], HEIGHTS[-1], 301)
    profile = np.interp(table, HEIGHTS, RADII)
    window = np.hanning(61) / np.hanning(61).sum()
    profile = np.convolve(np.pad(profile, 30, mode="edge"), window, "valid")
    radius = np.interp(y, table, profile).astype(np.float32)
    around = np.hypot(x, z)
    wall = np.maximum((around - radius) * 0.8, y - 1.28)
    hollow = np.maximum((around - radius + 0.035) * 0.8, 0.5 - y)
    body = np.maximum(np.maximum(wall, -hollow), -y)
    # The handle: an ellipse of a bent rod on the right.
    bend = np.hypot((x - 0.30) / 0.9, (y - 0.84) / 1.25) - 0.27
    rod = np.hypot(bend * 0.95, z * 0.8) - 0.040
    rod = np.maximum(rod, 0.30 - x - 0.12 * (y > 0.9))
    mix = np.clip(0.5 + 0.5 * (rod - body) / 0.05, 0, 1)
    return rod * (1 - mix) + body * mix - 0.05 * mix * (1 - mix)


def _box(x, y, z, half):
    """Distance to a box with slightly rounded edges."""
    sides = [np.abs(a) - h for a, h in zip((x, y, z), half, strict=True)]
    outside = np.sqrt(sum(np.maximum(s, 0) ** 2 for s in sides))
    return outside + np.minimum(np.maximum.reduce(sides), 0) - 0.008


def _pear(x, y, z):
    x, y = x + PEAR_TILT * (y - 0.2), y
    low = np.sqrt(x**2 + (y - 0.22) ** 2 + z**2) - 0.225
    high = np.sqrt(x**2 + (y - 0.50) ** 2 + z**2) - 0.105
    mix = np.clip(0.5 + 0.5 * (high - low) / 0.22, 0, 1)
    return (high * (1 - mix) + low * mix - 0.22 * mix * (1 - mix)) * 0.9


def _apple(x, y, z, size):
    y = y - size * 0.88
    away = np.sqrt(x**2 + y**2 + z**2)
    pole = np.hypot(x, z) / size
    dent = 0.30 * np.exp(-((pole / 0.30) ** 2)) * (y > 0)
    # Broad shoulders, narrow below.
    shape = 1 + 0.06 * np.clip(y / size, -1, 1) - dent
    return (away - size * shape) * 0.75


def _rod(x, y, z, start, end, radius):
    """Distance to a round rod between two points."""
    start, end = np.array(start), np.array(end)
    axis = end - start
    point = (x - start[0], y - start[1], z - start[2])
    along = sum(p * a for p, a in zip(point, axis, strict=True)) / (axis @ axis)
    along = np.clip(along, 0, 1)
    gap = sum((p - along * a) ** 2 for p, a in zip(point, axis, strict=True))
    return np.sqrt(gap) - radius


def distances(x, y, z):
    """Distances to everything in the scene, in the order of its kinds."""
    turn = 0.30
    bx, bz = x - 0.02, z - 0.02
    bx, bz = (
        bx * np.cos(turn) - bz * np.sin(turn),
        bx * np.sin(turn) + bz * np.cos(turn),
    )
    cover = np.minimum(
        _box(bx, y - 0.200, bz, (0.74, 0.012, 0.50)),
        _box(bx, y - 0.014, bz, (0.74, 0.012, 0.50)),
    )
    cover = np.minimum(cover, _box(bx + 0.735, y - 0.107, bz, (0.012, 0.10, 0.50)))
    pages = _box(bx + 0.02, y - 0.107, bz, (0.72, 0.085, 0.47))
    pear = _pear(x - PEAR_AT[0], y, z - PEAR_AT[2])
    top = (PEAR_AT[0] - 0.07, 0.58, PEAR_AT[2])
    stem = _rod(x, y, z, top, (top[0] - 0.09, 0.73, top[2] + 0.02), 0.014)
    apple = np.full_like(x, 9)
    for ax, ay, az, size, lean in APPLES:
        apple = np.minimum(apple, _apple(x - ax, y - ay, z - az, size))
        foot = (ax, size * 1.42, az)
        tip = (ax + 0.09 * np.cos(lean), size * 2.15, az + 0.05 * np.sin(lean))
        stem = np.minimum(stem, _rod(x, y, z, foot, tip, 0.013))
    jug = _revolved(x + 0.02, y - 0.215, z - 0.02)
    return [y, 2.2 - z, jug, cover, pages, pear, apple, stem]


def _nearest(points):
    return np.minimum.reduce(distances(*points))


def _march(start, ray, steps, limit):
    """Follows rays until they meet something; returns the length of each."""
    gone = np.zeros(ray.shape[1], np.float32)
    active = np.arange(len(gone))
    for _ in range(steps):
        step = _nearest(start[:, active] + ray[:, active] * gone[active])
        gone[active] += step
        active = active[(step > 0.0012) & (gone[active] < limit)]
        if not len(active):
            break
    return gone


def _shade(points, normal):
    """Direct light, softly shadowed, and the openness of each place to the room."""
    start = points + 0.012 * normal
    clear, gone = np.ones(points.shape[1], np.float32), np.full(points.shape[1], 0.02)
    for _ in range(36):
        near = _nearest(start + LIGHT[:, None] * gone)
        clear = np.minimum(clear, 0.5 + 9 * near / gone)
        gone = gone + np.clip(near, 0.02, 0.2)
    open_ = np.ones_like(clear)
    for reach in (0.04, 0.10, 0.20, 0.36):
        near = _nearest(points + normal * reach)
        open_ -= (
            0.55
            * np.clip(reach - near, 0, None)
            / reach
            * (0.5 if reach > 0.1 else 0.4)
        )
    return np.clip(clear, 0, 1), np.clip(open_, 0, 1)


def look(height, width):
    """Renders the still life."""
    eye, target = np.array(EYE), np.array(TARGET)
    ahead = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross((0, 1, 0), ahead)
    right /= np.linalg.norm(right)
    up = np.cross(ahead, right)
    rows, cols = np.mgrid[:height, :width]
    across = (cols - width / 2) / height
    down = (rows - height / 2) / height
    ray = ZOOM * ahead[:, None, None] + across * right[:, None, None]
    ray = (ray - down * up[:, None, None]).reshape(3, -1)
    ray = (ray / np.linalg.norm(ray, axis=0)).astype(np.float32)
    start = np.repeat(eye.astype(np.float32)[:, None], ray.shape[1], axis=1)
    points = start + ray * _march(start, ray, 90, 9.0)
    kind = np.argmin(distances(*points), axis=0)
    normal = np.empty_like(points)
    for axis in range(3):
        nudge = np.zeros((3, 1), np.float32)
        nudge[axis] = 0.004
        normal[axis] = _nearest(points + nudge) - _nearest(points - nudge)
    normal /= np.linalg.norm(normal, axis=0) + 1e-9
    clear, open_ = _shade(points, normal)
    facing = np.einsum("ij,i->j", normal, LIGHT)
    direct = np.clip(facing, 0, 1) * clear
    # The table throws some light back up.
    bounce = 0.10 * np.clip(-normal[1], 0, 1) + 0.07 * np.clip(normal[0], 0, 1)
    half = LIGHT - ahead
    half /= np.linalg.norm(half)
    gloss = np.clip(np.einsum("ij,i->j", normal, half), 0, 1) ** 60
    shiny = np.isin(kind, (JUG, APPLE, PEAR)) * clear
    light = ALBEDO[kind] * (0.17 * open_ + 1.05 * direct + bounce * open_)
    light = light + 0.45 * gloss * shiny
    # Round the form: across its normal and the vertical.
    ring = np.cross(normal.T, (0, 1, 0.0)).T
    ring[:, np.abs(normal[1]) > 0.97] = np.array([1, 0, 0])[:, None]
    around = np.arctan2(-(up @ ring), right @ ring)
    shape = (height, width)
    return View(
        light.reshape(shape),
        kind.reshape(shape),
        around.reshape(shape),
        (1 - np.clip(direct * 1.6, 0, 1)).reshape(shape),
        np.linalg.norm(points - start, axis=0).reshape(shape),
    )
