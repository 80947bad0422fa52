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


def test_they_are_checked_before_a_file_is_written(tmp_path):
    path = tmp_path / "a.jpg"
    for call in (
        lambda: save_image(picture(20, 20), path, bits=16),
        lambda: save_image(picture(20, 20), path, quality=0),
        lambda: check_output_path(path, bits=16),
    ):
        with pytest.raises(ValueError, match=r"^`(bits|quality)` must be "):
            call()
    assert not list(tmp_path.iterdir())
