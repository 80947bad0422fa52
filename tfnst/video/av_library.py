"""PyAV, which is optional: imported when a film needs it."""

from __future__ import annotations

import errno
import importlib
import os
from collections.abc import Mapping
from typing import Any

from tfnst.checks import ArgumentError, attach_refusal
from tfnst.files import os_error, show_path

# FFmpeg's demuxers that read one file. Others open whatever files a playlist names.
_DEMUXERS = (
    *("asf", "av1", "avi", "avs2", "avs3", "cavsvideo", "cine", "dhav", "dirac", "dv"),
    *("evc", "flic", "flv", "gxf", "h261", "h263", "h264", "hevc", "ifv", "ivf"),
    *("jpegxl_anim", "live_flv", "m4v", "matroska", "mjpeg", "mov", "mpeg", "mpegts"),
    *("mpegvideo", "mxf", "nsv", "nut", "nuv", "obu", "ogg", "pva", "r3d", "rm", "swf"),
    *("vc1", "vvc", "wtv", "yuv4mpegpipe"),
)
_READING = {"format_whitelist": ",".join(_DEMUXERS), "protocol_whitelist": "file"}
# Seconds after which opening a file, or reading a packet, is given up.
_MOST_SECONDS = 60.0


def import_av(path: str | os.PathLike[str]) -> Any:
    """Imports the module `av`.

    Args:
        path: path of the film that needs it.

    Raises:
        ImportError: when PyAV isn't installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError as error:
        expected = "PyAV: pip install 'tfnst[video]'"
        refusal = ArgumentError(expected, show_path(path), verb="needs")
        raise attach_refusal(ImportError(), refusal) from error


def open_input(path: str | os.PathLike[str]) -> Any:
    """Opens a film or sound with PyAV; no other file is opened by it.

    Raises:
        FFmpegError, OSError, ValueError: when it can't be read.
    """
    import av

    return av.open(
        # FFmpeg takes a relative `12:30.mp4` for a URL.
        os.path.abspath(os.fspath(path)),
        metadata_errors="replace",
        # Not `options`, with which PyAV 17 crashes where streams turn up late.
        container_options=_READING,
        timeout=_MOST_SECONDS,
    )


def open_output(
    path: str, format: str, options: Mapping[str, str] | None = None
) -> Any:
    """Opens a file to be written by PyAV, without dates and random numbers in it.

    Args:
        path: path of the file.
        format: FFmpeg's name of the muxer.
        options: options of the muxer.
    """
    import av

    options = {"fflags": "+bitexact", **(options or {})}
    return av.open(os.path.abspath(path), "w", format=format, options=options)


def describe(error: Exception) -> str:
    """Returns the message of an error of FFmpeg, on one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


def film_error(expected: str, shown: str, error: Exception) -> Exception:
    """Words the error to raise when FFmpeg could not open or read a film.

    Args:
        expected: description of the films that can be read.
        shown: the film, as errors show it.
        error: error of FFmpeg.
    """
    if isinstance(error, OSError):
        return os_error(error, expected, shown)
    reason = f"which FFmpeg refuses: {describe(error)}"
    if getattr(error, "errno", None) == errno.EINVAL:  # A playlist, or text.
        reason = "which is not a film in a single file"
    return ArgumentError(expected, f"{shown}, {reason}")
