"""The part of the page that is filled in: pictures, styles and settings."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from tfnst.config import PRESETS, StyleTransferConfig, preset_settings
from tfnst.limits import MAX_SCALE, MIN_SCALE
from tfnst.studio import form, masks, panels
from tfnst.studio.form import Field
from tfnst.studio.history import Entry, History
from tfnst.studio.studio import Studio, StyleInput, in_labels, shrink

Updates = dict[Any, Any]

# Of events that take no time, or whose waiting needn't be shown.
QUICK: dict[str, Any] = {
    "show_progress": "hidden",
    "concurrency_limit": None,
    "api_visibility": "private",
}
# Of events that receive pictures: Gradio itself would decode them without limits, and
# write others. It has checked that they were uploaded.
AS_SENT: dict[str, Any] = QUICK | {"preprocess": False}
_STYLES = len(masks.BRUSHES)
_EDITOR_SIZE = 640
_PICTURE_HEIGHT = 220


@dataclasses.dataclass
class Slot:
    """The components of one style."""

    group: gr.Column
    image: gr.Image
    weight: gr.Slider
    scale: gr.Slider
    wrong: gr.HTML


@dataclasses.dataclass(frozen=True)
class Filled:
    """What was filled in, once it is right."""

    content: str
    styles: list[StyleInput]
    config: StyleTransferConfig


class Inputs:
    """The components, laid out where they are made.

    Args:
        studio: whose settings and samples they show.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        with gr.Row():
            with gr.Column(min_width=260):
                self.content = _picture_input("Photo", "photo")
                self.content_wrong = _place_for_errors("photo")
                photos = _samples(studio.photos, "Sample photos")
            with gr.Column(min_width=260):
                self.slots = [self._slot(index) for index in range(_STYLES)]
                self.style_wrong = _place_for_errors("style")
                styles = _samples(studio.styles, "Sample styles")
                with gr.Row():
                    self.more = gr.Button("Add a style", size="sm", min_width=110)
                    self.fewer = gr.Button(
                        "Remove the last", size="sm", min_width=110, visible=False
                    )
        self.count = gr.State(1)
        for picture, wrong in (
            (self.content, self.content_wrong),
            *((slot.image, slot.wrong) for slot in self.slots),
        ):
            picture.input(self._check_now, picture, wrong, **AS_SENT)
        images = [slot.image for slot in self.slots]
        if styles is not None:
            styles.select(
                self._take_style,
                [self.count, *images],
                [*self.shown_styles, self.style_wrong, *(s.wrong for s in self.slots)],
                **AS_SENT,
            )
        for button, change in ((self.more, 1), (self.fewer, -1)):
            button.click(self._adding(change), self.count, self.shown_styles, **QUICK)
        self.settings: dict[str, Any] = {}
        self.wrong: dict[str, gr.HTML] = {}
        self._front()
        self._drawer()
        self._brushes()
        if photos is not None:
            outputs = [self.content, self.content_wrong, self.editor, self.painted]
            photos.select(self._take_photo, None, outputs, **QUICK)

    @property
    def all(self) -> set[Any]:
        """The components whose values `read` takes."""
        slots = [(slot.image, slot.weight, slot.scale) for slot in self.slots]
        return {
            *(self.content, self.count, self.painted),
            *(component for slot in slots for component in slot),
            *self.settings.values(),
        }

    @property
    def errors(self) -> list[gr.HTML]:
        """The components that say what is wrong."""
        slots = [slot.wrong for slot in self.slots]
        return [self.content_wrong, self.style_wrong, *slots, *self.wrong.values()]

    @property
    def shown(self) -> list[Any]:
        """The components that `show` changes."""
        slots = [
            component
            for slot in self.slots
            for component in (slot.group, slot.image, slot.weight, slot.scale)
        ]
        return [
            *(self.content, self.count, self.fewer, self.more),
            *(self.editor, self.painted),
            *slots,
            *self.settings.values(),
        ]

    @property
    def shown_styles(self) -> list[Any]:
        """The components that `show_one_style` changes."""
        groups = [component for s in self.slots for component in (s.group, s.image)]
        return [self.count, self.fewer, self.more, *groups]

    def read(
        self, data: Mapping[Any, Any], *, styles: bool = True, photo: bool = True
    ) -> tuple[Filled | None, Updates]:
        """What was filled in.

        Args:
            data: the values of `all`, as they were sent.
            styles: whether at least one style is needed.
            photo: whether a photo is needed.

        Returns:
            (what was filled in, or None if it isn't right; what `errors` say).
        """
        said: Updates = dict.fromkeys(self.errors, "")
        content = path_of(data[self.content])
        if not content and photo:
            said[self.content_wrong] = panels.error("Choose a photo first.")
        elif content:
            wrong = self._studio.check_picture(content)
            said[self.content_wrong] = panels.error(wrong)
        given, regions = [], self._regions(data)
        for slot, region in zip(self.slots[: data[self.count]], regions, strict=False):
            path = path_of(data[slot.image])
            if not path:
                continue
            said[slot.wrong] = panels.error(self._studio.check_picture(path))
            given.append(
                StyleInput(
                    image=pathlib.Path(path),
                    weight=data[slot.weight] or 1.0,
                    scale=data[slot.scale] or 1.0,
                    region=region,
                )
            )
        if styles and not given:
            said[self.style_wrong] = panels.error("Choose a style first.")
        values = {name: data[field] for name, field in self.settings.items()}
        config, wrong_settings = self._studio.read_settings(values)
        for name, text in wrong_settings.items():
            said[self.wrong[name]] = panels.error(text)
        if any(said.values()) or config is None:
            return None, said
        return Filled(content or "", given, config), said

    def place_error(self, error: ValueError) -> Updates:
        """What `errors` say about an order that was refused."""
        text = str(error)
        named = re.match(r"`(\w+)`", text)
        name = named[1] if named and named[1] in self.wrong else ""
        labels = {field.name: field.label for field in self._studio.fields}
        return {self.wrong[name]: panels.error(in_labels(text, labels))}

    def show(
        self, entry: Entry, history: History, *, pictures: bool = True, **changes: Any
    ) -> Updates:
        """What `shown` change to for the pictures and settings of a painted picture.

        Args:
            entry: the picture.
            history: where its sources are.
            pictures: whether to show the pictures that it was painted from, too.
            **changes: settings to change.

        Raises:
            ValueError: for settings of another version.
        """
        config = entry.config(self._studio.config).replace(**changes)
        updates = self.show_settings(config)
        if not pictures:
            return updates
        content = history.content(entry)
        styles = history.styles(entry)[:_STYLES]
        if content is not None:
            updates[self.content] = self._studio.hand_out(content)
        updates |= self._show_count(max(1, len(styles)))
        for index, slot in enumerate(self.slots):
            style = styles[index] if index < len(styles) else None
            image = None if style is None else self._studio.hand_out(style.image)
            updates[slot.image] = image
            updates[slot.weight] = 1.0 if style is None else style.weight
            updates[slot.scale] = 1.0 if style is None else style.scale
        regions = [style.region for style in styles]
        if content is not None:
            updates |= self._show_masks(content, regions)
        return updates

    def show_one_style(self, path: pathlib.Path) -> Updates:
        """What `shown_styles` change to for a single style."""
        images = {slot.image: None for slot in self.slots}
        first = {self.slots[0].image: self._studio.hand_out(path)}
        return self._show_count(1) | images | first

    def show_settings(self, config: StyleTransferConfig) -> Updates:
        """What the fields change to for these settings."""
        values = form.show_values(config, self._studio.fields)
        return {self.settings[name]: value for name, value in values.items()}

    def _take_photo(self, chosen: gr.SelectData) -> Updates:
        photo = self._studio.photos[chosen.index]
        return {
            self.content: self._studio.hand_out(photo),
            self.content_wrong: "",
        } | self._show_masks(photo, [])

    def _take_style(
        self, chosen: gr.SelectData, count: int, *images: dict[str, Any] | None
    ) -> Updates:
        """Puts a sample into the first empty place, a new one, or the last one."""
        empty = [index for index in range(count) if not images[index]]
        index = empty[0] if empty else min(count, _STYLES - 1)
        updates = self._show_count(max(count, index + 1))
        slot = self.slots[index]
        path = self._studio.hand_out(self._studio.styles[chosen.index])
        return updates | {slot.image: path, slot.wrong: "", self.style_wrong: ""}

    def _adding(self, change: int) -> Any:
        def change_count(count: int) -> Updates:
            count = min(max(count + change, 1), _STYLES)
            updates = self._show_count(count)
            return updates | {slot.image: None for slot in self.slots[count:]}

        return change_count

    def _show_count(self, count: int) -> Updates:
        updates: Updates = {
            self.count: count,
            self.fewer: gr.update(visible=count > 1),
            self.more: gr.update(visible=count < _STYLES),
        }
        for index, slot in enumerate(self.slots):
            updates[slot.group] = gr.update(visible=index < count)
        return updates

    def _check_now(self, picture: dict[str, Any] | None) -> str:
        path = path_of(picture)
        return panels.error(self._studio.check_picture(path)) if path else ""

    def _slot(self, index: int) -> Slot:
        number = index + 1
        with gr.Column(visible=index == 0) as group:
            image = _picture_input(f"Style {number}", f"style-{number}")
            weight = gr.Slider(
                0.1,
                10,
                value=1,
                step=0.1,
                label=f"Weight of style {number}",
                elem_id=f"weight-{number}",
            )
            scale = gr.Slider(
                MIN_SCALE,
                MAX_SCALE,
                value=1,
                step=0.05,
                label=f"Scale of style {number}",
                elem_id=f"scale-{number}",
            )
            wrong = _place_for_errors(f"style-{number}")
        return Slot(group, image, weight, scale, wrong)

    def _front(self) -> None:
        """The settings that everybody needs, and the presets."""
        shown = {field.name: field for field in self._studio.fields}
        strength, *others = form.FRONT_SETTINGS
        self._component(shown[strength])
        self._error_of(strength)
        with gr.Row():
            for name in others:
                with gr.Column(min_width=160):
                    self._component(shown[name])
                    self._error_of(name)
        if self._studio.server is None:
            self.preset = gr.Radio(
                list(PRESETS),
                label="Preset",
                info="Sets size and steps: how fine, and how long it takes.",
                elem_id="preset",
            )

    def _drawer(self) -> None:
        """All other settings."""
        with gr.Accordion("All settings", open=False, elem_id="all-settings"):
            if self._studio.server is None:
                gr.Markdown(
                    "What is left empty follows from other settings, or has no limit."
                )
            others = [f for f in self._studio.fields if f.name not in self.settings]
            for first in range(0, len(others), 2):
                with gr.Row():
                    for field in others[first : first + 2]:
                        with gr.Column(min_width=240):
                            self._component(field)
                            self._error_of(field.name)
        self._error_of("")
        if self._studio.server is None:
            names = {name for values in PRESETS.values() for name in values}
            outputs = [self.settings[name] for name in sorted(names)]
            self.preset.input(self._take_preset, self.preset, outputs, **QUICK)

    def _take_preset(self, preset: str) -> Updates:
        values = preset_settings(preset)
        return {self.settings[name]: value for name, value in values.items()}

    def _component(self, field: Field) -> None:
        value = form.show_values(self._studio.config, [field])[field.name]
        about: dict[str, Any] = {
            "label": field.label,
            "info": field.help,
            "elem_id": f"setting-{field.name.replace('_', '-')}",
            "min_width": 160,
        }
        component: Any
        if field.kind == "choice":
            component = gr.Dropdown(list(field.choices), value=value, **about)
        elif field.kind == "slider":
            bounds = field.low, field.high
            component = gr.Slider(*bounds, value=value, step=0.01, **about)
        elif field.kind in ("integer", "number"):
            precision = 0 if field.kind == "integer" else None
            component = gr.Number(value=value, precision=precision, **about)
        else:
            component = gr.Textbox(value=value or "", **about)
        self.settings[field.name] = component

    def _error_of(self, name: str) -> None:
        self.wrong[name] = _place_for_errors(f"setting-{name.replace('_', '-')}")

    def _brushes(self) -> None:
        """The editor in which masks are painted."""
        with gr.Accordion(
            "Masks: which style goes where", open=False, elem_id="masks"
        ) as drawer:
            colors = ", ".join(
                f"{color} for style {number}"
                for number, (color, _) in enumerate(masks.BRUSHES, start=1)
            )
            gr.Markdown(
                f"Paint over the photo where a style is to go: {colors}. Styles that "
                "have no paint share the rest; if all have some, the rest of the "
                "photo stays as it is."
            )
            self.editor = gr.ImageEditor(
                label="Masks over the photo",
                type="numpy",
                image_mode="RGBA",
                format="png",
                sources=(),
                transforms=(),
                layers=False,
                buttons=[],
                brush=gr.Brush(colors=masks.brush_colors(_STYLES), color_mode="fixed"),
                canvas_size=(_EDITOR_SIZE, _EDITOR_SIZE * 3 // 4),
                elem_id="mask-editor",
            )
            again = gr.Button("Begin the masks anew", size="sm")
        # The layers that were painted.
        self.painted = gr.State(None)
        outputs = [self.editor, self.painted]
        drawer.expand(
            self._begin_masks, [self.content, self.editor], outputs, **AS_SENT
        )
        again.click(self._new_masks, self.content, outputs, **AS_SENT)
        self.content.input(self._new_masks, self.content, outputs, **AS_SENT)

    def after_masks(self, event: Any) -> Any:
        """What to add `then` to, so that `read` sees the masks as they are now.

        Args:
            event: a method that adds a listener.
        """
        return event(self._keep_masks, self.editor, self.painted, **QUICK)

    def _keep_masks(self, value: dict[str, Any] | None) -> list[np.ndarray] | None:
        return None if value is None else value["layers"]

    def _begin_masks(self, content: Any, value: dict[str, Any] | None) -> Updates:
        """The photo to paint over, unless it is there already."""
        if value is not None and value["background"] is not None:
            return {self.painted: gr.skip()}
        return self._new_masks(content)

    def _new_masks(self, content: dict[str, Any] | None) -> Updates:
        path = path_of(content)
        if path is None or self._studio.check_picture(path):
            return {self.editor: None, self.painted: None}
        return self._show_masks(pathlib.Path(path), [])

    def _show_masks(self, photo: pathlib.Path, regions: Sequence[Any]) -> Updates:
        value = _editor_value(photo, regions)
        return {self.editor: value, self.painted: value["layers"] or None}

    def _regions(self, data: Mapping[Any, Any]) -> list[np.ndarray | None]:
        layers = data[self.painted] or []
        painted = [layer for layer in layers if layer[..., 3].any()]
        return masks.regions_of(painted, data[self.count])


def _place_for_errors(name: str) -> gr.HTML:
    """Where it is said what is wrong with something; it takes no room till then."""
    return gr.HTML(elem_id=f"{name}-wrong", elem_classes="said")


def _picture_input(label: str, name: str) -> gr.Image:
    """A place for a picture: by drop, paste, camera or file."""
    return gr.Image(
        label=label,
        type="filepath",
        sources=["upload", "clipboard", "webcam"],
        height=_PICTURE_HEIGHT,
        buttons=[],
        alt_text=label,
        elem_id=name,
    )


def _samples(files: Sequence[pathlib.Path], label: str) -> gr.Gallery | None:
    """A gallery of sample pictures; None where there are none."""
    if not files:
        return None
    return gr.Gallery(
        [(str(file), _sample_name(file)) for file in files],
        label=label,
        columns=[4],
        height="auto",
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id=label.lower().replace(" ", "-"),
        elem_classes="samples",
    )


def path_of(picture: dict[str, Any] | None) -> str | None:
    """The path of a picture as events with `AS_SENT` receive it."""
    return None if picture is None else picture["path"]


def _sample_name(file: pathlib.Path) -> str:
    return file.stem.partition("_")[2].replace("_", " ") or file.stem


def _editor_value(content: pathlib.Path, regions: Sequence[Any]) -> dict[str, Any]:
    """The photo in the editor, with the masks of styles painted over it."""
    photo = shrink(content, _EDITOR_SIZE)
    layer = np.zeros((photo.height, photo.width, 4), np.uint8)
    for (_, color), region in zip(masks.BRUSHES, regions, strict=False):
        if region is None:
            continue
        with Image.open(region) as mask:
            cover = np.asarray(mask.convert("L").resize(photo.size))
        layer[cover > layer[..., 3], :3] = color
        layer[..., 3] = np.maximum(layer[..., 3], cover)
    pixels = np.asarray(photo.convert("RGBA"))
    layers = [layer] if layer.any() else []
    return {"background": pixels, "layers": layers, "composite": pixels}
