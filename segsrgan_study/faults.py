"""Sentences about faults that Python and the operating system raise."""

import errno

from segsrgan_core.errors import UserError

NO_MEMORY = "there is not enough memory for this image or cohort; use a larger machine or a smaller image"
ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free space or choose another folder"),
    errno.EFBIG: "choose another folder or raise the limit of file sizes",
    **dict.fromkeys((errno.EACCES, errno.EPERM), "change its permissions or choose another folder"),
    errno.EROFS: "choose a folder that can be written to",
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), "check the path"),
    errno.EISDIR: "give a file, not a folder",
    errno.EEXIST: "give another name",
}


class NotAvailable(RuntimeError):  # noqa: N818 - a state of the machine, not a fault
    """A method cannot run on this machine; the table prints the message after "not run: "."""


def sentence(error: BaseException) -> str:
    """Return what a person is told about an exception, in one sentence without its full stop.

    A UserError has its own words; of an OSError the file, the reason, and advice that fits its number are told.
    """
    if isinstance(error, UserError):
        return in_one_line(error).rstrip(".")
    if isinstance(error, MemoryError):
        return NO_MEMORY
    if isinstance(error, OSError) and error.strerror:
        file = f"{error.filename}: " if error.filename else ""
        advice = f"; {ADVICE[error.errno]}" if error.errno in ADVICE else ""
        return in_one_line(f"{file}{error.strerror}{advice}")
    return f"{type(error).__name__}: {in_one_line(error)}"


def in_one_line(text: object) -> str:
    """Return a text, such as that of a path, as a sentence has it: with single blanks alone."""
    return " ".join(str(text).split())
