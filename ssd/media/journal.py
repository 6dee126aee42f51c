"""The journal of a job of `detect`: what it finds, written down line by line while it works.

A line is a record, see `ssd.media.outputs`, or {"image": path, "end": true} after the records of a video that was read
to its end. Each process of the job writes a file of its own. Whoever is killed leaves whole lines, and at most the
beginning of one after them.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ssd.files import replacing
from ssd.media.sources import Source

JOURNAL = "detections-{}.jsonl"  # of the process of this number


def append(path: Path, entry: dict) -> None:
    """Append a line to a journal. When this returns, the system has it, whatever becomes of the process.

    Raises OSError, which ends the job; an InputError would be taken for a source that cannot be read.
    """
    try:
        with open(path, "ab") as file:
            file.write(json.dumps(entry).encode() + b"\n")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


class Records:
    """The records in the journals of a job, in the order of its sources. Each loop reads them anew from the files.

    is_done: for each source, whether it was read to its end. Of a video that was not, there may be some records.
    """

    def __init__(self, journals: Sequence[Path], sources: Sequence[Source]):
        self.journals = journals
        self.is_done = np.zeros(len(sources), dtype=bool)
        self.places = np.zeros((len(sources), 3), dtype=np.int64)  # which journal; first byte, end of its lines there
        numbers = {str(path): number for number, path in enumerate(sources)}
        for journal, path in enumerate(journals):
            for start, end, entry in _lines(path):
                number = numbers[entry["image"]]
                if entry.get("frame") or "end" in entry:  # of a video that has begun
                    self.places[number, 2] = end
                else:
                    self.places[number] = journal, start, end
                self.is_done[number] = "frame" not in entry

    def __iter__(self) -> Iterator[dict]:
        for line in self.lines():
            if "end" not in (entry := json.loads(line)):
                yield entry

    def lines(self, only_done: bool = False) -> Iterator[bytes]:
        """Yield the lines of the journals in the order of the sources. only_done: leave out others than `is_done`."""
        has_lines = self.is_done if only_done else self.places[:, 2] > 0
        with ExitStack() as stack:
            files = [stack.enter_context(open(path, "rb")) for path in self.journals]
            for journal, place, end in self.places[has_lines]:
                files[journal].seek(place)
                while place < end:
                    yield (line := files[journal].readline())
                    place += len(line)


def compact(journals: Sequence[Path], into: Path, sources: Sequence[Source]) -> np.ndarray:
    """Put the lines of the sources that were read to their end into one journal, and remove the others.

    Returns for each source whether it was.
    """
    records = Records(journals, sources)
    with replacing(into) as file:
        file.writelines(records.lines(only_done=True))
    for path in set(journals) - {into}:
        path.unlink()
    return records.is_done


def _lines(path: Path) -> Iterator[tuple[int, int, dict]]:
    """Yield the first byte, the end and the content of each line of a journal, until one that was not written whole."""
    end = 0
    with open(path, "rb") as file:
        for line in file:
            start, end = end, end + len(line)
            if not line.endswith(b"\n"):
                return
            yield start, end, json.loads(line)
