"""The form of the page: pictures, styles and settings."""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from tfnst.checks import argument_in
from tfnst.config import (
    PRESETS,
    StyleTransferConfig,
    preset_settings,
)
from tfnst.setting import Setting
from tfnst.studio import form, masks, panels
from tfnst.studio.events import AS_SENT, BY_STEPS, QUICK, Updates, path_of
from tfnst.studio.history import Entry, History
from tfnst.studio.mask_editor import MaskEditor
from tfnst.studio.studio import (
    Studio,
    in_labels,
    is_hidden_from_browsers,
    jpeg_copy,
)
from tfnst.studio.style_slot import StyleSlot, picture_input, place_for_errors
from tfnst.studio.tasks import Task

_STYLES = len(masks.BRUSHES)
_BY_STEPS, _AT_ONCE = "Step by step", "At once"
_SAMPLE_SIZE = 200


class Inputs:
    """The components of the form.

    Args:
        studio: the studio whose settings and samples they show.

    Attributes:
        all: the components whose values `read` takes.
        errors: the components that show errors.
        shown: the components that change when the form is filled in.
        settings: the fields of the settings, by name.
        saved: what is filled in, kept by the browser.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self.settings: dict[str, Any] = {}
        self.wrong: dict[str, gr.HTML] = {}
        self.count = gr.State(1)
        self.saved = gr.BrowserState({}, storage_key="tfnst-form", secret="tfnst")
        with gr.Row(equal_height=True, elem_classes="pictures"):
            with gr.Column(min_width=260):
                self.content = picture_input("Photo", "photo")
                self.content_wrong = place_for_errors("photo")
                photos = _samples(studio.photos, "Sample photos")
            with gr.Column(min_width=260):
                self.slots = [StyleSlot(studio, 1)]
                self.style_wrong = place_for_errors("style")
                styles = _samples(studio.styles, "Sample styles")
                with gr.Row():
                    self.more = gr.Button("Add a style", size="sm", min_width=110)
                    self.fewer = gr.Button(
                        "Remove the last", size="sm", min_width=110, visible=False
                    )
        with gr.Row():
            self.slots += [StyleSlot(studio, n) for n in range(2, _STYLES + 1)]
        self._front()
        for slot in self.slots:
            slot.lay_out_options()
        self._masks()
        self._drawer()
        self.all = {
            *(self.content, self.count, self.regions.painted, self.bits, self.how),
            *(component for slot in self.slots for component in slot.filled_in),
            *(slot.mask.painted for slot in self.slots),
            *self.settings.values(),
        }
        self.errors = [self.content_wrong, self.style_wrong, *self.wrong.values()]
        self.errors += [slot.wrong for slot in self.slots]
        self.shown = [
            *(self.content, self.count, self.fewer, self.more, self.bits, self.preset),
            self.how,
            *(*self.regions.shown, self.legend, *self.settings.values()),
            *(component for slot in self.slots for component in slot.shown),
            *(self.content_wrong, self.style_wrong),
        ]
        self._connect(photos, styles)
        self._save()

    def _connect(self, photos: gr.HTML | None, styles: gr.HTML | None) -> None:
        for picture, wrong in (
            (self.content, self.content_wrong),
            *((slot.image, slot.wrong) for slot in self.slots),
        ):
            take = functools.partial(self._take_upload, picture, wrong)
            picture.input(take, picture, [picture, wrong], **AS_SENT)
        if photos is not None:
            photos.select(self._take_photo, self.regions.opened, self.shown, **QUICK)
        if styles is not None:
            known = {self.count}
            known |= {c for slot in self.slots for c in (slot.image, slot.mask.opened)}
            styles.select(self._take_style, known, self.shown, **AS_SENT)
        for button, change in ((self.more, 1), (self.fewer, -1)):
            count = functools.partial(self._change_count, change)
            button.click(count, self.count, self.shown, **QUICK)
        names = sorted({name for values in PRESETS.values() for name in values})
        fields = [self.settings[name] for name in names if name in self.settings]
        # The preset that was chosen before.
        self.before = gr.State(None)
        self.preset.input(
            self._take_preset,
            [self.preset, self.before, self.settings["size"]],
            [*fields, self.before],
            **QUICK,
        )
        choosing = [self.slots[0].image, self.count]
        changes = [each.change for each in choosing]
        gr.on(changes, self._offer, choosing, self.how, **AS_SENT)
        # It no longer says what the settings are.
        gr.on(
            [field.input for field in fields],
            None,
            js="() => null",
            outputs=self.preset,
            **QUICK,
        )

    def _network(self, image: dict[str, Any] | None, count: int) -> pathlib.Path | None:
        """Returns the network that has learned the style, if there is a single one."""
        return self._studio.network_of(path_of(image)) if count == 1 else None

    def _offer(self, image: dict[str, Any] | None, count: int) -> Any:
        return gr.update(visible=self._network(image, count) is not None)

    @property
    def _filled_in(self) -> dict[str, Any]:
        """The components that are saved, by their elements' names."""
        slots = [component for slot in self.slots for component in slot.filled_in]
        saved = [self.content, *slots, *self.settings.values(), self.bits, self.how]
        return {component.elem_id: component for component in saved}

    def _save(self) -> None:
        """Has the browser keep what is filled in, for when the page is reloaded."""
        filled = self._filled_in
        gr.on(
            [component.change for component in filled.values()],
            None,
            js=f"""(...values) => {{
                const names = {json.dumps(list(filled))};
                const pairs = names.map((name, index) => [name, values[index]]);
                return {{studio: "{self._studio.key}", ...Object.fromEntries(pairs)}};
            }}""",
            inputs=list(filled.values()),
            outputs=self.saved,
            **QUICK,
        )

    def restore(self, saved: dict[str, Any]) -> Updates:
        """Returns the changes of `shown` for what was filled in before a reload.

        Args:
            saved: the value of `saved`, of which the browser may have made anything.
        """
        if saved.get("studio") != self._studio.key:
            # Its pictures are gone, and the host's settings new.
            return {self.count: 1}
        values = {field: saved.get(name) for name, field in self._filled_in.items()}
        for picture in (self.content, *(slot.image for slot in self.slots)):
            values[picture] = self._studio.find_upload(path_of(values[picture]))
        given = [n for n, slot in enumerate(self.slots, 1) if values[slot.image]]
        return self._show_among(max(given, default=1)) | values

    def read(
        self, data: Mapping[Any, Any], *, styles: bool = True, photo: bool = True
    ) -> tuple[Task | None, Updates]:
        """Reads and checks the form.

        Args:
            data: the values of `all`, as they were sent.
            styles: whether at least one style is needed.
            photo: whether a photo is needed. Otherwise the tab has others to put in its
                place, for which the masks over the photo don't count.

        Returns:
            (the task, or None if there are errors; the changes of `errors`).
        """
        said: Updates = dict.fromkeys(self.errors, "")
        content = path_of(data[self.content])
        if not content and photo:
            said[self.content_wrong] = panels.error("Choose a photo first.")
        elif content:
            wrong = self._studio.check_picture(content)
            said[self.content_wrong] = panels.error(wrong)
        count, given = data[self.count], []
        if styles and not any(data[slot.image] for slot in self.slots[:count]):
            said[self.style_wrong] = panels.error("Choose a style first.")
        regions = self.regions.read(data, count) if photo else [None] * count
        for slot, region in zip(self.slots, regions, strict=False):
            try:
                style = slot.read(data, region)
            except ValueError as error:
                said[slot.wrong] = panels.error(in_labels(error, {}))
                continue
            if style is not None:
                wrong = self._studio.check_picture(str(style.image))
                said[slot.wrong] = panels.error(wrong)
                given.append(style)
        values = {name: data[field] for name, field in self.settings.items()}
        network = None
        if data[self.how] == _AT_ONCE:
            network = self._network(data[self.slots[0].image], count)
        config, wrong_settings = self._studio.read_settings(
            values, at_once=network is not None
        )
        for name, text in wrong_settings.items():
            said[self.wrong[name]] = panels.error(text)
        if any(said.values()) or config is None:
            return None, said
        task = Task(
            content=pathlib.Path(content or ""),
            styles=tuple(given),
            config=config,
            bits=int(data[self.bits]),
            network=network,
        )
        return task, said

    def has_pictures(self, data: Mapping[Any, Any]) -> bool:
        """Returns whether there are a photo and a style, which may be wrong.

        Args:
            data: the values of `all`, as they were sent.
        """
        styles = [data[slot.image] for slot in self.slots[: data[self.count]]]
        return bool(data[self.content] and any(styles))

    def place_error(self, error: ValueError) -> Updates:
        """Returns the changes of `errors` for a refused task."""
        place = self.wrong.get(argument_in(error) or "", self.wrong[""])
        return {place: panels.error(in_labels(error, self._studio.labels))}

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
        updates[self.how] = _AT_ONCE if entry.at_once else _BY_STEPS
        if not pictures:
            return updates
        content, styles = self._studio.sources(history, entry)
        updates[self.content] = self._studio.copy_picture(content)
        updates |= self.regions.show(content, [style.region for style in styles])
        updates |= self._show_among(len(styles))
        for slot, style in zip(self.slots, styles, strict=False):
            updates |= slot.show(style)
        return updates

    def show_one_style(self, path: pathlib.Path) -> Updates:
        """Returns the changes of `shown` for a single style."""
        slot = self.slots[0]
        updates = slot.clear() | slot.show_picture(path, opened=True)
        return updates | self._show_among(1)

    def show_settings(self, config: StyleTransferConfig) -> Updates:
        """Returns the changes of the fields for these settings."""
        values = form.show_values(config, self._studio.fields)
        return {self.settings[name]: value for name, value in values.items()} | {
            self.preset: None
        }

    def _take_photo(self, chosen: gr.SelectData, opened: bool) -> Updates:
        photo = self._studio.photos[chosen.index]
        return {
            self.content: self._studio.copy_picture(photo),
            self.content_wrong: "",
        } | self.regions.begin(photo, opened)

    def _take_style(self, data: dict[Any, Any], chosen: gr.SelectData) -> Updates:
        """Puts a sample into the first empty place, or in place of the last style."""
        slots = self.slots[: data[self.count]]
        slot = next((slot for slot in slots if not data[slot.image]), slots[-1])
        path = self._studio.styles[chosen.index]
        opened = data[slot.mask.opened]
        return slot.show_picture(path, opened=opened) | {self.style_wrong: ""}

    def _change_count(self, change: int, count: int) -> Updates:
        return self._show_among(min(max(count + change, 1), _STYLES))

    def _show_among(self, count: int) -> Updates:
        """Returns the changes for a number of styles; the others are cleared."""
        updates: Updates = {
            self.count: count,
            self.fewer: gr.update(visible=count > 1),
            self.more: gr.update(visible=count < _STYLES),
            self.legend: panels.legend(masks.BRUSHES[:count]),
        }
        for index, slot in enumerate(self.slots):
            there = index < count
            updates[slot.group] = updates[slot.drawer] = gr.update(visible=there)
            updates |= {} if there else slot.clear()
        return updates

    def _take_upload(
        self, picture: gr.Image, wrong: gr.HTML, sent: dict[str, Any] | None
    ) -> Updates:
        """Checks an upload, and converts it if browsers can't show it."""
        path = path_of(sent)
        said = self._studio.check_picture(path) if path else None
        updates: Updates = {wrong: panels.error(said)}
        if said:
            # Browsers would show it as a broken picture.
            updates[picture] = None
        elif path and is_hidden_from_browsers(path):
            updates[picture] = self._studio.copy_picture(pathlib.Path(path))
        return updates

    def _front(self) -> None:
        """Lays out the settings that everybody needs, and the presets."""
        self.how = gr.Radio(
            [_BY_STEPS, _AT_ONCE],
            value=_BY_STEPS,
            label="Painting",
            info="At once, a network that has learned this style paints in about a "
            "second. Step by step comes closer to the style, and has more settings.",
            visible=False,
            elem_id="how",
        )
        shown = {field.name: field for field in self._studio.fields}
        strength, *others = form.FRONT_SETTINGS
        self._component(shown[strength])
        with gr.Row():
            for name in others:
                with gr.Column(min_width=160):
                    self._component(shown[name])
        self.preset = gr.Radio(
            list(PRESETS),
            label="Preset",
            info="Sets size and steps: how fine, and how long it takes.",
            visible=self._studio.server is None,
            elem_id="preset",
            elem_classes=BY_STEPS,
        )

    def _drawer(self) -> None:
        """Lays out all other settings."""
        with gr.Accordion("All settings", open=False, elem_id="all-settings"):
            others = [f for f in self._studio.fields if f.name not in self.settings]
            with gr.Column(elem_classes=BY_STEPS):
                if self._studio.server is None:
                    gr.Markdown(
                        "Empty fields follow from other settings, or set no limit."
                    )
                for first in range(0, len(others), 2):
                    with gr.Row():
                        for field in others[first : first + 2]:
                            with gr.Column(min_width=240):
                                self._component(field)
            self.bits = gr.Radio(
                ["8", "16"],
                value="8",
                label="Bits per channel",
                info="For PNG and TIFF files; choose 16 to edit the picture later.",
                # Servers send 8.
                visible=self._studio.server is None,
                elem_id="bits",
            )
        self.wrong[""] = place_for_errors("setting-")

    def _take_preset(
        self, preset: str, before: str | None, size: float | None
    ) -> Updates:
        """Fills in a preset; only a preset that sets the size changes it.

        Args:
            preset: the chosen preset.
            before: the one chosen before.
            size: the size as it is.
        """
        values = preset_settings(preset)
        if "size" not in PRESETS[preset]:
            from_preset = size == PRESETS.get(before or "", {}).get("size", 0)
            values["size"] = self._studio.config.size if from_preset else size
        return {self.settings[n]: v for n, v in values.items()} | {self.before: preset}

    def _component(self, setting: Setting) -> None:
        """Lays out the field of a setting, with a place for its errors."""
        value = form.show_values(self._studio.config, [setting])[setting.name]
        name = f"setting-{setting.name.replace('_', '-')}"
        about: dict[str, Any] = {
            "label": form.in_words(setting.name),
            "info": form.help_of(setting),
            "elem_id": name,
            "min_width": 160,
            "elem_classes": [] if "at_once" in setting.scopes else BY_STEPS,
        }
        component: Any
        kind = form.kind_of(setting)
        if kind == "choice":
            choices = form.choices_of(setting)
            component = gr.Dropdown(choices, value=value, **about)
        elif kind == "switch":
            component = gr.Checkbox(value=value, **about)
        elif kind == "slider":
            bounds = setting.low, setting.high
            component = gr.Slider(*bounds, value=value, step=0.01, **about)
        elif kind in ("integer", "number"):
            precision = 0 if kind == "integer" else None
            component = gr.Number(value=value, precision=precision, **about)
        else:
            component = gr.Textbox(value=value or "", **about)
        self.settings[setting.name] = component
        self.wrong[setting.name] = place_for_errors(name)

    def _masks(self) -> None:
        """Lays out the editor in which regions are painted."""
        with gr.Accordion(
            "Masks: which style goes where",
            open=False,
            elem_id="masks",
            elem_classes=BY_STEPS,
        ) as drawer:
            self.legend = gr.HTML(
                panels.legend(masks.BRUSHES[:1]), elem_id="mask-legend"
            )
            self.regions = MaskEditor(
                self._studio,
                self.content,
                drawer,
                about="Paint over the photo where a style is to go. Styles without "
                "paint share the rest; if each has some, the rest of the photo stays "
                "as it is.",
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


def _samples(files: Sequence[pathlib.Path], label: str) -> gr.HTML | None:
    """Sample pictures to choose from, as buttons with names; None where there are none.

    Its event `select` tells which one by its index.
    """
    if not files:
        return None
    named = [(jpeg_copy(file, _SAMPLE_SIZE), _sample_name(file)) for file in files]
    return gr.HTML(
        panels.choices(named, label),
        js_on_load="""element.addEventListener("click", event => {
            const button = event.target.closest("button");
            if (button) trigger("select", {index: +button.value, value: null});
        })""",
        elem_id=label.lower().replace(" ", "-"),
    )


def _sample_name(file: pathlib.Path) -> str:
    return file.stem.partition("_")[2].replace("_", " ") or file.stem
