"""The study's trained network, run over many cases, and its segmentations on disk."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from segsrgan_core.segmenter import Segmentation, Segmenter
from segsrgan_study.engines import load_segmenter
from segsrgan_study.files import save_image
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study, digest
from segsrgan_study.pool import map_cases, results


def trained_segmenter(study: Study, settings: Settings) -> Segmenter:
    """Load the network that stage 02 trained, once per process while its files stay as they are."""
    folder = study.results / "training" / "model"
    return _load(folder, settings.model.precision, digest(sorted(folder.glob("*"))))


@lru_cache(maxsize=1)
def _load(folder: Path, precision: str, _content: str) -> Segmenter:
    return load_segmenter(folder, precision=precision)


def with_network(function: Callable, study: Study, settings: Settings, cases: Sequence[Any], label: str) -> list[Any]:
    """Return function(study, case, trained network) for each case (which has a `stem`), several at a time.

    It is defined at the top of a module, or a `functools.partial` of such a function; `label` is that of the progress.
    """
    work, name = partial(_call, function, study, settings), attrgetter("stem")
    return results(map_cases(work, cases, label, settings.workers, memory_gib=2.0, name=name), "images", name)


def _call(function: Callable, study: Study, settings: Settings, case: Any) -> Any:
    return function(study, case, trained_segmenter(study, settings))


def save_segmentation(result: Segmentation, folder: Path, name: str) -> None:
    """Write image, labels, uncertainty and, where the network gives them, hemispheres, as files `NAME_desc-*`."""
    kinds = {"_T2w": result.image, "_dseg": result.labels, "uncertainty_probseg": result.uncertainty}
    for end, image in (kinds | {"hemispheres_dseg": result.sides}).items():
        if image is not None:
            save_image(image, folder / f"{name}_desc-segsrgan{end}.nii.gz")
