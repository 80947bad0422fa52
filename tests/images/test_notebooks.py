"""How pictures look in a notebook."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.helpers import picture
from tfnst.images import notebooks
from tfnst.images.writing import to_pil


@pytest.mark.parametrize(
    ("sides", "size", "shown"),
    [((60, 80), 1024, (80, 60)), ((60, 80), 40, (40, 30)), ((80, 60), 40, (30, 40))],
)
def test_a_picture_is_shrunk_but_never_enlarged(sides, size, shown):
    image = to_pil(picture(*sides))
    for format in ("PNG", "JPEG"):
        data = notebooks.encode_preview(image, format, size=size)
        with Image.open(io.BytesIO(data)) as preview:
            assert (preview.format, preview.size) == (format, shown)
    assert image.size == sides[::-1]


def test_a_figure_holds_the_picture_and_its_caption():
    image = to_pil(picture(60, 80))
    figure = notebooks.html_figure(image, "1 < 2 & 'so on'")
    assert "<figcaption>1 &lt; 2 &amp; &#x27;so on&#x27;</figcaption>" in figure
    data = re.search(r'src="data:image/jpeg;base64,([^"]+)"', figure)[1]
    with Image.open(io.BytesIO(base64.b64decode(data))) as shown:
        difference = np.abs(np.asarray(shown).astype(int) - np.asarray(image))
    assert difference.mean() < 12  # JPEG is lossy, above all in chroma.
