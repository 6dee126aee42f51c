"""args.json: what a run was started with, and on what.

It holds {"starts": [...]}, with one entry for each time that the run was started or resumed.
"""

import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
import torchvision

from ssd.errors import InputError
from ssd.files import replacing

ARGUMENTS_NAME = "args.json"


def write_arguments(
    folder: str | Path, arguments: dict[str, Any], device: torch.device | str = "cpu", iteration: int = 0
) -> None:
    """Add a start to args.json: the arguments, the versions and the machine. Earlier starts stay.

    device: what the run computes on. iteration: number of those done. Raises InputError if the present file is damaged.
    """
    path = Path(folder) / ARGUMENTS_NAME
    start = {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "iteration": iteration,
        "arguments": arguments,
        "commit": git_commit(),
        "versions": versions(),
        "platform": platform.platform(),
        "device": device_name(device),
    }
    starts = [*(_read_starts(path) if path.exists() else []), start]
    with replacing(path) as file:
        file.write(json.dumps({"starts": starts}, indent=2, default=str).encode() + b"\n")


def _read_starts(path):
    try:
        starts = json.loads(path.read_text(encoding="utf-8-sig"))["starts"]
        if all(isinstance(start["arguments"], dict) for start in starts) and starts:
            return starts
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise InputError(f"{path}: does not hold the arguments of a run; fix it or move it away")


def versions() -> dict[str, Any]:
    """The versions of whatever affects a run's result, None for what is not there."""
    try:
        own = version("ssd300")
    except PackageNotFoundError:  # run from a checkout
        own = None
    return {
        "ssd300": own,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def device_name(device: torch.device | str) -> str:
    """The name of a device; for a GPU, its product name."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def git_commit(file: str | Path = __file__) -> str | None:
    """The commit of this code, with "-dirty" if tracked files differ from it; None outside a git checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(file).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(file).name)  # an installed copy may lie in someone else's checkout
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None
