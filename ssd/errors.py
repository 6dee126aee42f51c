"""The one exception for what a user can mend."""


class InputError(ValueError):
    """Bad input: the message is one sentence that says what is wrong, where, and what to do."""


def first_line(error):
    """What an exception says, in a line; its name where it says nothing that can be understood alone."""
    text = "" if isinstance(error, KeyError) else str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
