"""The options of a picture that is saved."""

import pytest

from tests.helpers import message, picture
from tfnst.images.formats import FORMATS, SUFFIXES
from tfnst.images.save_options import SaveOptions
from tfnst.images.writing import check_output_path, save_image


def test_save_options_check_themselves():
    assert SaveOptions() == SaveOptions(bits=8, quality=95, keep_gps=False)
    for bits in (1, 12, "16", None, True):
        assert message(ValueError, SaveOptions, bits=bits) == (
            f"`bits` must be 8 or 16. Received: {bits!r}"
        )
    for quality in (0, 101, 9.5, "high", True):
        assert message(ValueError, SaveOptions, quality=quality) == (
            f"`quality` must be an integer from 1 to 100. Received: {quality!r}"
        )
    deep = SaveOptions(bits=16)
    for suffix in SUFFIXES:
        if FORMATS[suffix] in ("PNG", "TIFF"):
            deep.check_format(suffix)
        else:
            assert message(ValueError, deep.check_format, suffix) == (
                f"`bits` must be 8 in a {suffix} file (PNG and TIFF hold 16). "
                "Received: 16"
            )


def test_bits_are_checked(tmp_path):
    for bits in (1, 12, "16", None, True):
        with pytest.raises(ValueError, match=r"`bits` must be 8 or 16\. Received"):
            save_image(picture(20, 20), tmp_path / "a.png", bits=bits)
    for suffix in (".jpg", ".webp"):
        expected = rf"`bits` must be 8 in a {suffix} file \(PNG and TIFF hold 16\)"
        with pytest.raises(ValueError, match=expected):
            save_image(picture(20, 20), tmp_path / f"a{suffix}", bits=16)
        with pytest.raises(ValueError, match=expected):
            check_output_path(tmp_path / f"a{suffix}", bits=16)
    assert not list(tmp_path.iterdir())
