"""Fronts of style against content, and which of two lies ahead.

A point is (content distance, style distance), both in units that no recipe sets: the
photo itself is at (0, 1), and the style picture, cut to the photo's shape, is at
(1, nearly 0). The front of a recipe runs through those of its points that no other of
them beats in both, straight from one to the next.

Two fronts are compared by the mean distance between them over content distances, as
rates and distortions of video coders are: from where both have begun to where the
longer one ends. Behind its last point a front goes on level, since a picture that keeps
more of the content and shows as much of the style is no worse.

Reference:
    Bjontegaard, "Calculation of average PSNR differences between RD-curves",
    ITU-T VCEG-M33, 2001.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other one beats in both, by content distance."""
    kept = []
    for content, style in sorted(points):
        if not kept or style < kept[-1][1]:
            kept.append((content, style))
    return kept


def height(line: Sequence[Point], content: float) -> float:
    """Style distance that a front offers at a content distance.

    Left of its first point there is nothing: infinite.
    """
    contents, styles = zip(*line, strict=True)
    if content < contents[0]:
        return float("inf")
    return float(np.interp(content, contents, styles))


def lead(line: Sequence[Point], other: Sequence[Point]) -> float:
    """How far a front lies below another one, on average; above 0 is better."""
    low = max(line[0][0], other[0][0])
    high = max(line[-1][0], other[-1][0])
    return float(
        np.mean(
            [height(other, c) - height(line, c) for c in np.linspace(low, high, 201)]
        )
    )


def behind(points: Sequence[Point], line: Sequence[Point]) -> int:
    """How many points lie above a front: it has less of both distances to offer."""
    return sum(style > height(line, content) for content, style in points)
