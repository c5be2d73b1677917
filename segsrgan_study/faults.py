"""What is said of faults that Python and the system raise."""


def about_file(error: OSError) -> str:
    """Return what is said of a file that could not be read or written: which, why, what to do; without a full stop."""
    return f"{error.filename or 'file'}: {error.strerror or error}; free space or choose another folder"
