"""Fields of dataclasses in the reference: as they are, not as they are declared."""

from __future__ import annotations

import inspect
from typing import Any

import griffe

from tfnst.config import StyleTransferConfig, list_settings


class Fields(griffe.Extension):
    """Takes settings from the running class, and hides the helpers of other fields."""

    def on_class_members(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """Describes settings and their defaults, which the source has in calls."""
        if cls.path != "tfnst.config.StyleTransferConfig":
            return
        text = inspect.cleandoc(StyleTransferConfig.__doc__ or "")
        cls.docstring = griffe.Docstring(text, parent=cls)
        for setting in list_settings():
            cls.members[setting.name].value = repr(setting.default)

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        """Drops `_measure(...)`, which is no default."""
        call = attr.value
        if isinstance(call, griffe.ExprCall) and str(call.function) == "_measure":
            attr.value = None
