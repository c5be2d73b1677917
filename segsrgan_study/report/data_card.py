"""What a reader must know about a cohort before reading its numbers."""

import pandas as pd

# Title, what it is, where the truth comes from, terms.
COHORTS = {
    "embedded": (
        "embedded (phantoms)",
        "Phantoms, not patients: digital heads made from the ICBM152 maps of an average adult brain that nilearn "
        "carries, each with its own smooth warp, brought to neonatal size, with a neonatal T2-weighted spin-echo "
        "contrast, texture, partial volume, bias field and Rician noise. The proton densities (M0) are assumed: no "
        "reliable neonatal measurement was found. Results on phantoms show that the method works as a whole; they say "
        "nothing about how well it does on infants.",
        "known by construction",
        "made on the machine; ICBM152 atlas, as distributed with nilearn",
    ),
    "fetal_atlas": (
        "fetal_atlas (population averages of the fetal brain)",
        "Real T2-weighted data: averages of the developing brain from 21 to 34 gestational weeks (Fidon et al. 2021). "
        "Averages are smoother than any one brain, and neighbouring weeks resemble each other, so that training and "
        "test images are less independent than images of different persons.",
        "the atlas' own parcellation",
        "CC0 1.0; github.com/LucasFidon/trustworthy-ai-fetal-brain-segmentation",
    ),
    "dhcp": (
        "dhcp (developing Human Connectome Project)",
        "Real T2-weighted images of infants born and imaged at term, 0.5 mm isotropic, one 3 T scanner: the talk's "
        "cohort for training and quantitative evaluation.",
        "the project's own segmentation, made by DrawEM at high resolution: comparisons with DrawEM are circular",
        "the user's own copy, under the project's terms",
    ),
    "alberts": (
        "alberts (ALBERTs neonatal atlases)",
        "Real T2-weighted images of neonates, as laid out in DrawEM's atlases.",
        "tissue maps distributed with DrawEM and made with it: comparisons with DrawEM are circular",
        "the user's own copy, under its licence",
    ),
    "epirmex": (
        "epirmex (preterm infants, thick slices)",
        "Real clinical T2-weighted images of preterm infants from several centres and scanners, 0.5 x 0.5 x 3 mm, with "
        "four echo times for a part of the patients: the talk's cohort for the variability analysis.",
        "none",
        "the user's own copy",
    ),
}
OWN = (None, "A user's own cohort, described by its manifest.", "as named in the manifest", "the user's own copy")


def cohort_title(cohort: str) -> str:
    """The cohort's name as printed; a phantom is always called one."""
    return COHORTS.get(cohort, OWN)[0] or cohort


def data_card(cohort: str, manifest: pd.DataFrame) -> list[tuple[str, str]]:
    """Rows of the data card.

    Args:
        cohort: its name.
        manifest: the cohort's manifest (columns of data_manifests/README.md).
    """
    _, what, truth, terms = COHORTS.get(cohort, OWN)
    low = "real thick slices" if cohort == "epirmex" else "simulated from the high-resolution images (see Method)"
    rows = [("cohort", cohort_title(cohort)), ("what it is", what), ("true segmentation", truth)]
    rows += [("low resolution", low), ("terms", terms)]
    for split, part in manifest.groupby("split", sort=False):
        subjects, images = part["subject"].nunique(), len(part)
        rows.append((f"split {split}", f"{subjects} subject{'s'[: subjects > 1]}, {images} image{'s'[: images > 1]}"))
    facts = {"age_weeks": ("age", "weeks"), "te_ms": ("echo time", "ms"), "tr_ms": ("repetition time", "ms")}
    for column, (title, unit) in facts.items():
        values = pd.to_numeric(manifest[column], errors="coerce").dropna().unique()
        if len(values):
            rows.append((title, f"{_numbers(sorted(values))} {unit}"))
    sites = sorted({site for site in manifest["site"].dropna().astype(str) if site})
    rows += [("sites", ", ".join(sites))] if sites else []
    rows.append(
        ("files", f"every one with its SHA-256 digest in data_manifests/{cohort}.csv, checked before it is used")
    )
    return [*rows, ("use", "research; not for any decision about a patient")]


def _numbers(values: list[float]) -> str:
    if len(values) <= 6:
        return ", ".join(f"{value:g}" for value in values)
    return f"{values[0]:.1f} to {values[-1]:.1f}"
