"""Standard error kept apart, as TensorFlow's start and the kernels of notebooks say much that nobody needs."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO


@contextmanager
def stderr_into(file: BinaryIO) -> Iterator[int]:
    """Put what is written to standard error, by C++ code and new processes too, into an open file.

    A file descriptor of where it went before is yielded.
    """
    sys.stderr.flush()
    before = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield before
    finally:
        os.dup2(before, 2)
        os.close(before)


def start_tensorflow() -> None:
    """Import TensorFlow and let it find its devices; its messages are shown only after an error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # for later messages of its C++ code
    with tempfile.TemporaryFile() as said:
        try:
            with stderr_into(said):
                import tensorflow as tf

                tf.zeros(1)
        except BaseException:
            said.seek(0)
            os.write(2, said.read())
            raise
