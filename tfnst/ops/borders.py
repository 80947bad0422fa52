"""A border around pictures, so that a network sees their edges like the rest.

A network sees less of what lies at an edge: fewer positions look at it, zeros lie
beside it, and a pooling leaves out the last rows of a side that isn't a multiple of its
stride. Left alone, the outermost rows get four fifths of the detail of the middle, or
less or more, as the remainder has it. So pictures are seen with a border of mirrored
pixels, half a position of the deepest layer wide. A whole position takes longer, and
what it holds counts as if it were painted: at 256 and 384 pixels, six runs were 2 to
11% farther from the style with it, and as near to the content.

A seamless picture has a border of wrapped pixels: beyond an edge lies what lies at the
opposite edge. It is as wide as a feature sees, and the features in the border itself
don't count, so that the seam is a place like any other.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfnst.ops.cropping import crop


@dataclasses.dataclass(frozen=True)
class Border:
    """A border of mirrored or wrapped pixels, which makes sides fit the strides.

    Attributes:
        stride: pixels per position of the deepest layer, along a side. Padded sides are
            multiples of it.
        before: number of pixels above a picture and to its left.
        behind: least number of pixels below it and to its right; both together are a
            multiple of the stride.
        wrap: whether the pixels are wrapped, and features of the border don't count;
            both widths are multiples of the stride then.
    """

    stride: int
    before: int
    behind: int
    wrap: bool = False

    @classmethod
    def mirrored(cls, stride: int) -> Border:
        """The border of pictures that end at their edges.

        Their sides must be twice the stride or more.
        """
        half = max(stride // 2, 1)
        return cls(stride, half, half)

    @property
    def margins(self) -> tuple[int, int]:
        """Widths of the parts of padded sides whose features don't count, in pixels.

        A last position that is partly in the border counts.
        """
        return (self.before, self.behind) if self.wrap else (0, 0)

    def widths(self, length: Any) -> tuple[int, Any]:
        """Pixels to add before and behind a side.

        Args:
            length: length of the side; a number, or an array or tensor of several.
        """
        return self.before, self.behind + -length % self.stride

    def pad(self, pictures: tf.Tensor) -> tf.Tensor:
        """Pictures [N, H, W, C] with the border."""
        shape = tf.shape(pictures)
        sides = [self.widths(shape[axis]) for axis in (1, 2)]
        if not self.wrap:
            return tf.pad(pictures, [[0, 0], *sides, [0, 0]], "SYMMETRIC")
        for axis, (before, behind) in zip((1, 2), sides, strict=True):
            pictures = wrap_around(pictures, axis, before, behind)
        return pictures

    def pad_array(self, pictures: np.ndarray) -> np.ndarray:
        """As `pad`, for an array."""
        sides = [self.widths(length) for length in pictures.shape[1:3]]
        mode: Any = "wrap" if self.wrap else "symmetric"
        return np.pad(pictures, [(0, 0), *sides, (0, 0)], mode)

    def inside(self, padded: tf.Tensor, stride: int = 1) -> tf.Tensor:
        """Activations [N, h, w, C] of padded pictures, without those that don't count.

        Args:
            padded: the activations of a layer, or the padded pictures themselves.
            stride: stride of the layer.
        """
        if not self.wrap:
            return padded
        before, margins = self.before // stride, (self.before + self.behind) // stride
        shape = tf.shape(padded)
        return crop(padded, before, before, shape[1] - margins, shape[2] - margins)

    def fold(self, gradients: np.ndarray, height: int, width: int) -> np.ndarray:
        """The gradients of pictures [N, H, W, C] from those of their padded copies.

        Args:
            gradients: gradients with respect to the result of `pad_array`; changed in
                place.
            height: height of the pictures, H.
            width: width of the pictures, W.

        Returns:
            A part of `gradients`, to which those of the border are added: each to the
            pixel of which the border has a copy.
        """
        for axis, length in ((1, height), (2, width)):
            along = np.moveaxis(gradients, axis, 0)
            before, behind = self.widths(length)
            inside = along[before : before + length]
            if self.wrap:
                # Copies of the picture, the first and the last of them cut off.
                first, last = -(-before // length), -(-behind // length)
                for start in range(-first * length, (last + 1) * length, length):
                    copy = along[max(start + before, 0) : start + before + length]
                    skipped = max(-(start + before), 0)
                    if start:
                        inside[skipped : skipped + len(copy)] += copy
            else:
                inside[:before] += along[:before][::-1]
                inside[length - behind :] += along[before + length :][::-1]
            gradients = np.moveaxis(inside, 0, axis)
        return gradients


def wrap_around(pictures: Any, axis: int, before: Any, behind: Any) -> tf.Tensor:
    """Pictures continued periodically along an axis, by pixels before and behind."""
    length = tf.shape(pictures)[axis]
    indices = tf.range(-before, length + behind) % length
    return tf.gather(pictures, indices, axis=axis)
