"""The one exception for everything that a user can fix."""


class InputError(ValueError):
    """Bad input. Its message is one sentence that says what is wrong, where, and what to do."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type's name where the message means nothing on its own."""
    text = "" if isinstance(error, KeyError) else str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
