"""What the page works with."""

import os
import pathlib

import numpy as np
import pytest
from PIL import Image

import tfnst.studio
from tests.helpers import SAMPLES, TINY, picture
from tests.image_files import chunk, heif, smooth
from tests.studio.helpers import add_picture, make_pictures, make_task
from tfnst.images.reading import load_image
from tfnst.images.writing import save_image
from tfnst.studio.limits import Limits
from tfnst.studio.studio import is_hidden_from_browsers, shrink


def test_pictures_are_checked_in_words(open_studio, tmp_path):
    studio = open_studio()
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    save_image(picture(30, 40), good)
    bad.write_text("no picture")
    assert studio.check_picture(str(good)) is None
    assert studio.check_picture(str(bad)) == (
        "The picture must be an image file (PNG, JPEG, WebP, TIFF, ...). "
        "Received: bad.png, which is not an image that Pillow can read"
    )
    save_image(picture(30, 40), bad)  # It is read again, once it has changed.
    assert studio.check_picture(str(bad)) is None
    bad.unlink()
    assert studio.check_picture(str(bad)) == (
        "The file is no longer there; choose it again."
    )


def test_a_jpeg_file_that_would_keep_others_waiting(open_studio, tmp_path):
    """Each of its scans goes over the whole picture."""
    studio, path = open_studio(), tmp_path / "photo.jpg"
    Image.fromarray(np.full((64, 64), 128, np.uint8)).save(path, progressive=True)
    assert studio.check_picture(str(path)) is None
    data = path.read_bytes()
    scan = data[data.rindex(b"\xff\xda") : -2]
    path.write_bytes(data[:-2] + 200 * scan + data[-2:])
    assert studio.check_picture(str(path)) == (
        "photo.jpg is a JPEG file of far more scans than programs write."
    )


def test_what_browsers_do_not_show_is_handed_out_as_jpeg(open_studio, tmp_path):
    pytest.importorskip("av")
    studio = open_studio()
    shown, hidden = tmp_path / "shown.png", tmp_path / "hidden.heic"
    save_image(picture(30, 40), shown)
    hidden.write_bytes(heif(smooth(64, 96), quarter_turns=1))
    assert not is_hidden_from_browsers(shown)
    assert is_hidden_from_browsers(str(hidden))
    assert pathlib.Path(studio.copy_picture(shown)).read_bytes() == shown.read_bytes()
    assert studio.check_picture(str(hidden)) is None
    copy = pathlib.Path(studio.copy_picture(hidden))
    assert copy.name == "hidden.jpg"
    with Image.open(copy) as image:
        assert image.format == "JPEG"
    turned = np.rot90(smooth(64, 96))
    np.testing.assert_allclose(load_image(copy)[0], turned, atol=0.05)


def test_videos_are_handed_out_as_they_are(open_studio, tmp_path):
    """MP4 files begin as HEIF files do."""
    video = tmp_path / "video.mp4"
    video.write_bytes(bytes(3) + b" ftypisom" + bytes(20))
    copy = pathlib.Path(open_studio().copy_file(video))
    assert (copy.name, copy.read_bytes()) == ("video.mp4", video.read_bytes())


def test_photos_that_only_tfnst_can_open_may_be_painted(open_studio, tmp_path):
    studio = open_studio()
    style, content = make_pictures(tmp_path, "style.png", "content.png")
    data = pathlib.Path(content).read_bytes()
    spoiled = chunk(b"pHYs", b"short")
    pathlib.Path(content).write_bytes(data[:33] + spoiled + data[33:])
    assert studio.check_picture(str(content)) is None
    studio.check_limits(make_task(content, style))
    assert load_image(content).shape == load_image(style).shape


def test_the_hosts_limits_hold_for_tasks(open_studio, tmp_path):
    studio = open_studio(limits=Limits(max_megapixels=0.001))
    content, style = make_pictures(tmp_path, "content.png", "style.png")
    with pytest.raises(ValueError, match=r"the host allows 0\.001 megapixels"):
        studio.check_limits(make_task(content, style))


def test_browsers_share_their_pictures_or_not(open_studio):
    shared = open_studio()
    assert shared.history("one") is shared.history("two")
    separate = open_studio(shared=False)
    one, two = separate.history("one"), separate.history("two")
    assert one is separate.history("one")
    assert one.folder != two.folder
    assert one.folder.parent.name == "visitors"
    # A folder's name doesn't give the secret away.
    assert "one" not in one.folder.name


def test_old_pictures_of_all_visitors_are_deleted(open_studio, tmp_path):
    pictures = make_pictures(tmp_path, "content.png", "style.png")
    before = open_studio(shared=False)
    entries = [
        add_picture(history, make_task(*pictures))
        for history in (before.history("one"), before.history("two"))
    ]
    os.utime(entries[0].path, (1e9, 1e9))
    # Another process, which doesn't know the visitors yet.
    studio = open_studio(shared=False, limits=Limits(max_days=1))
    studio.delete_old()
    assert [entry.path.exists() for entry in entries] == [False, True]


def test_names_of_settings_become_their_labels(open_studio):
    studio = open_studio()
    values = {field.name: getattr(TINY, field.name) for field in studio.fields}
    values |= {"style_layers": "block1_conv1", "content_layers": "block2_conv1"}
    _, wrong = studio.read_settings(values | {"min_size": 7})
    assert wrong == {
        "min_size": "Min size must be an integer from 32 to 16384. Received: 7"
    }


def test_samples_are_photos_styles_or_both(open_studio, tmp_path):
    studio = open_studio(samples=SAMPLES)
    assert [path.name for path in studio.photos] == [
        "photo_cat.jpg",
        "photo_coffee.jpg",
        "photo_rocket.jpg",
    ]
    assert len(studio.styles) == 8
    folder = tmp_path / "samples"
    folder.mkdir()
    make_pictures(folder, "flower.png", "photo_1.png", "style_1.png")
    (folder / "README.md").write_text("no picture")
    studio = open_studio(samples=folder)
    assert {path.name for path in studio.photos} == {"flower.png", "photo_1.png"}
    assert {path.name for path in studio.styles} == {"flower.png", "style_1.png"}


def test_an_installed_package_has_samples(open_studio):
    """Small copies of pictures whose licences the samples of a checkout state."""
    folder = pathlib.Path(tfnst.studio.__file__).parent / "samples"
    studio = open_studio(samples=folder)
    assert len(studio.photos) + len(studio.styles) == 3
    assert sum(path.stat().st_size for path in folder.glob("*.jpg")) < 300_000
    listed = (SAMPLES / "README.md").read_text()
    assert all(f"`{path.name}`" in listed for path in folder.glob("*.jpg"))


def test_only_uploads_are_given_back(open_studio, tmp_path):
    studio = open_studio()
    studio.uploads.mkdir()
    mine = str(make_pictures(studio.uploads, "mine.png")[0])
    other = str(make_pictures(tmp_path, "other.png")[0])
    assert studio.find_upload(mine) == mine
    for path in (None, other, f"{studio.uploads}/../../{other}", f"{mine}.gone"):
        assert studio.find_upload(path) is None


def test_pages_show_small_copies(tmp_path):
    path = tmp_path / "large.png"
    save_image(picture(300, 2000), path)
    assert shrink(path, 640).size == (640, 96)


def test_closing_removes_temporary_files(open_studio, tmp_path):
    studio = open_studio()
    (path,) = make_pictures(tmp_path, "a.png")
    copy = studio.copy_file(path)
    assert pathlib.Path(copy).read_bytes() == path.read_bytes()
    studio.close()
    assert not studio.folder.exists()
