"""Files that are replaced as a whole."""

import os
from contextlib import contextmanager
from pathlib import Path

from ssd.errors import InputError


@contextmanager
def naming(path):
    """Raises InputError, naming the file that the block writes, where the system refuses to."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch.save turns the OSError of a full disk into a RuntimeError about positions in its file.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise InputError(
            f"{path}: cannot be written ({cause.strerror or cause}); make room, or choose another folder"
        ) from None


@contextmanager
def replacing(path):
    """A binary file to write into, which takes the place of `path` when the block ends.

    Whoever opens `path`, at whatever moment, finds all of the old content or all of the new. If the block raises, or
    the disk is full, the old file stays as it was. Raises InputError where nothing can be written.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with naming(path):
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
