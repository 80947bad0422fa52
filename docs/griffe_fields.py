"""Shows the defaults of settings in the reference, in place of their declarations."""

from __future__ import annotations

from typing import Any

import griffe


class Fields(griffe.Extension):
    """Unwraps what declares a field of a dataclass together with its help."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        """Replaces `_setting(default, ...)` by the default; drops `_measure(...)`."""
        call = attr.value
        if not isinstance(call, griffe.ExprCall):
            return
        if str(call.function) == "_setting":
            attr.value = call.arguments[0]
        elif str(call.function) == "_measure":
            attr.value = None
