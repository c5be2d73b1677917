import re

import nbformat
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.notebooks import OF_THE_USER, export_report, run_notebook
from segsrgan_study.params import read_params
from segsrgan_study.paths import Study
from tests.settings import PARAMS, QUICK


def notebook(*sources):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    book.cells[0].metadata["tags"] = ["parameters"]
    book.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return book


@pytest.fixture
def study(tmp_path):
    (tmp_path / "notebooks").mkdir()

    def write(*sources):
        (tmp_path / "notebooks" / "story.ipynb").write_text(nbformat.writes(notebook(*sources)))
        return Study(tmp_path)

    return write


def test_two_runs_are_the_same_byte_by_byte(study):
    here = study(
        "seed = None",
        "import sys; print(seed); print('warning', file=sys.stderr)",
        "seed + 1",
        "%matplotlib inline\nfrom segsrgan_study.figures.style import new_figure",
        "figure = new_figure(40, 90)\nline = figure.subplots().plot([1, 3])\ndisplay(figure)",
    )
    first = run_notebook(here, "story", QUICK).read_text()
    assert run_notebook(here, "story", QUICK).read_text() == first
    *texts, picture = [out for cell in nbformat.reads(first, 4).cells for out in cell.get("outputs", [])]
    assert [out.get("text") or out["data"]["text/plain"] for out in texts] == ["2021\n", "2022"]  # and no warning
    assert "image/png" in picture["data"]


def test_a_notebook_gets_the_values_of_what_it_declares_and_shows_them(study):
    here = study("setting = ''\nsimulation = {}", "print(sorted(simulation), simulation['slice_mm'])")
    kept = nbformat.reads(run_notebook(here, "story", read_params(PARAMS, setting="paper")).read_text(), 4).cells
    injected = next(cell.source for cell in kept if "injected-parameters" in cell.metadata.get("tags", []))
    assert 'setting = "paper"' in injected
    assert '"slice_mm": 3.0' in injected
    assert "training" not in injected
    assert kept[-1].outputs[0]["text"] == f"{sorted(QUICK.simulation.model_dump())} 3.0\n"


def test_a_failed_notebook_is_kept_for_reading_and_is_no_result(study, tmp_path):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run_notebook(study("seed = 1", "1 / 0"), "story", QUICK)
    assert "ZeroDivisionError" in (tmp_path / ".work" / "notebooks" / "story.ipynb").read_text()
    assert not (tmp_path / "results").exists()


KILLED_PROCESS = """
import os
from segsrgan_study.pool import processes
with processes(1) as pool:
    pool.submit(os.kill, pool.submit(os.getpid).result(), 9).result()
"""
USERS = "from segsrgan_core.errors import UserError\nraise UserError('a.nii: no image.')"


@pytest.mark.parametrize(
    ("cell", "kind", "says"),
    [
        ("cohrt = ''", UserError, r"declares cohrt, and params\.yaml has only cohort, setting"),
        (USERS, UserError, r"^a\.nii: no image\.$"),
        ("import os, signal; os.kill(os.getpid(), 9)", UserError, "story: the notebook's kernel was killed"),
        (KILLED_PROCESS, UserError, "^processes: one was killed before its work was done"),
        ("raise OSError(28, 'No space left', 'big.nii')", OSError, r"No space left: 'big.nii' \(story\)"),
    ],
    ids=["parameter", "user", "kernel", "process", "disk"],
)
def test_a_fault_inside_is_one_sentence(study, cell, kind, says):
    with pytest.raises(kind, match=says):
        run_notebook(study(cell), "story", QUICK)


def test_the_exceptions_that_are_one_sentence_are_known_by_name():
    import segsrgan_study.figures.style
    import segsrgan_study.pool  # noqa: F401

    def names(kind):
        return {kind.__name__}.union(*map(names, kind.__subclasses__()))

    assert names(UserError) == OF_THE_USER


def test_the_report_hides_code_loads_nothing_from_elsewhere_and_is_the_same_at_every_export(tmp_path):
    book = notebook("x = 'secret code'")
    book.cells.insert(0, nbformat.v4.new_markdown_cell("# The title\n\n[Data](#Data)\n\n## Data"))
    image = nbformat.v4.new_output("display_data", {"text/html": '<img src="data:image/png;base64,AAAA" alt="a">'})
    book.cells[1].outputs = [image, nbformat.v4.new_output("stream", name="stderr", text="a complaint")]
    page = export_report(book, tmp_path / "report.html").read_text()
    for text in ("<title>The title</title>", 'href="#Data"', 'id="Data"'):
        assert text in page
    for text in ("secret code", "a complaint", "<link"):
        assert text not in page
    assert re.findall(r"""(?:\bsrc=|\bimport |@import |url\()["']?+(?!data:|#)([^"')\s]*)""", page) == ["run.js"]
    assert export_report(book, tmp_path / "again.html").read_text() == page
