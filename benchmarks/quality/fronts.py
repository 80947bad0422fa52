"""Fronts of style against content distance, and which of two is ahead.

A point is (content distance, style distance), in units that don't depend on a recipe:
the photo itself is at (0, 1), and the style image, cropped to the photo's shape, at
(1, nearly 0). A recipe's front connects with straight lines the points that none of its
other points beats in both distances.

Two fronts are compared as the rate-distortion curves of video coders are: by the mean
difference in style distance over a range of content distances. The range goes from
where both fronts have begun to where the longer one ends. After its last point a front
stays level: a picture that shows as much of the style and keeps more of the content is
no worse.

Reference:
    Bjontegaard, "Calculation of average PSNR differences between RD-curves",
    ITU-T VCEG-M33, 2001.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other point beats in both distances, by content distance."""
    kept = []
    for content, style in sorted(points):
        if not kept or style < kept[-1][1]:
            kept.append((content, style))
    return kept


def height(line: Sequence[Point], content: float) -> float:
    """The style distance that a front reaches at a content distance.

    It is infinite left of the front's first point.
    """
    contents, styles = zip(*line, strict=True)
    if content < contents[0]:
        return float("inf")
    return float(np.interp(content, contents, styles))


def lead(line: Sequence[Point], other: Sequence[Point]) -> float:
    """Mean distance of a front below another; above 0, it is the better one."""
    low = max(line[0][0], other[0][0])
    high = max(line[-1][0], other[-1][0])
    return float(
        np.mean(
            [height(other, c) - height(line, c) for c in np.linspace(low, high, 201)]
        )
    )


def behind(points: Sequence[Point], line: Sequence[Point]) -> int:
    """Number of points above a front, where the front is closer to the style."""
    return sum(style > height(line, content) for content, style in points)
