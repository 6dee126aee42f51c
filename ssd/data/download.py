"""Downloads Pascal VOC 2007 and 2012: broken transfers are resumed, archives verified and unpacked safely."""

import http.client
import os
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPResponse
from pathlib import Path

from torchvision.datasets.utils import calculate_md5
from torchvision.datasets.voc import DATASET_YEAR_DICT
from tqdm import tqdm

from ssd.errors import InputError
from ssd.files import write_text

YEARS = ("2007", "2007-test", "2012")  # keys of torchvision's table of addresses and checksums
TRIES = 5  # broken transfers from one address
PAUSE = 2  # seconds before the next try
TIMEOUT = 60  # seconds without a byte
BLOCK = 1 << 20  # bytes


def download_voc(folder: str | Path, mirrors: Sequence[str] = ()) -> tuple[Path, Path]:
    """Download VOC2007 trainval and test and VOC2012 trainval into a folder, and unpack them into its VOCdevkit.

    mirrors: addresses of folders with archives of the same names, tried in order before VOC's own. What is there
    already is not fetched again; an archive may be deleted once it is unpacked.
    Returns the folders VOC2007 and VOC2012. Raises InputError where an archive cannot be fetched or is damaged.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for year in YEARS:
        facts = DATASET_YEAR_DICT[year]
        archive = folder / facts["filename"]
        unpacked = archive.with_name(f"{archive.name}.unpacked")
        if unpacked.exists():
            continue
        fetch(archive, [f"{mirror.rstrip('/')}/{archive.name}" for mirror in mirrors] + [facts["url"]], facts["md5"])
        unpack(archive, folder)
        write_text(unpacked, f"{facts['md5']}\n")
    return folder / "VOCdevkit" / "VOC2007", folder / "VOCdevkit" / "VOC2012"


def fetch(path: Path, urls: Sequence[str], md5: str) -> None:
    """Download a file from the first address that has it, unless it is there already.

    A broken transfer leaves PATH.part, where the next one continues, from any address.
    Raises InputError where no address has a file with this checksum, and where the file is there with another one.
    """
    part = path.with_name(f"{path.name}.part")
    if path.exists():
        if (found := calculate_md5(path)) != md5:
            raise InputError(
                f"{path}: wrong checksum, MD5 is {found} instead of {md5}; delete it to start again, or rename it to "
                f"{part.name} if it is the beginning of the file"
            )
        return
    reasons = []
    for url in urls:
        try:
            _transfer(url, part)
            _verify_or_delete(part, md5)
            os.replace(part, path)
            return
        except InputError as error:
            reasons.append(str(error))
    raise InputError(
        f"{path.name} cannot be fetched: {'; '.join(reasons)}. Run the same command again to continue, or name "
        "another source with --mirror"
    )


def _verify_or_delete(part: Path, md5: str) -> None:
    found = calculate_md5(part)
    if found != md5:
        part.unlink()
        raise InputError(f"{part}: wrong checksum, MD5 is {found} instead of {md5}; the file was deleted")


def _transfer(url: str, part: Path) -> None:
    """Append to `part` what is missing of the file, in up to TRIES transfers."""
    for attempt in range(1, TRIES + 1):
        try:
            if _one_transfer(url, part):
                return
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise InputError(f"{url}: {error.code} {error.reason}") from None
            reason = f"{error.code} {error.reason}"
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: not an address
            reason = str(getattr(error, "reason", error))
        if attempt < TRIES:
            time.sleep(PAUSE)
    raise InputError(f"{url}: {reason}, {TRIES} times")


def _one_transfer(url: str, part: Path) -> bool:
    """Append to `part` what is missing of the file. Returns whether it is complete."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # no bytes beyond `start`: the file is complete, or too long, which the checksum shows
            raise
        return True
    with closing(response):
        if start and not _continues(response, start):
            start = 0
        total = _whole_number(response.headers.get("Content-Length"))
        total = None if total is None else start + total
        _write(response, part, start, total)
    return total is None or part.stat().st_size >= total


def _continues(response: HTTPResponse, start: int) -> bool:
    """Whether a response begins at byte `start`; a server without ranges sends the whole file."""
    return response.status == 206 and (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-")


def _whole_number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _write(response: HTTPResponse, part: Path, start: int, total: int | None) -> None:
    name = part.name.removesuffix(".part")
    with (
        open(part, "ab" if start else "wb") as file,
        tqdm(desc=name, total=total, initial=start, unit="B", unit_scale=True, unit_divisor=1024) as progress,
    ):
        while block := response.read(BLOCK):
            file.write(block)
            progress.update(len(block))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar file into a folder.

    Raises InputError where the archive is damaged, or where a member would be written outside the folder, is a link
    that leads out of it, or is not a file (Python's filter "data").
    """
    if not hasattr(tarfile, "data_filter"):
        raise InputError("this Python cannot unpack safely; update it to 3.10.12, 3.11.4, 3.12 or newer")
    try:
        with tarfile.open(archive) as tar:
            for member in tqdm(tar.getmembers(), desc=f"unpacking {archive.name}", unit="file"):
                tar.extract(member, folder, filter="data")
    except tarfile.FilterError as error:
        raise InputError(f"{archive}: refused to unpack it ({error})") from None
    except (tarfile.TarError, EOFError) as error:
        raise InputError(f"{archive}: damaged archive ({error}); delete it and fetch it again") from None
