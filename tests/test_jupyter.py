"""Looking changes nothing: what JupyterLab saves is what is kept, whatever was run in it."""

import asyncio
from pathlib import Path

import nbformat
import pytest
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from traitlets.config import PyFileConfigLoader

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.filterwarnings("ignore:Overriding existing pre_save_hook")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CONFIG = PyFileConfigLoader(str(ROOT / "notebooks" / "jupyter_config.py")).load_config()


def as_run(path: Path) -> nbformat.NotebookNode:
    """The notebook as a person leaves it: run, with widgets, outputs, timings and a kernel of another name."""
    book = nbformat.read(path, as_version=4)
    book.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"1": {}}}}
    book.metadata["language_info"] = {"name": "python", "version": "3.99"}
    book.metadata["kernelspec"]["display_name"] = "Another"
    for number, cell in enumerate(book.cells):
        cell["id"] = f"random{number}"
        cell.metadata["trusted"] = True
        if cell.cell_type == "code":
            cell.execution_count = 7
            cell.metadata["execution"] = {"iopub.execute_input": "2024-01-01T00:00:00Z"}
            cell.outputs = [nbformat.v4.new_output("stream", text="seen")]
    return book


@pytest.fixture
def save(tmp_path):
    """Save as JupyterLab does: by this class, which the setting of its parent reaches."""
    manager = AsyncLargeFileManager(config=CONFIG, root_dir=str(tmp_path))
    return lambda name, **model: asyncio.run(manager.save(model, name))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_that_was_run_and_saved_is_byte_for_byte_the_kept_one(path, tmp_path, save):
    (tmp_path / path.name).write_bytes(path.read_bytes())
    save(path.name, type="notebook", format="json", content=as_run(path))
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_a_change_of_the_text_and_other_files_are_saved(tmp_path, save):
    book = as_run(NOTEBOOKS[0])
    book.cells[0].source = "# Another title"
    save("book.ipynb", type="notebook", format="json", content=book)
    assert nbformat.read(tmp_path / "book.ipynb", as_version=4).cells[0].source == "# Another title"
    save("x.yaml", type="file", format="text", content="a: 1\n")
    assert (tmp_path / "x.yaml").read_text() == "a: 1\n"
