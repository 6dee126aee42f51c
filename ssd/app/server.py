"""Serves the page."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import getproxies_environment

import numpy as np

from ssd.app.results import Models, class_names
from ssd.data.images import picture_endings
from ssd.data.scenes import CLASSES, draw_scene
from ssd.errors import InputError, optional
from ssd.files import find_files

N_DRAWN, MOST_EXAMPLES = 6, 60


def check_server(host: str, port: int) -> None:
    """Raises InputError where Gradio is missing, or nothing can be served at this address."""
    optional("gradio", extra="app", what="the page")
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise InputError(f"{host}:{port}: cannot be served ({reason}); choose another --host or --port") from None


def pictures_in(folder: str | Path) -> list[Path]:
    """The first pictures of a folder, as examples. Raises InputError where there is none."""
    found = find_files(folder, picture_endings(), recursive=False)
    if not found:
        raise InputError(f"{folder}: no pictures in this folder")
    return found[:MOST_EXAMPLES]


@contextmanager
def serving(
    models: Models, examples: Sequence[Path] | None, host: str, port: int, most_megabytes: int
) -> Iterator[str]:
    """The page's address, for a `with` block. When it ends, so does the page, and what was uploaded is gone.

    examples: pictures; None means shapes drawn for the purpose, if a model knows them. most_megabytes: of an upload.
    """
    with TemporaryDirectory(prefix="ssd300-app-", ignore_cleanup_errors=True) as folder:
        os.environ.update(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED="False")
        # At its start, Gradio asks the page itself, which a proxy must not answer.
        os.environ["no_proxy"] = ",".join([getproxies_environment().get("no", ""), "localhost", host])
        module = optional("ssd.app.page", extra="app", what="the page", package="gradio")
        page = module.Page(models, _drawn_for(models, Path(folder)) if examples is None else examples)
        address = page.launch(host, port, most_megabytes)
        try:
            yield address
        finally:
            page.close()


def _drawn_for(models: Models, folder: Path) -> list[Path]:
    """Pictures of shapes, drawn into the folder, if any of the models knows such shapes."""
    is_known = not set(CLASSES).isdisjoint(class_names(models))
    paths = [folder / f"shapes {k + 1}.jpg" for k in range(N_DRAWN)] if is_known else []
    for seed, path in enumerate(paths):
        draw_scene(np.random.default_rng(seed))[0].save(path, quality=95)
    return paths
