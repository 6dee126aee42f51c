"""Files that are replaced as a whole."""

import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path):
    """A binary file to write into, which takes the place of `path` when the block ends.

    Whoever opens `path`, at whatever moment, finds all of the old content or all of the new. If the block raises, or
    the disk is full, the old file stays as it was. Raises OSError where nothing can be written.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
