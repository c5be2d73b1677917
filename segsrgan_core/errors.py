"""User-facing errors."""


class UserError(ValueError):
    """A fault in the input of a user: a file, a row of a manifest, a setting.

    The message says what is wrong with which file or setting, then what to do; the command line exits with code 2.
    """
