"""Pictures for notebooks."""

from __future__ import annotations

import base64
import html
import io

from PIL import Image

# Longest side of a picture in a notebook, whose file shouldn't grow by megabytes.
MAX_SIZE = 1024


def encode_preview(image: Image.Image, format: str, *, size: int = MAX_SIZE) -> bytes:
    """Encodes a picture for a notebook.

    Args:
        image: image of mode RGB.
        format: Pillow's name of the file format.
        size: longest side in pixels, to which larger pictures are shrunk. Default 1024.
    """
    if max(image.size) > size:
        image = image.copy()
        image.thumbnail((size, size), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    image.save(encoded, format, **({"quality": 90} if format == "JPEG" else {}))
    return encoded.getvalue()


def html_figure(image: Image.Image, caption: str, *, size: int = MAX_SIZE) -> str:
    """A picture with a line below it, as HTML that needs no other file.

    Args:
        image: image of mode RGB.
        caption: plain text.
        size: longest side in pixels, as for `encode_preview`. Default 1024.
    """
    data = base64.b64encode(encode_preview(image, "JPEG", size=size)).decode()
    return (
        f'<figure style="margin: 0"><img src="data:image/jpeg;base64,{data}" '
        f'style="max-width: 100%" alt="{html.escape(caption)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
