"""TensorFlow's start without its remarks, which tell a person nothing and push what matters off the screen."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def start_tensorflow() -> None:
    """Import TensorFlow and let it find its devices; what it says is shown only if that fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what C++ says later is not meant for people
    with _hushed():
        import tensorflow as tf

        tf.zeros(1)


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep what is written to standard error, by C++ as well, and show it only after an error."""
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
