"""User-facing errors."""


class UserError(ValueError):
    """A fault in the input of a user: a file, a row of a manifest, a setting.

    The message is one sentence: what is wrong with which file or setting, then what to do. The command line prints it
    and exits with code 2.
    """
