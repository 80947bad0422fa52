"""The photos that a network learns on, and random crops of them."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tfnst.batch.sources import find_pictures, show_source
from tfnst.batch.storage import is_path
from tfnst.checks import ArgumentError, argument, one_line
from tfnst.images.formats import READ_SUFFIXES
from tfnst.images.manifest import describe_arrays
from tfnst.images.reading import read_described
from tfnst.images.writing import to_pil
from tfnst.ops.resizing import shrink_image

# Crops are shown at up to this factor of the size that photos are painted at, or at
# least its inverse.
_ZOOM = 1.25
# Most photos that are kept in memory, about 1 MB each at a size of 512.
MAX_PHOTOS = 2000
# Frames that are taken of a film.
_FRAMES = 100


class UnreadPhotoWarning(UserWarning):
    """A photo could not be read; the training goes on without it."""


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo at the size of training.

    Attributes:
        pixels: uint8 [H, W, 3].
        sha256: digest of its file, or of the pixels of a frame.
    """

    pixels: np.ndarray
    sha256: str | None


def load_photos(
    photos: Any, *, size: int, seed: int, prepare: Callable[[tf.Tensor], tf.Tensor]
) -> list[Photo]:
    """Loads photos and frames of films.

    Args:
        photos: a photo, folder or film, or several of them.
        size: long side at which photos are painted.
        seed: seed of the choice, if there are more than 2,000 photos.
        prepare: function from a photo [1, H, W, 3] to what the network is shown.

    Raises:
        ValueError: if none of them can be read.
        OSError: for a folder that can't be read, and a file that doesn't exist.
    """
    sources = [photos] if is_path(photos) else list(photos)
    found: list[Any] = []
    with argument("photos"):
        for source in sources:
            found += find_pictures([source]) if is_path(source) else [source]
    if len(found) > MAX_PHOTOS:
        chosen = np.random.default_rng(seed).choice(len(found), MAX_PHOTOS, False)
        found = [found[i] for i in sorted(chosen)]
    loaded = []
    for source in found:
        try:
            with argument("photos"):
                loaded += [
                    _at_size(picture, sha256, size, prepare)
                    for picture, sha256 in _read(source)
                ]
        except FileNotFoundError:
            raise
        except (ValueError, OSError) as error:
            warnings.warn(
                f"left out: {one_line(error)}", UnreadPhotoWarning, stacklevel=2
            )
    if not loaded:
        raise ArgumentError(
            "photos, or folders or films with some that can be read",
            ", ".join(map(show_source, sources)) or "none",
            argument="photos",
        )
    return loaded


class Crops:
    """Random crops of photos: crop i is the same in every run with the same seed.

    Args:
        photos: the photos.
        side: side of a crop in pixels.
        size: long side at which photos are painted.
        seed: seed of the choice.
    """

    def __init__(
        self, photos: Sequence[Photo], *, side: int, size: int, seed: int
    ) -> None:
        self._photos = photos
        self._side = side
        self._size = size
        self._seed = seed

    def crop(self, index: int) -> np.ndarray:
        """A random part of a random photo, perhaps mirrored, uint8 [side, side, 3]."""
        random = np.random.default_rng([self._seed, index])
        pixels = self._photos[int(random.integers(len(self._photos)))].pixels
        height, width = pixels.shape[:2]
        scale = self._size / max(height, width) * _ZOOM ** random.uniform(-1, 1)
        # A photo that is too small is enlarged.
        seen = min(self._side / scale, height, width)
        top, left = random.uniform(0, (height - seen, width - seen))
        crop = Image.fromarray(pixels).resize(
            (self._side, self._side),
            Image.Resampling.BICUBIC,
            box=(left, top, left + seen, top + seen),
        )
        if random.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.asarray(crop)

    def blocks(self, first: int, count: int) -> Iterator[tf.Tensor]:
        """Blocks of crops, float32 [count, side, side, 3] in [0, 1], without end.

        The next block is made while one is in use.

        Args:
            first: number of the first block.
            count: number of crops in a block.
        """

        def block(number: Any) -> np.ndarray:
            begin = int(number) * count
            return np.stack([self.crop(i) for i in range(begin, begin + count)])

        def load(number: tf.Tensor) -> tf.Tensor:
            pixels = tf.numpy_function(block, [number], tf.uint8, stateful=False)
            pixels = tf.ensure_shape(pixels, [count, self._side, self._side, 3])
            return tf.cast(pixels, tf.float32) / 255.0

        numbers = tf.data.Dataset.range(first, tf.int64.max)
        return iter(numbers.map(load).prefetch(1))


def _read(source: Any) -> Iterable[tuple[np.ndarray, str | None]]:
    """The picture of a source, or frames of a film, [1, H, W, 3], with digests."""
    suffix = os.path.splitext(os.fspath(source))[1].lower() if is_path(source) else ""
    if suffix and suffix not in READ_SUFFIXES:
        yield from _read_film(source)
        return
    picture, _, description = read_described(source)
    yield picture, description["sha256"]


def _read_film(path: Any) -> Iterator[tuple[np.ndarray, str | None]]:
    """Frames of a film, spread evenly over it."""
    from tfnst.video.reading import open_film  # needs the extra `video`

    with argument("photos"), open_film(path) as film:
        total = film.info.frames or _FRAMES
        every = max(1, total // _FRAMES)
        for index, frame in enumerate(film):
            if index % every == 0:
                picture = frame.picture[np.newaxis] / np.float32(255)
                yield picture, describe_arrays(frame.picture)["sha256"]


def _at_size(
    picture: np.ndarray,
    sha256: str | None,
    size: int,
    prepare: Callable[[tf.Tensor], tf.Tensor],
) -> Photo:
    """A photo as it is kept in memory."""
    shown = prepare(tf.convert_to_tensor(shrink_image(picture, round(_ZOOM * size))))
    return Photo(np.asarray(to_pil(np.asarray(shown)[0])), sha256)
