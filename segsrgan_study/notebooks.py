"""Run a notebook of the study with papermill and keep it in a form that is the same at every run."""

import errno
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat

from segsrgan_core.atomic import write_text
from segsrgan_core.errors import UserError
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.pool import kill_children
from segsrgan_study.progress import LOG_VARIABLE

REPORT = "05_figures"  # the notebook that is also exported as one page
# The page of the report: Jupyter's own without scripts from elsewhere, with the times of this machine where they are.
PAGE = """
{%- extends "lab/index.html.j2" -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}
<style>
main { max-width: 70em; margin: auto; }
.jp-RenderedHTMLCommon { font-size: 15px; overflow-x: auto; }
.jp-RenderedHTMLCommon table { margin-left: 0; font-size: 13px; font-variant-numeric: tabular-nums; }
.jp-RenderedHTMLCommon th, .jp-RenderedHTMLCommon td { white-space: normal; }
.jp-RenderedMarkdown td, .jp-RenderedHTMLCommon tbody th { text-align: left; }
.jp-RenderedHTMLCommon caption, figcaption { text-align: left; padding: 0.5em 0; font-size: 13px; }
figure { margin: 1.5em 0; break-inside: avoid; }
</style>
{%- endblock -%}
{%- block footer_js -%}<script src="run.js"></script>{%- endblock -%}
"""
KERNEL = "python3"  # the kernel of this environment, whatever name the notebook was saved with
# Faults of the machine, not of the code: a full disk or quota, a file that is too large or may not be written.
OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS}
OF_THE_USER = {"UserError", "MissingResult", "ProcessDiedError"}  # names of exceptions that are one sentence
DEAD = "Kernel died"  # how the messages begin that tell it, before and after the kernel's first word


def run_notebook(study: Study, name: str, settings: Settings) -> Path:
    """Execute `notebooks/<name>.ipynb` in the study's root and keep it, normalised, in `results/notebooks/`.

    Args:
        study: where.
        name: of the notebook, without suffix.
        settings: whose values its `parameters` cell gets: of each name that is declared there, whole sections included.

    Returns:
        The path of the executed notebook.

    Raises:
        UserError: no such notebook, a declared parameter that is not in the settings, a UserError inside, or a kernel
            that was killed.
        OSError: the machine is full or forbids to write.
        RuntimeError: a cell failed; the partly executed notebook is kept in `.work/notebooks/`.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    source = study.notebooks / f"{name}.ipynb"
    if not source.is_file():
        known = sorted(path.stem for path in study.notebooks.glob("*.ipynb"))
        raise UserError(f"notebook: {name!r} is not one of {', '.join(known)}; correct the name.")
    parameters = notebook_parameters(source, settings)
    failed = study.scratch / "notebooks" / f"{name}.ipynb"
    failed.parent.mkdir(parents=True, exist_ok=True)
    with _Relay(failed.with_suffix(".log")):
        try:
            options = {"kernel_name": KERNEL, "cwd": study.root, "progress_bar": False}
            executed = _interruptible(lambda: papermill.execute_notebook(source, failed, parameters, **options))
        except RuntimeError as error:
            if not str(error).startswith(DEAD):
                raise
            raise UserError(
                f"{name}: the notebook's kernel was killed, most often for lack of memory; close other programs or "
                "take a larger machine, and run the same command again."
            ) from error
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
    """Write an executed notebook as one page of HTML that loads nothing but `run.js` beside it; code is hidden.

    Args:
        notebook: with its outputs.
        path: of the page.

    Returns:
        The path.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        raw_template=PAGE, exclude_input=True, exclude_output_prompt=True, exclude_input_prompt=True
    )
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    page, _ = exporter.from_notebook_node(nbformat.reads(normalised(notebook), 4), {"metadata": {"name": title}})
    return write_text(path, page)


def _interruptible(run: Callable[[], Any]) -> Any:
    """Run in a thread, so that Ctrl-C comes here and not to papermill, which would report a dead kernel."""
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(run)
        try:
            return future.result()
        except KeyboardInterrupt:
            kill_children()
            raise


def notebook_parameters(source: Path, settings: Settings) -> dict[str, Any]:
    """Return the values of the parameters that a notebook declares.

    Args:
        source: the notebook's file.
        settings: with a value or section of each declared name.

    Raises:
        UserError: a declared name is not in the settings.
    """
    import papermill

    declared, values = papermill.inspect_notebook(source), settings.model_dump(mode="json")
    unknown = sorted(set(declared) - set(values))
    if unknown:
        raise UserError(
            f"{source.name}: the parameters cell declares {', '.join(unknown)}, and params.yaml has only "
            f"{', '.join(values)}; correct the cell."
        )
    return {name: values[name] for name in declared}


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
                output.pop("metadata", None) if output.output_type == "stream" else None
    return nbformat.writes(clean) + "\n"


def stripped(notebook: nbformat.NotebookNode) -> str:
    """Return a notebook as text without outputs: the form in which the sources are kept."""
    clean = nbformat.from_dict(notebook)
    for cell in clean.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return normalised(clean)


class _Relay:
    """While a notebook runs: show the progress lines of its kernel, and put all else that it says on stderr into a log.

    Args:
        log: file for what libraries print.
    """

    def __init__(self, log: Path):
        self._log = log

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory()
        self._progress = Path(self._folder.name) / "progress"
        self._progress.touch()
        os.environ[LOG_VARIABLE] = str(self._progress)
        sys.stderr.flush()
        self._terminal = os.dup(2)
        with self._log.open("wb") as log:
            os.dup2(log.fileno(), 2)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        os.dup2(self._terminal, 2)
        os.close(self._terminal)
        del os.environ[LOG_VARIABLE]
        self._folder.cleanup()

    def _follow(self) -> None:
        with self._progress.open(encoding="utf-8") as lines:
            while True:
                ended = self._stop.wait(0.5)
                for line in lines:
                    os.write(self._terminal, f"  {line.rstrip()}\n".encode())
                if ended:
                    return
