"""Public cohorts come from their public address when they are first needed; local copies are used as they are."""

from pathlib import Path

import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.manifest import image_rows, locate
from segsrgan_study.cohorts.schema import SPLITS
from segsrgan_study.progress import track

PUBLIC = {
    "fetal_atlas": "https://raw.githubusercontent.com/LucasFidon/trustworthy-ai-fetal-brain-segmentation/"
    "38cf1fb77bc896d133941b8f5388ef18feb2cae7/data/fetal_brain_atlases/SpinaBifida_Fidon2021/"
}
"""Cohort to the address of its folder; the addresses name a commit, and the manifest's checksums the content."""


def fetch_missing(manifest: pd.DataFrame, root: str | Path) -> None:
    """Download the files of a public cohort that are not there yet, each checked by its SHA-256.

    Files that are there are neither touched nor checked (`manifest.check_files` does that), so a local copy may be
    read-only.

    Args:
        manifest: from `read_manifest`.
        root: the data root; files go to `<root>/<cohort>`.

    Raises:
        UserError: files are missing and the cohort is not public, there is no way to its address, the folder cannot be
            written, or what came is not what the manifest describes.
    """
    missing = _missing(manifest, root)
    if not missing:
        return
    cohort = str(manifest["cohort"].iloc[0])
    if cohort not in PUBLIC:
        raise UserError(
            f"{Path(root, cohort)}: expected the files of the manifest; received nothing there for {len(missing)} of "
            f"them, first {next(iter(missing))}; "
            "this cohort cannot be downloaded: put your own copy there, or name the folder that holds it with "
            "SEGSRGAN_DATA=folder."
        )
    if "" in missing.values():
        raise UserError(f"{cohort}: expected a checksum in the manifest for every file to download; received none.")
    _fetch(cohort, {name.partition("/")[2]: digest for name, digest in missing.items()}, Path(root, cohort))


def _missing(manifest: pd.DataFrame, root: str | Path) -> dict[str, str]:
    """Return the paths that are not there, each with its checksum ("" if the manifest has none)."""
    missing = {}
    for split in SPLITS:
        for row in image_rows(manifest, split):
            names = list(row.files.values())
            digests = row.sha256.split(";") if row.sha256 else [""] * len(names)
            pairs = zip(names, digests, strict=True)
            missing |= {name: digest for name, digest in pairs if not locate(root, name).is_file()}
    return missing


def _fetch(cohort: str, digests: dict[str, str], folder: Path) -> None:
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel("WARNING")
    registry = {name: f"sha256:{digest}" for name, digest in digests.items()}
    store = pooch.create(folder, PUBLIC[cohort], registry=registry, retry_if_failed=2)
    # The address is https and answers directly; a redirection could lead to plain http.
    downloader = pooch.HTTPDownloader(timeout=60, allow_redirects=False)
    advice = f"or name a local copy: SEGSRGAN_DATA=folder, where the folder holds {cohort}/"
    try:
        for name in track(registry, f"downloaded from {cohort}"):
            store.fetch(name, downloader=downloader)
    except RequestException as error:
        raise UserError(
            f"{cohort}: expected to download {len(registry)} files from {PUBLIC[cohort]}; received "
            f"{type(error).__name__}; connect to the internet and try again, {advice} ({folder} is used now)."
        ) from error
    except OSError as error:
        raise UserError(
            f"{folder}: expected a folder to download to; received: {error.strerror or error}; "
            f"make it writable, {advice}."
        ) from error
    except ValueError as error:
        raise UserError(
            f"{cohort}: expected the file that the manifest describes by its checksum; received another one for {name} "
            f"from {PUBLIC[cohort]}; try again, {advice}."
        ) from error
