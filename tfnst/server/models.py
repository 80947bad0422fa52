"""The served models by name, as a configuration lists them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.config import model_server_config_pb2
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from tfnst.server.arguments import argument_error
from tfnst.server.runs import StatusError, invalid_argument
from tfnst.server.servables import Servable
from tfnst.server.versions import Version, Versions, unknown_servable


def read_model_config(path: str | os.PathLike[str]) -> list[ModelConfig]:
    """Reads a file for `tensorflow_model_server --model_config_file`.

    Raises:
        OSError: when the file can't be read.
        ValueError: when the file isn't a valid configuration.
    """
    with open(path, encoding="utf-8") as file:
        text = file.read()
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(text, config)
    except text_format.ParseError as error:
        expected = "a file with a `model_config_list`"
        received = f"{os.fspath(path)}, line {error}"
        raise argument_error("model_config_file", expected, received) from error
    models = list(config.model_config_list.config)
    if not models:
        expected = "a file with one model or more in its `model_config_list`"
        raise argument_error("model_config_file", expected, os.fspath(path))
    try:
        _check(models)
    except StatusError as error:
        raise ValueError(f"{os.fspath(path)}: {error.message}") from error
    return models


class Models:
    """Models by name, each with its versions.

    Args:
        on_change: called with True if every model can answer, otherwise False; at
            least each time that this changes.
        **options: options of `Versions`.
    """

    def __init__(self, on_change: Callable[[bool], None], **options: Any) -> None:
        self._on_change = on_change
        self._options = options
        self._models: dict[str, Versions] = {}
        self._condition = threading.Condition()
        self._started = False

    def __iter__(self) -> Iterator[Versions]:
        return iter(list(self._models.values()))

    def start(self) -> None:
        """Starts to watch for versions and to load them."""
        self._started = True
        for versions in self:
            versions.start()

    def stop(self) -> None:
        """Stops watching, and unloads the versions that no request holds."""
        self._started = False
        for versions in self:
            versions.stop()

    def configure(
        self, configs: Sequence[ModelConfig], *, labels_must_be_loaded: bool = True
    ) -> None:
        """Serves these models and no others.

        Args:
            configs: a ModelConfig for each model.
            labels_must_be_loaded: whether the labels of a model that is already served
                may only name loaded versions.

        Raises:
            StatusError: when a config isn't valid; then nothing changes.
        """
        _check(configs)
        with self._condition:
            before = dict(self._models)
            kept = {
                config.name: before[config.name]
                for config in configs
                if config.name in before
                and _same_path(before[config.name].directory, config.base_path)
            }
            if labels_must_be_loaded:
                for config in configs:
                    if config.name in kept:
                        kept[config.name].check_labels(config.version_labels)
            for config in configs:
                versions = kept.get(config.name) or self._add(config)
                versions.configure(
                    config.model_version_policy, dict(config.version_labels)
                )
                self._models[config.name] = versions
            for name, versions in before.items():
                if name not in kept:
                    versions.retire()
                    if self._models[name] is versions:
                        del self._models[name]
        self._report_change()

    def _add(self, config: ModelConfig) -> Versions:
        versions = Versions(
            config.base_path,
            config.name,
            on_change=self._report_change,
            **self._options,
        )
        if self._started:
            versions.start()
        return versions

    def lease(
        self, spec: model_pb2.ModelSpec
    ) -> AbstractContextManager[tuple[int, Servable]]:
        """Keeps the requested version loaded, as `Versions.lease` does.

        Raises:
            StatusError: when the spec is incomplete or no such version answers.
        """
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        versions = self._models.get(spec.name)
        if versions is None:
            if spec.WhichOneof("version_choice") == "version_label":
                raise invalid_argument(
                    f"Unrecognized servable version label: {spec.version_label}"
                )
            raise unknown_servable(spec)
        return versions.lease(spec)

    def states(self, name: str) -> list[Version]:
        """Returns `Versions.states`; an empty list for an unknown model."""
        versions = self._models.get(name)
        return versions.states() if versions else []

    def wait_until_available(self, timeout: float | None = None) -> bool:
        """Waits until every model can answer; returns False if the time runs out."""
        with self._condition:
            return self._condition.wait_for(self._available, timeout)

    def _available(self) -> bool:
        return all(versions.available() for versions in self)

    def _report_change(self) -> None:
        with self._condition:
            self._condition.notify_all()
            available = self._available()
        self._on_change(available)


def _check(configs: Sequence[ModelConfig]) -> None:
    names: set[str] = set()
    for config in configs:
        if not config.name:
            raise invalid_argument(
                "Each model in `model_config_list` must have a name."
            )
        if config.name in names:
            raise invalid_argument(
                "`model_config_list` must name each model once. "
                f"Received: {config.name} twice"
            )
        names.add(config.name)
        if not os.path.isabs(config.base_path):
            raise invalid_argument(
                f"Expected model {config.name} to have an absolute path or URI; got "
                f"base_path()={config.base_path}"
            )
        if config.model_platform not in ("", "tensorflow"):
            raise invalid_argument(
                f"Model {config.name} requests unsupported platform "
                f"{config.model_platform}"
            )
        policy = config.model_version_policy
        if policy.HasField("specific") and not policy.specific.versions:
            raise invalid_argument(
                "`model_version_policy.specific` must name one or more versions. "
                "Received: none"
            )


def _same_path(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
