"""What is said to the person who runs the program when something is at fault."""


class UserError(ValueError):
    """A fault in what a person gave: a file, a manifest row, a setting.

    The message is one sentence that names the file or argument, says what was expected and what was received, and
    what to do. The command line prints it and exits with code 2.
    """
