"""JupyterLab for this study.

Notebooks are saved without outputs, so that looking at one changes nothing, and nothing is fetched from the network.
"""

import nbformat

from segsrgan_core.notebooks import stripped

c = get_config()  # noqa: F821 (given by Jupyter)


def strip(model, **_):
    """Strip outputs before a notebook is written."""
    if model["type"] == "notebook" and model["content"] is not None:
        notebook = nbformat.from_dict(model["content"])
        model["content"] = nbformat.reads(stripped(notebook), as_version=4)


c.FileContentsManager.pre_save_hook = strip
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
