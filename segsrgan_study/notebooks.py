"""Run a notebook of the study with papermill and keep it in a form that is the same at every run."""

import errno
import os
import re
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

import nbformat

from segsrgan_core.atomic import write_text
from segsrgan_core.errors import UserError
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.pool import kill_children
from segsrgan_study.progress import LOG_VARIABLE, stderr_into

REPORT = "05_figures"  # the notebook that is also exported as one page
PAGE = Path(__file__).with_name("report.html.j2")
KERNEL = "python3"  # the kernel of this environment, whatever name the notebook was saved with
# Faults of the machine, not of the code: a full disk or quota, a file that is too large or may not be written.
OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS}
OF_THE_USER = {"UserError", "MissingResult", "ProcessDiedError"}  # names of exceptions that are one sentence
DEAD = "Kernel died"  # how the messages begin that tell it, before and after the kernel's first word


def run_notebook(study: Study, name: str, settings: Settings) -> Path:
    """Execute `notebooks/<name>.ipynb` in the study's root and keep it, normalised, in `results/notebooks/`.

    Its `parameters` cell gets the settings' value of each name that is declared there, whole sections included. A
    UserError tells of no such notebook, a declared parameter that is not in the settings, a UserError inside, or a
    kernel that was killed; an OSError of a machine that is full or forbids to write; a RuntimeError of another fault,
    and the partly executed notebook is kept in `.work/notebooks/`.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    if not (source := study.notebooks / f"{name}.ipynb").is_file():
        known = sorted(path.stem for path in study.notebooks.glob("*.ipynb"))
        raise UserError(f"notebook: {name!r} is not one of {', '.join(known)}; correct the name.")
    declared, values = papermill.inspect_notebook(source), settings.model_dump(mode="json")
    if unknown := sorted(declared.keys() - values.keys()):
        known = f"and params.yaml has only {', '.join(values)}; correct the cell"
        raise UserError(f"{source.name}: the parameters cell declares {', '.join(unknown)}, {known}.")
    failed = study.scratch / "notebooks" / f"{name}.ipynb"
    options = {"kernel_name": KERNEL, "cwd": study.root, "progress_bar": False}
    options["parameters"] = {name: values[name] for name in declared}
    try:
        executed = _execute(partial(papermill.execute_notebook, source, failed, **options), failed.with_suffix(".log"))
    except RuntimeError as error:
        if not str(error).startswith(DEAD):
            raise
        fault = "the notebook's kernel was killed, most often for lack of memory"
        advice = "close other programs or take a larger machine, and run the same command again"
        raise UserError(f"{name}: {fault}; {advice}.") from error
    except PapermillExecutionError as error:
        number = re.match(r"\[Errno (\d+)\] ", error.evalue)
        if error.ename in OF_THE_USER:
            raise UserError(error.evalue) from error
        if number and int(number[1]) in OF_THE_MACHINE:
            raise OSError(int(number[1]), f"{error.evalue[number.end() :]} ({name})") from error
        raise RuntimeError(f"{name}: {error.ename}: {error.evalue}\nThe notebook so far: {failed}") from error
    failed.unlink()
    if name == REPORT:
        export_report(executed, study.results / "report.html")
    return write_text(study.results / "notebooks" / f"{name}.ipynb", normalised(executed))


def export_report(notebook: nbformat.NotebookNode, path: Path) -> Path:
    """Write an executed notebook as one page of HTML that loads nothing but `run.js` beside it; code is hidden."""
    from nbconvert import HTMLExporter

    hidden = dict.fromkeys(("exclude_input", "exclude_output_prompt", "exclude_input_prompt"), True)
    exporter = HTMLExporter(raw_template=PAGE.read_text(), **hidden)
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    page, _ = exporter.from_notebook_node(nbformat.reads(normalised(notebook), 4), {"metadata": {"name": title}})
    return write_text(path, page)


def normalised(notebook: nbformat.NotebookNode) -> str:
    """Return a notebook as text without times, random ids, machine names and what went to stderr."""
    clean = nbformat.from_dict(notebook)
    clean.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": KERNEL}}
    for number, cell in enumerate(clean.cells):
        cell["id"] = f"cell-{number:02d}"
        cell.metadata = {"tags": tags} if (tags := cell.metadata.get("tags")) else {}
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.pop("metadata", None)
    return nbformat.writes(clean) + "\n"


def stripped(notebook: nbformat.NotebookNode) -> str:
    """Return a notebook as text without outputs: the form in which the sources are kept."""
    clean = nbformat.from_dict(notebook)
    for cell in clean.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return normalised(clean)


def _execute(work: Callable[[], nbformat.NotebookNode], log: Path) -> nbformat.NotebookNode:
    """Run a notebook; show its kernel's progress, and put all else that goes to standard error into a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile() as progress, log.open("wb") as said, stderr_into(said) as terminal:
        os.environ[LOG_VARIABLE] = progress.name
        # In a thread, so that Ctrl-C comes here and not to papermill, which would report a dead kernel.
        with ThreadPoolExecutor(1) as thread:
            running, over = thread.submit(work), False
            try:
                while not over:
                    over = bool(wait([running], 0.5).done)
                    os.write(terminal, b"".join(b"  " + line for line in progress))
            except KeyboardInterrupt:
                kill_children()
                raise
            finally:
                del os.environ[LOG_VARIABLE]
        return running.result()
