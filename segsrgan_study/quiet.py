"""Start of TensorFlow without its log messages."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def start_tensorflow() -> None:
    """Import TensorFlow and let it find its devices; its messages are shown only after an error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # for later messages of its C++ code
    with _hushed():
        import tensorflow as tf

        tf.zeros(1)


@contextmanager
def _hushed() -> Iterator[None]:
    """Hold back everything written to standard error, by C++ code too, and show it only after an error."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        terminal = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(terminal, kept.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
