"""The form of the page: pictures, styles and settings."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from tfnst.checks import argument_in
from tfnst.config import PRESETS, StyleTransferConfig, preset_settings
from tfnst.studio import form, masks, panels
from tfnst.studio.events import AS_SENT, QUICK, Updates, path_of
from tfnst.studio.form import Field
from tfnst.studio.history import Entry, History
from tfnst.studio.mask_editor import MaskEditor
from tfnst.studio.studio import (
    Studio,
    StyleInput,
    in_labels,
    is_hidden_from_browsers,
)
from tfnst.studio.style_slot import StyleSlot, picture_input, place_for_errors

_STYLES = len(masks.BRUSHES)


@dataclasses.dataclass(frozen=True)
class FormValues:
    """The values of a form without errors."""

    content: str
    styles: list[StyleInput]
    config: StyleTransferConfig
    bits: int = 8


class Inputs:
    """The components of the form.

    Args:
        studio: the studio whose settings and samples they show.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        with gr.Row():
            with gr.Column(min_width=260):
                self.content = picture_input("Photo", "photo")
                self.content_wrong = place_for_errors("photo")
                photos = _samples(studio, studio.photos, "Sample photos")
            with gr.Column(min_width=260):
                self.slots = [
                    StyleSlot(studio, number + 1) for number in range(_STYLES)
                ]
                self.style_wrong = place_for_errors("style")
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
                [
                    self.count,
                    *(slot.image for slot in self.slots),
                    *(slot.mask.opened for slot in self.slots),
                ],
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
            *(component for slot in self.slots for component in slot.filled_in),
            *(slot.mask.painted for slot in self.slots),
            *(*self.settings.values(), self.bits),
        }

    @property
    def errors(self) -> list[gr.HTML]:
        """The components that show errors."""
        slots = [slot.wrong for slot in self.slots]
        return [self.content_wrong, self.style_wrong, *slots, *self.wrong.values()]

    @property
    def shown(self) -> list[Any]:
        """The components that `show` changes."""
        slots = [
            component
            for slot in self.slots
            for component in (slot.group, *slot.filled_in, *slot.mask.shown)
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
    ) -> tuple[FormValues | None, Updates]:
        """Reads and checks the form.

        Args:
            data: the values of `all`, as they were sent.
            styles: whether at least one style is needed.
            photo: whether a photo is needed.

        Returns:
            (the values, or None if there are errors; the changes of `errors`).
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
            style = slot.read(data, region)
            if style is not None:
                wrong = self._studio.check_picture(str(style.image))
                said[slot.wrong] = panels.error(wrong)
                given.append(style)
        if styles and not given:
            said[self.style_wrong] = panels.error("Choose a style first.")
        values = {name: data[field] for name, field in self.settings.items()}
        config, wrong_settings = self._studio.read_settings(values)
        for name, text in wrong_settings.items():
            said[self.wrong[name]] = panels.error(text)
        if any(said.values()) or config is None:
            return None, said
        return FormValues(content or "", given, config, int(data[self.bits])), said

    def place_error(self, error: ValueError) -> Updates:
        """Returns the changes of `errors` for a refused task."""
        place = self.wrong.get(argument_in(error) or "", self.wrong[""])
        labels = {field.name: field.label for field in self._studio.fields}
        return {place: panels.error(in_labels(error, labels))}

    def show(
        self, entry: Entry, history: History, *, pictures: bool = True, **changes: Any
    ) -> Updates:
        """Returns the changes of `shown` for the sources and settings of a picture.

        Args:
            entry: the painted picture.
            history: the history that keeps its sources.
            pictures: whether to show the sources, too.
            **changes: settings to change.

        Raises:
            LookupError: when a picture that it was painted from isn't kept.
            ValueError: for settings of another version.
        """
        config = entry.config(self._studio.config).replace(**changes)
        updates = self.show_settings(config)
        updates[self.bits] = str(entry.bits)
        if not pictures:
            return updates
        content, styles = history.sources(entry)
        updates[self.content] = self._studio.copy_picture(content)
        updates |= self._show_count(max(1, len(styles)))
        for slot, style in itertools.zip_longest(self.slots, styles):
            updates |= slot.show(style, several=len(styles) > 1)
        return updates | self.regions.show(content, [each.region for each in styles])

    def show_one_style(self, path: pathlib.Path) -> Updates:
        """Returns the changes of `shown_styles` for a single style."""
        updates = self._show_count(1)
        for slot in self.slots:
            updates |= slot.clear()
        return updates | self.slots[0].show_picture(path, opened=True)

    def show_settings(self, config: StyleTransferConfig) -> Updates:
        """Returns the changes of the fields for these settings."""
        values = form.show_values(config, self._studio.fields)
        return {self.settings[name]: value for name, value in values.items()}

    def _take_photo(self, chosen: gr.SelectData, opened: bool) -> Updates:
        photo = self._studio.photos[chosen.index]
        return {
            self.content: self._studio.copy_picture(photo),
            self.content_wrong: "",
        } | self.regions.begin(photo, opened)

    def _take_style(self, chosen: gr.SelectData, count: int, *places: Any) -> Updates:
        """Puts a sample into the first empty place, a new one, or the last one."""
        images, opened = places[:_STYLES], places[_STYLES:]
        empty = [index for index in range(count) if not images[index]]
        index = empty[0] if empty else min(count, _STYLES - 1)
        updates = self._show_count(max(count, index + 1))
        slot = self.slots[index]
        path = self._studio.styles[chosen.index]
        updates |= slot.show_picture(path, opened=opened[index])
        return updates | {slot.wrong: "", self.style_wrong: ""}

    def _adding(self, change: int) -> Any:
        def change_count(count: int) -> Updates:
            count = min(max(count + change, 1), _STYLES)
            updates = self._show_count(count)
            for slot in self.slots[count:]:
                updates |= slot.clear()
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
        """Checks an upload, and converts it if browsers can't show it."""
        path = path_of(sent)
        said = self._studio.check_picture(path) if path else None
        updates: Updates = {wrong: panels.error(said)}
        if path and not said and is_hidden_from_browsers(path):
            updates[picture] = self._studio.copy_picture(pathlib.Path(path))
        return updates

    def _front(self) -> None:
        """Lays out the settings that everybody needs, and the presets."""
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
        """Lays out all other settings."""
        with gr.Accordion("All settings", open=False, elem_id="all-settings"):
            if self._studio.server is None:
                gr.Markdown("Empty fields follow from other settings, or set no limit.")
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
                info="For PNG and TIFF files; choose 16 to edit the picture later.",
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
        self.wrong[name] = place_for_errors(f"setting-{name.replace('_', '-')}")

    def _brushes(self) -> None:
        """Lays out the editor in which regions are painted."""
        colors = ", ".join(
            f"{color} for style {number}"
            for number, (color, _) in enumerate(masks.BRUSHES, start=1)
        )
        self.regions = MaskEditor(
            self._studio,
            self.content,
            title="Masks: which style goes where",
            about=f"Paint over the photo where a style is to go: {colors}. Styles "
            "without paint share the rest; if each has some, the rest of the photo "
            "stays as it is.",
            label="Masks over the photo",
            name="mask",
            brushes=_STYLES,
        )

    def after_masks(self, event: Any) -> Any:
        """Returns an event after which `read` sees the masks as they are now.

        Args:
            event: method that adds a listener.
        """
        editors = [self.regions, *(slot.mask for slot in self.slots)]
        return event(
            _layers_of,
            [each.editor for each in editors],
            [each.painted for each in editors],
            **QUICK,
        )


def _layers_of(*values: dict[str, Any] | None) -> list[Any]:
    return [None if value is None else value["layers"] for value in values]


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
