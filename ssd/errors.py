"""The one exception for everything that a user can fix, and what it says of other exceptions."""

from importlib import import_module
from types import ModuleType


class InputError(ValueError):
    """Bad input. Its message is one sentence that says what is wrong, where, and what to do."""


def optional(module: str, extra: str, what: str, package: str = "") -> ModuleType:
    """The imported module of a library that an extra installs. Raises InputError if the library is missing.

    what: the feature that needs it, for the message. package: its name for pip, by default the module's first part.
    """
    try:
        return import_module(module)
    except ImportError:
        package = package or module.partition(".")[0]
        raise InputError(f'{package} is needed for {what} (extra "{extra}"): pip install {package}') from None


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type's name where the message means nothing on its own."""
    text = "" if isinstance(error, KeyError) else str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
