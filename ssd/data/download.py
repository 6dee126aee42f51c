"""Fetches Pascal VOC 2007 and 2012: resumed where a transfer broke off, verified, and unpacked safely."""

import http.client
import os
import tarfile
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

from torchvision.datasets.utils import calculate_md5
from torchvision.datasets.voc import DATASET_YEAR_DICT
from tqdm import tqdm

from ssd.errors import InputError
from ssd.files import write_text

YEARS = ("2007", "2007-test", "2012")  # in torchvision's table of addresses and checksums
TRIES = 5  # transfers from one address that stop halfway
PAUSE = 2  # seconds before going on
TIMEOUT = 60  # seconds without a byte
BLOCK = 1 << 20  # bytes


def download_voc(folder, mirrors=()):
    """Fetch VOC2007 trainval and test and VOC2012 trainval into a folder, and unpack them into its VOCdevkit.

    mirrors: addresses of folders that hold archives of the same names, tried in order before VOC's own. What is there
    already is not fetched again; an archive may be deleted once it is unpacked.
    Returns the folders VOC2007 and VOC2012. Raises InputError where an archive cannot be had, or is damaged.
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


def fetch(path, urls, md5):
    """Fetch a file from the first of some addresses that has it, unless it is there already.

    A broken transfer leaves PATH.part, from which the next goes on, at whichever address.
    Raises InputError where no address gives the file with this checksum, and where the file is there with another.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    if path.exists():
        if (found := calculate_md5(path)) != md5:
            raise InputError(
                f"{path}: wrong checksum, MD5 is {found} instead of {md5}; delete it to fetch it anew, or rename it to "
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
        f"{path.name} cannot be fetched: {'; '.join(reasons)}. Run the same command again to go on, or name "
        "another source with --mirror"
    )


def _verify_or_delete(part, md5):
    found = calculate_md5(part)
    if found != md5:
        part.unlink()
        raise InputError(f"{part}: wrong checksum, MD5 is {found} instead of {md5}; the file was deleted")


def _transfer(url, part):
    """Fetch what is missing of a file, in as many goes as it takes."""
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


def _one_transfer(url, part):
    """Append to `part` what is missing; whether that was all of it."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing lies beyond `start`: all is there, or more than all, as the checksum will tell
            raise
        return True
    with closing(response):
        if start and not _continues(response, start):
            start = 0
        total = _whole_number(response.headers.get("Content-Length"))
        total = None if total is None else start + total
        _write(response, part, start, total)
    return total is None or part.stat().st_size >= total


def _continues(response, start):
    """Whether an answer begins at byte `start`; a server without ranges sends the whole file."""
    return response.status == 206 and (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-")


def _whole_number(text):
    return int(text) if text and text.isdigit() else None


def _write(response, part, start, total):
    name = part.name.removesuffix(".part")
    with (
        open(part, "ab" if start else "wb") as file,
        tqdm(desc=name, total=total, initial=start, unit="B", unit_scale=True, unit_divisor=1024) as progress,
    ):
        while block := response.read(BLOCK):
            file.write(block)
            progress.update(len(block))


def unpack(archive, folder):
    """Unpack a tar file into a folder.

    Raises InputError where the file is damaged, or a member would be written outside the folder, is a link that leads
    there, or no file at all (Python's filter "data").
    """
    if not hasattr(tarfile, "data_filter"):
        raise InputError("this Python cannot unpack safely; update it to 3.10.12, 3.11.4, 3.12 or newer")
    try:
        with tarfile.open(archive) as tar:
            for member in tqdm(tar.getmembers(), desc=f"unpacking {Path(archive).name}", unit="file"):
                tar.extract(member, folder, filter="data")
    except tarfile.FilterError as error:
        raise InputError(f"{archive}: refused to unpack it ({error})") from None
    except (tarfile.TarError, EOFError) as error:
        raise InputError(f"{archive}: damaged archive ({error}); delete it and fetch it again") from None
