"""Damage to the files that are read, led by the code that it reaches (atheris): `make fuzz` runs each reader.

`python -m tests.faults.fuzz_readers READER [libFuzzer's options]`. A file is read whole or refused by a sentence that
names it; any other error, more than 20 s or more than 4 GB for one file ends the run with the file that did it.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["segsrgan_core", "nibabel"]):
    import nibabel as nib

    from segsrgan_study.cohorts.manifest import read_manifest
    from segsrgan_study.files import load_image, load_labels
    from segsrgan_study.params import read_params
    from tests.faults.images import head, image
    from tests.faults.labels import tissues
    from tests.faults.test_fuzz import ROOT, read_or_refused, read_weights, whole_manifest, write_weights

LIMITS = ["-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"]
SMALL = (12, 14, 4)  # voxels: a few kilobytes, so that many files a second are read

# Reader: the file's name, what writes a whole one, what reads it.
READERS: dict[str, tuple[str, Callable[[Path], object], Callable[[Path], object]]] = {
    "image": ("image.nii", lambda path: nib.save(image(head(SMALL)), path), load_image),
    "labels": ("labels.nii", lambda path: nib.save(image(tissues(SMALL)), path), load_labels),
    "manifest": ("mine.csv", lambda path: path.write_bytes(whole_manifest()), read_manifest),
    "settings": ("params.yaml", lambda path: shutil.copy(ROOT / "params.yaml", path), read_params),
    "weights": ("weights.npz", write_weights, read_weights),
}


def main() -> None:
    """Fuzz one reader from a whole file."""
    name, write, read = READERS[sys.argv[1]]
    folder = Path(tempfile.mkdtemp())  # libFuzzer leaves without a word: the system clears it
    seeds = folder / "seeds"
    seeds.mkdir()
    seed, path = seeds / name, folder / name
    write(seed)
    read(seed)  # whole: what lies behind the first checks is reached, too

    def one(content: bytes) -> None:
        path.write_bytes(content)
        read_or_refused(read, path)

    longest = f"-max_len={2 * seed.stat().st_size}"  # a seed that is longer would be cut
    atheris.Setup([sys.argv[0], *LIMITS, longest, *sys.argv[2:], str(seeds)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
