"""Serving the page, by default to this machine only."""

from __future__ import annotations

import contextlib
import functools
import hmac
import importlib.util
import ipaddress
import logging
import os
import pathlib
import signal
import socket
import threading
from typing import TYPE_CHECKING

from tfnst.built_in import FOLDER
from tfnst.checks import ArgumentError, check_integer
from tfnst.config import StyleTransferConfig
from tfnst.studio.limits import Limits

if TYPE_CHECKING:
    from tfnst.studio.painters import Loading

_STYLE_SHEET = pathlib.Path(__file__).parent / "style.css"
# Relative, so that browsers find it behind a proxy with a path, too.
_HEAD = '<link rel="icon" href="favicon.ico">'

_log = logging.getLogger(__name__)


def serve_studio(
    *,
    output: str,
    host: str = "127.0.0.1",
    port: int = 7860,
    root_path: str = "",
    password: str | None = None,
    config: StyleTransferConfig,
    limits: Limits,
    server: str | None = None,
    samples: str | None = None,
    shared: bool | None = None,
    open_browser: bool = False,
    loading: Loading = contextlib.nullcontext,
) -> None:
    """Serves the studio until Ctrl-C or SIGTERM.

    Args:
        output: folder of the painted pictures.
        host: address to listen on.
        port: port to listen on.
        root_path: path, or whole URL, at which a proxy shows the page; empty without
            a proxy, and for one that shows it at the root.
        password: password for visitors; None for none.
        config: initial settings of the page.
        limits: the host's limits.
        server: address of a server that paints.
        samples: folder with sample pictures and networks that have learned them, such
            as `style_waves.jpg` and `waves.keras`; by default those of a checkout, or a
            few.
        shared: whether all visitors see the same pictures; by default only if `host`
            is the loopback.
        open_browser: whether to open the page in a browser.
        loading: context in which TensorFlow is loaded, to suppress its output.

    Raises:
        ValueError, OSError: for a bad argument, or a port that is taken.
        ImportError: when Gradio is missing.
    """
    check_integer("port", port, 1, 65535)
    root_path = _check_root_path(root_path)
    local = is_loopback(host)
    _check_free(host, port)
    # Gradio reads these when it is imported. With them, nothing leaves this machine.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from tfnst.studio.studio import Studio

    studio = Studio(
        output,
        config=config,
        limits=limits,
        server=server,
        samples=sample_folder(samples),
        networks=FOLDER if samples is None else pathlib.Path(samples),
        shared=local if shared is None else shared,
        loading=loading,
    )
    try:
        if importlib.util.find_spec("gradio") is None:
            raise ImportError("The studio needs Gradio: pip install 'tfnst[studio]'")
        os.environ["GRADIO_TEMP_DIR"] = str(studio.uploads)
        import gradio as gr

        from tfnst.studio.page import build_page
        from tfnst.studio.uploads import app_options

        fonts = ["system-ui", "sans-serif"]
        page = build_page(studio)
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            root_path=root_path,
            share=False,
            inbrowser=open_browser,
            auth=None if password is None else functools.partial(_admits, password),
            auth_message="Any name, and the password of this studio.",
            prevent_thread_lock=True,
            quiet=True,
            show_error=False,
            footer_links=[],
            run_history=False,
            max_file_size=limits.max_upload * 2**20,
            # Each waiting page occupies one.
            max_threads=40 + limits.max_waiting,
            app_kwargs=app_options(limits.max_upload_sum * 2**20),
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            theme=gr.themes.Default(font=fonts, font_mono=["monospace"]),
            css_paths=_STYLE_SHEET,
            head=_HEAD,
        )
        # Not before: two threads that import at once take longer than in turn.
        studio.start()
        _log.info("The studio is at %s, and its pictures are in %s", address, output)
        if not local:
            _warn_of_strangers(host, password)
        _wait_for_signal()
        _log.info("Stopping; pictures so far are kept")
        studio.queue.close()
        # Pages may stay open for ever; that they are cut off is no news.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        page.server.force_exit = True
        page.close(verbose=False)
    finally:
        studio.close()


def is_loopback(host: str) -> bool:
    """Returns whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def sample_folder(folder: str | None) -> pathlib.Path:
    """Returns the folder with sample pictures.

    Args:
        folder: the folder; None for that of a checkout, or in an installed package for
            the few that come with it.

    Raises:
        ValueError: when it isn't a folder.
    """
    if folder is not None:
        if not os.path.isdir(folder):
            raise ArgumentError(
                "a folder that exists", repr(folder), argument="samples"
            )
        return pathlib.Path(folder)
    there = pathlib.Path(__file__).parents[2] / "examples" / "images"
    return there if there.is_dir() else pathlib.Path(__file__).parent / "samples"


def _check_root_path(root_path: str) -> str:
    """Returns a path or URL without a slash at its end; ValueError for others."""
    if root_path and not root_path.startswith(("/", "http://", "https://")):
        expected = "a path that begins with /, or a URL"
        raise ArgumentError(expected, repr(root_path), argument="root_path")
    return root_path.rstrip("/")


def _check_free(host: str, port: int) -> None:
    """Raises OSError when the address can't be listened on."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            "`host` and `port` must be an address that is free. "
            f"Received: {host!r} and {port} ({reason})"
        ) from error


def _admits(password: str, name: str, given: str) -> bool:
    return hmac.compare_digest(given.encode(), password.encode())


def _warn_of_strangers(host: str, password: str | None) -> None:
    who = "Whoever knows the password" if password else "EVERYBODY"
    _log.warning(
        "%s who can reach %s may paint on this machine and store pictures on it. "
        "Passwords and pictures travel unencrypted; put a proxy with TLS in front.",
        who,
        host,
    )
    if password is None:
        _log.warning("There is no password: give one with --password.")


def _wait_for_signal() -> None:
    """Waits for Ctrl-C or SIGTERM."""
    # Shells have programs in the background ignore Ctrl-C unless they say otherwise.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
