"""The folder of painted pictures."""

import dataclasses
import os

import numpy as np
import pytest
from PIL import Image

import tfnst
from tests.helpers import TINY, message, picture
from tests.studio.helpers import add_picture, make_pictures, make_task, open_history
from tfnst.images.manifest import build_manifest, read_manifest
from tfnst.images.reading import load_image
from tfnst.images.style_images import StyleImage
from tfnst.studio.tasks import Task


@pytest.fixture
def task(tmp_path):
    return make_task(*make_pictures(tmp_path, "my photo.png", "style.jpg"))


def test_pictures_are_found_again_after_a_restart(tmp_path, history, task):
    first = add_picture(history, task)
    os.utime(first.path, (1e9, 1e9))
    second = add_picture(history, task)
    assert first.name != second.name
    assert "my-photo_style" in first.name
    names = [entry.name for entry in open_history(tmp_path).entries()]
    assert names == [second.name, first.name]
    again = open_history(tmp_path).find(first.name)
    assert again.settings["size"] == TINY.size
    assert again.config(TINY.replace(size=512)) == TINY


def test_other_programs_may_add_and_remove_pictures(history, task):
    entry = add_picture(history, task)
    tfnst.save_image(picture(20, 20), history.folder / "plain.png")
    (history.folder / "notes.png").write_text("no picture")
    os.rename(entry.path, history.folder / "renamed.png")
    assert [each.name for each in history.entries()] == ["renamed.png"]
    (history.folder / "renamed.png").unlink()
    assert history.entries() == []
    text = message(LookupError, history.find, "renamed.png")
    assert text == "The picture 'renamed.png' is no longer there."


def test_what_is_older_than_a_time_goes_if_it_was_painted_here(history, task):
    old, new = add_picture(history, task), add_picture(history, task)
    video = history.new_path(dataclasses.replace(task, suffix=".mp4"))
    mine = [history.folder / "holiday.mp4", history.folder / "mine.png"]
    for path in (video, *mine):
        path.write_bytes(new.path.read_bytes())
    for path in (old.path, video, *mine):
        os.utime(path, (1e9, 1e9))
    history.delete_older(2e9 - 1e9 + 1)
    left = {each.name for each in history.folder.iterdir() if each.is_file()}
    assert left == {new.name, "holiday.mp4", "mine.png"}
    assert history.content(new).exists()


@pytest.mark.parametrize("bits", [8, 16])
def test_downloads_keep_the_bits_where_the_format_can(history, task, tmp_path, bits):
    pixels = picture(20, 30)
    facts = build_manifest(settings={"size": 30}, content_image={}, style_image={})

    def save(path):
        tfnst.save_image(pixels, path, bits=bits, manifest=facts)

    entry = history.add(task, save)
    assert entry.bits == bits
    for suffix in (".png", ".tif", ".webp", ".jpg"):
        path = history.convert(entry, tmp_path, suffix)
        assert read_manifest(path) == facts
        again = load_image(path, min_side=1)[0]
        step = 2**-17 if bits == 16 else 2**-9
        if suffix in (".png", ".tif"):
            error = np.abs(again - pixels).max()
            # Half a level, and no less: the lower bits aren't there by chance.
            assert step / 2 < error <= 1.01 * step
        else:
            assert again.shape == pixels.shape


def test_names_lead_nowhere_else(history, task, tmp_path):
    outside = add_picture(history, task)
    os.rename(outside.path, tmp_path / "outside.png")
    message(LookupError, history.find, "../outside.png")


def test_what_a_picture_was_painted_from_is_kept(tmp_path, history):
    content, style, region = make_pictures(tmp_path, "my photo.png", "s.png", "m.png")
    data = region.read_bytes()
    part = StyleImage(image=style, scale=0.5, region=region)
    entry = add_picture(history, Task(content, (part,), TINY))
    for path in (content, style, region):
        path.unlink()
    assert history.content(entry).name == "my-photo.png"
    photo, (kept,) = history.sources(entry)
    assert photo == history.content(entry)
    assert (kept.image.name, kept.scale) == ("s.png", 0.5)
    assert kept.region.read_bytes() == data


