"""JupyterLab for this study.

Notebooks are saved without outputs, so that looking at one changes nothing, and nothing is fetched from the network.
"""

import nbformat

from segsrgan_study.notebooks import stripped

c = get_config()  # noqa: F821 (given by Jupyter)


def strip(model, **_):
    """Strip outputs before a notebook is written."""
    if model["type"] == "notebook" and model["content"] is not None:
        notebook = nbformat.from_dict(model["content"])
        model["content"] = nbformat.reads(stripped(notebook), as_version=4)


c.FileContentsManager.pre_save_hook = strip


def without_news(_, page):
    """Switch off the extension that offers news and looks for updates."""
    page["disabledExtensions"].append("@jupyterlab/apputils-extension:announcements")
    return page


c.ServerApp.tornado_settings = {"page_config_hook": without_news}
