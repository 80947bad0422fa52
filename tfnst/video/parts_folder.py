"""The folder of a film that is being painted: one process and one run at a time."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from tfnst.checks import ArgumentError, argument
from tfnst.files import os_error, read_file, show_path, write_file
from tfnst.video.folder_lock import LOCK, FolderInUseError, FolderLock

RUN = "run.json"


class PartsFolder:
    """A folder that nobody else writes into, of a run with certain settings.

    Args:
        path: path of the folder, which is made if it is missing; the folder that it is
            in must exist.
        files: pattern of the files' names, besides those that are written here.
        run: values for JSON that the run depends on. Those of a folder that exists
            must be the same.

    Attributes:
        path: path of the folder.
        is_new: whether the folder was missing.

    Raises:
        ValueError: for a folder that holds anything else or another run, naming
            `resume`; and for one that another process writes into.
        OSError: when the folder can't be made or read.
    """

    @argument("resume")
    def __init__(self, path: str, *, files: str, run: Mapping[str, Any]) -> None:
        self.path = path
        self._files = re.compile(
            rf"run\.json|{LOCK}|\.tfnst-[0-9a-f]{{16}}\.tmp|{files}"
        )
        self.is_new = not os.path.lexists(path)
        try:
            os.makedirs(path, exist_ok=True)
            self._check_files()
            self._lock = FolderLock(path)
        except FolderInUseError as error:
            raise folder_in_use(path) from error
        except OSError as error:
            expected = "a folder that can be written to"
            raise os_error(error, expected, show_path(path)) from error
        try:
            self._check_run(json.dumps(run))
        except BaseException:
            self.close(remove=self.is_new)
            raise

    def file(self, name: str) -> str:
        """Returns the path of a file in the folder."""
        return os.path.join(self.path, name)

    def close(self, *, remove: bool) -> None:
        """Lets others have the folder.

        Args:
            remove: whether to remove it before that.
        """
        if remove:
            with contextlib.suppress(FileNotFoundError):
                self._remove()
        self._lock.close()

    def _check_files(self) -> list[str]:
        """Lists the files in the folder, which must be a film's parts."""
        files = sorted(os.listdir(self.path))
        strange = [file for file in files if not self._files.fullmatch(file)]
        if RUN not in files:
            strange += [file for file in files if file[0] != "." and file != LOCK]
        if strange:
            other = f"{show_path(self.path)}, which holds {show_path(strange[0])}"
            raise ArgumentError(
                "a folder with parts of a film", other, argument="resume"
            )
        return files

    def _check_run(self, run: str) -> None:
        """Checks that the folder is this run's, or makes it so."""
        if RUN not in self._check_files():
            write_file(self.file(RUN), run.encode())
            return
        data = read_file(self.file(RUN))
        try:
            before = json.loads(data)
        except ValueError:
            before = None
        now = json.loads(run)
        if before != now:
            shown = show_path(self.path)
            received = f"{shown}, whose run had {_differences(before, now)}"
            raise ArgumentError(
                "a run with the same settings", received, argument="resume"
            )

    def _remove(self) -> None:
        """Removes the folder; what a kill leaves is never taken for a film."""
        order = sorted(
            os.listdir(self.path),
            key=lambda file: (
                *(file == LOCK, file == RUN),
                *(not file.startswith("segment"), file),
            ),
        )
        for file in order:
            os.unlink(self.file(file))
        with contextlib.suppress(OSError):  # Another process has just come.
            os.rmdir(self.path)


def folder_in_use(folder: str) -> ValueError:
    """Words the error for a film that another process is painting."""
    return ArgumentError(
        "a film that no other process is painting",
        f"a film whose parts in {show_path(folder)} are in use",
        argument="output",
    )


def _differences(before: Any, now: dict[str, Any]) -> str:
    """Names the settings of a run that have changed since it began."""
    if not isinstance(before, dict) or not isinstance(before.get("run"), dict):
        return "no settings that can be read"
    then, new = ({**each, **each["run"]} for each in (before, now))
    names = sorted(then.keys() | new.keys())
    return ", ".join(
        f"another `{name}`"
        for name in names
        if name != "run" and then.get(name) != new.get(name)
    )