def test_strange_manifests_do_no_harm(history, task):
    entry = add_picture(history, task)
    strange = {
        "content_image": {"sha256": "../../etc"},
        "style_image": [3, {"sha256": None}, {"sha256": "a" * 64, "weight": -1}],
        "settings": [],
    }
    path = history.folder / "strange.png"
    tfnst.save_image(picture(20, 20), path, manifest=strange)
    found = history.find("strange.png")
    assert history.content(found) is None
    assert message(LookupError, history.sources, found) == (
        "The photo of this picture isn't kept."
    )
    assert found.settings == {}
    history.delete(found)
    assert [each.name for each in history.entries()] == [entry.name]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"style_image": 3}, "The style of this picture isn't kept."),
        ({"style_image": [{"sha256": ["a"]}]}, "The style of this picture isn't kept."),
        ({"mask": {"sha256": "a" * 64}}, "The mask of this picture isn't kept."),
        ({"style_image": 5 * [{}]}, "The page has no room for 5 styles."),
        ({"weight": "much"}, "`weight` must be a number above 0. Received: 'much'"),
    ],
)
def test_pictures_that_cannot_be_repeated_say_why(history, task, changes, expected):
    manifest = add_picture(history, task).manifest
    changes = {"style_image": manifest["style_image"] | changes} | changes
    path = history.folder / "odd.png"
    tfnst.save_image(picture(20, 20), path, manifest=manifest | changes)
    found = history.find("odd.png")
    assert history.content(found).name == "my-photo.png"
    with pytest.raises((LookupError, ValueError)) as refused:
        history.sources(found)
    assert str(refused.value) == expected


def test_settings_of_another_version_are_refused(history, task):
    manifest = add_picture(history, task).manifest
    settings = manifest["settings"] | {"strokes": "wild"}
    path = history.folder / "odd.png"
    tfnst.save_image(picture(20, 20), path, manifest=manifest | {"settings": settings})
    found = history.find("odd.png")
    assert message(ValueError, found.config, TINY) == (
        "This version of tfnst has no settings strokes."
    )


def test_a_damaged_picture_is_grey_among_the_others(history, task):
    manifest = add_picture(history, task).manifest
    path = history.folder / "damaged.jpg"
    tfnst.save_image(picture(200, 300), path, manifest=manifest)
    path.write_bytes(path.read_bytes()[:-20_000])
    entry = history.find("damaged.jpg")
    with Image.open(history.thumbnail(entry)) as image:
        assert image.getpixel((10, 10)) == (128, 128, 128)


def test_deleting_spares_sources_that_others_need(tmp_path, history):
    content, style, other = make_pictures(tmp_path, "c.png", "s.png", "o.png")
    one = add_picture(history, make_task(content, style))
    two = add_picture(history, make_task(content, other))
    thumbnail = history.thumbnail(one)
    _, (kept,) = history.sources(one)
    history.delete(one)
    assert not one.path.exists()
    assert not thumbnail.exists()
    assert not kept.image.exists()
    assert history.content(two).exists()
    history.delete(two)
    assert list((history.folder / "sources").iterdir()) == []
    assert content.exists()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_pictures_are_converted_with_their_manifest(tmp_path, history, task, suffix):
    entry = add_picture(history, task, color=(200, 100, 50))
    path = history.convert(entry, tmp_path, suffix)
    assert path.name == entry.path.with_suffix(suffix).name
    assert read_manifest(path) == entry.manifest
    with Image.open(path) as image:
        pixel = np.asarray(image.convert("RGB"))[20, 20].astype(int)
    np.testing.assert_allclose(pixel, (200, 100, 50), atol=3)


def test_thumbnails_are_small_and_follow_the_picture(history, task):
    entry = add_picture(history, task)
    big = np.zeros((400, 900, 3), np.float32)
    tfnst.save_image(big, entry.path, manifest=entry.manifest)
    os.utime(entry.path, (2e9, 2e9))
    with Image.open(history.thumbnail(history.find(entry.name))) as image:
        assert image.size == (320, 142)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "painted").write_text("a file")
    with pytest.raises(OSError, match=r"^`output` must be a folder that"):
        open_history(tmp_path)
