import signal

import nibabel as nib
import pytest

import segsrgan_core  # noqa: F401 - before TensorFlow, which reads once what the package asks of it

# A shell's background job ignores Ctrl-C, and all that it starts would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Start what takes minutes first, so that no process waits for it at the end."""
    items.sort(key=lambda item: "slow" not in item.keywords)


@pytest.fixture
def run():
    """Call the command line in this process; `code` is the expected exit code, what it said on stderr is returned."""
    from tests.faults.fault import segsrgan

    return segsrgan


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The folder of an untrained network."""
    from segsrgan_core.networks.generators import build_generator
    from segsrgan_core.segmenter import save_model
    from tests.settings import model_card

    folder = tmp_path_factory.mktemp("untrained") / "model"
    save_model(folder, build_generator(**model_card().generator), model_card())
    return folder


@pytest.fixture
def save():
    def write(image, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, path)
        return path

    return write
