"""The one exception for what a user can mend."""


class InputError(ValueError):
    """Bad input: the message is one sentence that says what is wrong, where, and what to do."""
