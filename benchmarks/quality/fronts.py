"""Fronts of style against content, and which of two lies ahead.

A point is (content distance, style distance), both in units that no recipe sets: the
photo itself is at (0, 1), and the style picture, cut to the photo's shape, is at
(1, nearly 0). Both are to be had for nothing, so every front runs from one to the
other, through the points of its recipe that no other of its points beats in both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]


def front(points: Sequence[Point], photo: Point, painting: Point) -> list[Point]:
    """The points that count, from the photo to the style picture."""
    kept = []
    for content, style in sorted([*points, photo, painting]):
        if not kept or style < kept[-1][1]:
            kept.append((content, style))
    return kept


def height(line: Sequence[Point], content: float) -> float:
    """Style distance of a front at a content distance, straight between its points.

    Left of the photo nothing is possible: infinite. Right of the last point it goes
    on level.
    """
    contents, styles = zip(*line, strict=True)
    if content < contents[0]:
        return float("inf")
    return float(np.interp(content, contents, styles))


def area(line: Sequence[Point]) -> float:
    """Area under a front for content distances from 0 to 1; less is better."""
    contents = sorted({0.0, 1.0, *(c for c, _ in line if 0 < c < 1)})
    heights = [min(height(line, content), 1.0) for content in contents]
    return float(np.trapezoid(heights, contents))


def behind(points: Sequence[Point], line: Sequence[Point]) -> int:
    """How many points lie above a front: it has less of both distances to offer."""
    return sum(style > height(line, content) for content, style in points)
