"""Public cohorts, downloaded when they are first needed; local copies are used as they are."""

from pathlib import Path

import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.manifest import image_rows, locate
from segsrgan_study.progress import track

PUBLIC = {
    "fetal_atlas": "https://raw.githubusercontent.com/LucasFidon/trustworthy-ai-fetal-brain-segmentation/"
    "38cf1fb77bc896d133941b8f5388ef18feb2cae7/data/fetal_brain_atlases/SpinaBifida_Fidon2021/",
    "dhcp_atlas": "https://templateflow.s3.amazonaws.com/tpl-dhcpVol/",
}
"""Address of the folder of each public cohort. The manifest's checksums say what the content is."""


def fetch_missing(manifest: pd.DataFrame, root: str | Path) -> None:
    """Download the missing files of a public cohort to `<root>/<cohort>`, each checked by the manifest's checksum.

    A UserError tells of a cohort that is not public, an address that cannot be reached, a folder that cannot be
    written, or a file that is not the one that the manifest describes.
    """
    digests: dict[str, str] = {}
    for row in image_rows(manifest):
        names = list(row.files.values())
        digests |= zip(names, row.sha256.split(";") if row.sha256 else [""] * len(names), strict=True)
    missing = {name.partition("/")[2]: digest for name, digest in digests.items() if not locate(root, name).is_file()}
    cohort = str(manifest["cohort"].iloc[0])
    if missing and cohort not in PUBLIC:
        fault = f"{len(missing)} files are missing, first {next(iter(missing))}; this cohort cannot be downloaded"
        advice = "put your own copy there, or name its folder with SEGSRGAN_DATA=folder"
        raise UserError(f"{Path(root, cohort)}: {fault}: {advice}.")
    if "" in missing.values():
        raise UserError(f"{cohort}: the manifest has no checksum of the files to download; make it again.")
    if missing:
        _fetch(cohort, missing, Path(root, cohort))


def _fetch(cohort: str, digests: dict[str, str], folder: Path) -> None:
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel("WARNING")
    registry = {name: digest if ":" in digest else f"sha256:{digest}" for name, digest in digests.items()}
    store = pooch.create(folder, PUBLIC[cohort], registry=registry, retry_if_failed=2)
    # The address is https and answers directly; a redirection could lead to plain http.
    downloader = pooch.HTTPDownloader(timeout=60, allow_redirects=False)
    try:
        for name in track(registry, f"downloaded from {cohort}"):
            store.fetch(name, downloader=downloader)
        return
    except RequestException as error:
        reason = type(error).__name__ if error.response is None else f"HTTP {error.response.status_code}"
        fault = f"{PUBLIC[cohort]} cannot be reached ({reason}); connect to the internet and try again"
    except OSError as error:
        fault = f"{folder} cannot be written ({error.strerror or error}); make it writable"
    except ValueError:
        fault = f"the download of {name} does not have the manifest's checksum; try again"
    raise UserError(f"{cohort}: {fault}, or name a local copy: SEGSRGAN_DATA=folder, where the folder holds {cohort}/.")
