"""The part of the page that is filled in: pictures, styles and settings."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from tfnst.checks import argument_in
from tfnst.config import PRESETS, StyleTransferConfig, preset_settings
from tfnst.images.style_images import ROTATIONS
from tfnst.limits import MAX_SCALE, MIN_SCALE
from tfnst.studio import form, masks, panels
from tfnst.studio.events import AS_SENT, QUICK, Updates, path_of
from tfnst.studio.form import Field
from tfnst.studio.history import Entry, History
from tfnst.studio.mask_editor import MaskEditor, after_masks
from tfnst.studio.studio import (
    Studio,
    StyleInput,
    in_labels,
    is_hidden_from_browsers,
)

_STYLES = len(masks.BRUSHES)
_PICTURE_HEIGHT = 220
# What `ROTATIONS` are called.
_SEEN = (
    "as it is",
    "also turned by 90 degrees",
    "in all quarter turns",
    "in all quarter turns, also mirrored",
)


@dataclasses.dataclass
class Slot:
    """The components of one style."""

    group: gr.Column
    image: gr.Image
    weight: gr.Slider
    scale: gr.Slider
    rotations: gr.Dropdown
    layers: gr.Textbox
    mask: MaskEditor
    wrong: gr.HTML

    @property
    def read(self) -> list[Any]:
        """The components whose values are read."""
        return [*self.about, self.mask.painted]

    @property
    def about(self) -> list[Any]:
        """The picture, and what is said of it."""
        return [self.image, self.weight, self.scale, self.rotations, self.layers]

    @property
    def place(self) -> list[Any]:
        """What says whether a picture is there, and whether its editor is open."""
        return [self.image, self.mask.opened]


@dataclasses.dataclass(frozen=True)
class Filled:
    """What was filled in, once it is right."""

    content: str
    styles: list[StyleInput]
    config: StyleTransferConfig
    bits: int = 8


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
                photos = _samples(studio, studio.photos, "Sample photos")
            with gr.Column(min_width=260):
                self.slots = [self._slot(index) for index in range(_STYLES)]
                self.style_wrong = _place_for_errors("style")
                styles = _samples(studio, studio.styles, "Sample styles")
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
            take = functools.partial(self._take_upload, picture, wrong)
            picture.input(take, picture, [picture, wrong], **AS_SENT)
        if styles is not None:
            styles.select(
                self._take_style,
                [self.count, *(each for s in self.slots for each in s.place)],
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
            outputs = [self.content, self.content_wrong, *self.regions.shown]
            photos.select(self._take_photo, self.regions.opened, outputs, **QUICK)

    @property
    def all(self) -> set[Any]:
        """The components whose values `read` takes."""
        return {
            *(self.content, self.count, self.regions.painted),
            *(component for slot in self.slots for component in slot.read),
            *(*self.settings.values(), self.bits),
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
            for component in (
                *(slot.group, *slot.about),
                *slot.mask.shown,
            )
        ]
        return [
            *(self.content, self.count, self.fewer, self.more),
            *self.regions.shown,
            *slots,
            *(*self.settings.values(), self.bits),
        ]

    @property
    def shown_styles(self) -> list[Any]:
        """The components that `show_one_style` changes."""
        groups = [
            component
            for slot in self.slots
            for component in (slot.group, slot.image, slot.weight, *slot.mask.shown)
        ]
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
        given, regions = [], self.regions.read(data, data[self.count])
        for slot, region in zip(self.slots[: data[self.count]], regions, strict=False):
            path = path_of(data[slot.image])
            if not path:
                continue
            said[slot.wrong] = panels.error(self._studio.check_picture(path))
            (mask,) = slot.mask.read(data, 1)
            given.append(
                StyleInput(
                    image=pathlib.Path(path),
                    weight=data[slot.weight] or 1.0,
                    scale=data[slot.scale] or 1.0,
                    rotations=data[slot.rotations],
                    layers=data[slot.layers] or "",
                    mask=mask,
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
        return Filled(content or "", given, config, int(data[self.bits])), said

    def place_error(self, error: ValueError) -> Updates:
        """What `errors` say about an order that was refused."""
        place = self.wrong.get(argument_in(error) or "", self.wrong[""])
        labels = {field.name: field.label for field in self._studio.fields}
        return {place: panels.error(in_labels(error, labels))}

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
        updates[self.bits] = str(entry.bits)
        if not pictures:
            return updates
        content = history.content(entry)
        styles = history.styles(entry)[:_STYLES]
        if content is not None:
            updates[self.content] = self._studio.hand_out_picture(content)
        updates |= self._show_count(max(1, len(styles)))
        for index, slot in enumerate(self.slots):
            style = styles[index] if index < len(styles) else None
            image = (
                None if style is None else self._studio.hand_out_picture(style.image)
            )
            updates[slot.image] = image
            updates[slot.weight] = gr.update(
                value=1.0 if style is None else style.weight, visible=len(styles) > 1
            )
            updates[slot.scale] = 1.0 if style is None else style.scale
            updates[slot.rotations] = 1 if style is None else style.rotations
            layers = () if style is None else style.layers or ()
            updates[slot.layers] = ", ".join(layers)
            updates |= (
                slot.mask.clear()
                if style is None
                else slot.mask.show(style.image, [style.mask])
            )
        if content is not None:
            updates |= self.regions.show(content, [style.region for style in styles])
        return updates

    def show_one_style(self, path: pathlib.Path) -> Updates:
        """What `shown_styles` change to for a single style."""
        updates = self._show_count(1)
        for slot in self.slots:
            updates |= {slot.image: None} | slot.mask.clear()
        return updates | self._show_style(self.slots[0], path, opened=True)

    def _show_style(self, slot: Slot, path: pathlib.Path, *, opened: bool) -> Updates:
        shown = slot.mask.begin(path, opened)
        return {slot.image: self._studio.hand_out_picture(path)} | shown

    def show_settings(self, config: StyleTransferConfig) -> Updates:
        """What the fields change to for these settings."""
        values = form.show_values(config, self._studio.fields)
        return {self.settings[name]: value for name, value in values.items()}

    def _take_photo(self, chosen: gr.SelectData, opened: bool) -> Updates:
        photo = self._studio.photos[chosen.index]
        return {
            self.content: self._studio.hand_out_picture(photo),
            self.content_wrong: "",
        } | self.regions.begin(photo, opened)

    def _take_style(self, chosen: gr.SelectData, count: int, *places: Any) -> Updates:
        """Puts a sample into the first empty place, a new one, or the last one."""
        images, opened = places[::2], places[1::2]
        empty = [index for index in range(count) if not images[index]]
        index = empty[0] if empty else min(count, _STYLES - 1)
        updates = self._show_count(max(count, index + 1))
        slot = self.slots[index]
        path = self._studio.styles[chosen.index]
        updates |= self._show_style(slot, path, opened=opened[index])
        return updates | {slot.wrong: "", self.style_wrong: ""}

    def _adding(self, change: int) -> Any:
        def change_count(count: int) -> Updates:
            count = min(max(count + change, 1), _STYLES)
            updates = self._show_count(count)
            for slot in self.slots[count:]:
                updates |= {slot.image: None} | slot.mask.clear()
            return updates

        return change_count

    def _show_count(self, count: int) -> Updates:
        updates: Updates = {
            self.count: count,
            self.fewer: gr.update(visible=count > 1),
            self.more: gr.update(visible=count < _STYLES),
        }
        for index, slot in enumerate(self.slots):
            updates[slot.group] = gr.update(visible=index < count)
            # The weight of a single style changes nothing.
            updates[slot.weight] = gr.update(visible=count > 1)
        return updates

    def _take_upload(
        self, picture: gr.Image, wrong: gr.HTML, sent: dict[str, Any] | None
    ) -> Updates:
        """Says what is wrong with an upload, and shows it if the browser wouldn't."""
        path = path_of(sent)
        said = self._studio.check_picture(path) if path else None
        updates: Updates = {wrong: panels.error(said)}
        if path and not said and is_hidden_from_browsers(path):
            updates[picture] = self._studio.hand_out_picture(pathlib.Path(path))
        return updates

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
                visible=False,
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
            # A server knows neither.
            with gr.Accordion(
                f"Strokes of style {number}",
                open=False,
                visible=self._studio.server is None,
            ):
                rotations = gr.Dropdown(
                    list(zip(_SEEN, ROTATIONS, strict=True)),
                    value=1,
                    label=f"Style {number} is seen",
                    info="Turned, its strokes may run in other directions, too.",
                    elem_id=f"rotations-{number}",
                )
                layers = gr.Textbox(
                    label=f"Layers of style {number}",
                    info="Of the style layers, those that this picture speaks for; "
                    "empty for all. Early ones hold fine strokes, late ones forms.",
                    placeholder="block1_conv1, block2_conv1",
                    elem_id=f"layers-{number}",
                )
            wrong = _place_for_errors(f"style-{number}")
            mask = MaskEditor(
                self._studio,
                image,
                title=f"Which part of style {number} counts",
                about="Paint over the part of the picture that the style is to be "
                "taken from. Without paint, it is taken from all of it.",
                label=f"Mask over style {number}",
                name=f"style-{number}-mask",
                brushes=1,
            )
        return Slot(group, image, weight, scale, rotations, layers, mask, wrong)

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
            self.bits = gr.Radio(
                ["8", "16"],
                value="8",
                label="Bits per channel",
                info="Of PNG and TIFF files. 16 are for those who edit the picture.",
                # Servers send 8.
                visible=self._studio.server is None,
                elem_id="bits",
            )
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
        elif field.kind == "switch":
            component = gr.Checkbox(value=value, **about)
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
        """The editor in which regions are painted."""
        colors = ", ".join(
            f"{color} for style {number}"
            for number, (color, _) in enumerate(masks.BRUSHES, start=1)
        )
        self.regions = MaskEditor(
            self._studio,
            self.content,
            title="Masks: which style goes where",
            about=f"Paint over the photo where a style is to go: {colors}. Styles that "
            "have no paint share the rest; if all have some, the rest of the photo "
            "stays as it is.",
            label="Masks over the photo",
            name="mask",
            brushes=_STYLES,
        )

    def after_masks(self, event: Any) -> Any:
        """What to add `then` to, so that `read` sees the masks as they are now.

        Args:
            event: a method that adds a listener.
        """
        return after_masks(event, [self.regions, *(slot.mask for slot in self.slots)])


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


def _samples(
    studio: Studio, files: Sequence[pathlib.Path], label: str
) -> gr.Gallery | None:
    """A gallery of sample pictures; None where there are none."""
    if not files:
        return None
    return gr.Gallery(
        [(studio.sample_thumbnail(file), _sample_name(file)) for file in files],
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


def _sample_name(file: pathlib.Path) -> str:
    return file.stem.partition("_")[2].replace("_", " ") or file.stem
