"""Tables and findings of the evaluation, from `results/evaluation/metrics.json`."""

from collections.abc import Iterator, Mapping
from typing import Any

from segsrgan_study.figures.style import method_title
from segsrgan_study.report.tables import MISSING, Table, interval, number, p_value
from segsrgan_study.statistics.summary import method_titles

# Metric: (title with unit, factor, decimals).
METRICS = {
    "psnr": ("PSNR (dB)", 1, 2),
    "ssim": ("SSIM", 1, 3),
    "dice": ("Dice", 1, 3),
    "hd95_mm": ("95 % Hausdorff (mm)", 1, 2),
    "asd_mm": ("surface distance (mm)", 1, 3),
    "volume_error": ("volume error (%)", 100, 1),
    "n_components": ("components", 1, 1),
}
SHOWN = "Mean (sd) [95 % bootstrap interval of the mean over subjects]"
IMAGE, LABEL = ("psnr", "ssim"), ("dice", "hd95_mm", "asd_mm", "volume_error", "n_components")
# The talk's means over 8 dHCP test images: in the table of results on dHCP, in a table of their own elsewhere.
TALK = {
    "SegSRGAN": {"psnr": "26.96", "dice": "0.855 (0.014)"},
    "cubic spline": {"psnr": "24.22"},
    "IMAPA": {"dice": "0.786 (0.023)"},
    "DrawEM": {"dice": "0.730 (0.010)"},
}
# Cohorts whose labels a baseline's program made.
CIRCULAR = ("dhcp", "alberts")


def evaluation_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """The tables; those without rows are left out."""
    titles, cohort = method_titles(metrics), metrics.get("cohort")
    cortex = [(metric, metrics.get(metric, {}).get("cortex", {})) for metric in LABEL]
    images = [(metric, metrics.get(metric, {})) for metric in IMAGE]
    others = {structure: entry for structure, entry in metrics.get("dice", {}).items() if structure != "cortex"}
    caption = f"{SHOWN}."
    if cohort in CIRCULAR:
        caption += (
            " DrawEM made this cohort's true labels, at high resolution: that favours DrawEM and what is like it."
        )
    tables = [
        _by_method("image", "Image quality on the test subjects", f"{SHOWN}.", images, titles, cohort),
        _by_method("cortex", "Segmentation of the cortex on the test subjects", caption, cortex, titles, cohort),
        _talk() if metrics and cohort != "dhcp" else None,
        _other_structures(others, titles),
        _tests(metrics.get("tests", {}), titles),
        _methods_run(metrics.get("methods", {})),
    ]
    return [table for table in tables if table and table.rows]


def evaluation_findings(metrics: Mapping[str, Any]) -> list[str]:
    """The results in a sentence each."""
    findings, titles = [], method_titles(metrics)
    psnr, test = metrics.get("psnr", {}), metrics.get("tests", {}).get("psnr", {}).get("spline", {})
    if {"segsrgan", "spline"} <= set(psnr):
        values = [number(psnr[method]["mean"], 2) for method in ("segsrgan", "spline")]
        gain = f"{number(test.get('difference'), 2)} dB {interval(test.get('ci95'), 2)}"
        n = psnr["segsrgan"]["n"]
        findings.append(f"PSNR of SegSRGAN {values[0]} dB, of cubic spline {values[1]} dB: gain {gain}, n = {n}.")
    dice = {m: entry for m, entry in metrics.get("dice", {}).get("cortex", {}).items() if entry["mean"] is not None}
    ranked = sorted(dice, key=lambda method: -dice[method]["mean"])
    cells = [f"{method_title(method, titles)} {_cell(dice[method], 'dice')}" for method in ranked]
    return findings + ([f"Dice of the cortex, the best first: {'; '.join(cells)}."] if cells else [])


def _by_method(
    name: str,
    title: str,
    caption: str,
    scores: list[tuple[str, Mapping]],
    titles: Mapping[str, str],
    cohort: str | None,
) -> Table:
    scores = [(metric, by_method) for metric, by_method in scores if by_method]
    rows = []
    for method in _methods(by_method for _, by_method in scores):
        entries = [by_method[method] for _, by_method in scores if method in by_method]
        why = f" ({entries[0]['reason']})" if "reason" in entries[0] else ""
        cells = [_cell(by_method.get(method), metric) for metric, by_method in scores]
        rows.append([method_title(method, titles) + why, str(max(entry["n"] for entry in entries)), *cells])
    for talk_title, values in TALK.items() if cohort == "dhcp" else ():
        cells = [values.get(metric, MISSING) for metric, _ in scores]
        rows += [[f"{talk_title}, the talk's value", "8", *cells]] if set(cells) != {MISSING} else []
    columns = ["method", "n", *(METRICS[metric][0] for metric, _ in scores)]
    return Table(name, title, caption, columns, rows)


def _talk() -> Table:
    rows = [[title, "8", values.get("psnr", MISSING), values.get("dice", MISSING)] for title, values in TALK.items()]
    caption = (
        "Mean (sd) over 8 test images of dHCP. They show the order of the methods there; their level cannot be "
        "compared with this cohort's."
    )
    return Table(
        "talk", "The talk's own values, on dHCP", caption, ["method", "n", "PSNR (dB)", "Dice of the cortex"], rows
    )


def _other_structures(by_structure: Mapping[str, Mapping], titles: Mapping[str, str]) -> Table:
    methods = _methods(by_structure.values())
    rows = [
        [structure.replace("_", " "), *(_cell(entry.get(method), "dice") for method in methods)]
        for structure, entry in sorted(by_structure.items())
    ]
    columns = ["structure", *(method_title(method, titles) for method in methods)]
    return Table("structures", "Dice of the other structures", f"{SHOWN}.", columns, rows)


def _methods_run(methods: Mapping[str, Mapping]) -> Table:
    rows = []
    for facts in methods.values():
        parameters = "; ".join(f"{name} {_plain(value)}" for name, value in facts["parameters"].items())
        counts = sorted({len(names) for names in facts.get("atlases", {}).values()})
        atlases = " to ".join(map(str, counts[:1] + counts[1:][-1:])) or "its own"
        rows.append([facts["title"], facts["version"], atlases, parameters or MISSING])
    registration = next((facts["registration"] for facts in methods.values() if "registration" in facts), {})
    settings = "; ".join(f"{name} {_plain(value)}" for name, value in registration.items())
    caption = (
        "All get the image after cubic-spline interpolation; their atlases are the training subjects nearest in age, "
        f"registered to that image by antspyx (affine, then SyN: {settings}), once for all methods. The parameters "
        "were chosen on training subjects alone."
    )
    columns = ["method", "version", "atlases", "parameters"]
    return Table("methods", "The methods that SegSRGAN is compared with", caption, columns, rows, n_text=4)


def _plain(value: Any) -> str:
    return (
        ", ".join(map(_plain, value))
        if isinstance(value, list | tuple)
        else f"{value:g}"
        if _real(value)
        else str(value)
    )


def _real(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _methods(entries: Any) -> list[str]:
    return sorted({method for entry in entries for method in entry}, key=lambda m: (m != "segsrgan", m))


def _cell(entry: Mapping | None, metric: str) -> str:
    if not entry or entry["mean"] is None:
        return MISSING
    _, factor, decimals = METRICS[metric]
    mean, sd = number(entry["mean"], decimals, factor), number(entry["sd"], decimals, factor)
    undefined = f", {entry['n_missing']} undefined" if entry.get("n_missing") else ""
    return f"{mean} ({sd}) {interval(entry['ci95'], decimals, factor)}{undefined}"


def _tests(tests: Mapping[str, Any], titles: Mapping[str, str]) -> Table:
    rows = []
    for metric, structure, method, test in _walk(tests):
        title, factor, decimals = METRICS[metric]
        title = f"size of the {title}" if metric == "volume_error" else title
        numbers = [number(test["difference"], decimals, factor), interval(test["ci95"], decimals, factor)]
        ps = [p_value(test.get(key)) for key in ("p", "p_holm", "smallest_p")]
        rows.append([structure, title, method_title(method, titles), str(test["n"]), *numbers, *ps])
    caption = (
        "SegSRGAN minus each other method, paired by subject: mean difference with its 95 % bootstrap interval, "
        "two-sided Wilcoxon signed-rank test, Holm's correction over the methods of one metric and structure. The last "
        "column is the least p that so few subjects can give: with fewer than six, 0.05 is out of reach."
    )
    columns = ["structure", "metric", "against", "n", "difference", "interval", "p", "p (Holm)", "least p"]
    return Table("tests", "Paired tests", caption, columns, rows, n_text=3)


def _walk(tests: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Mapping]]:
    for metric in IMAGE:
        yield from ((metric, "image", method, test) for method, test in tests.get(metric, {}).items())
    for metric in LABEL[:-1]:
        by_method = tests.get(metric, {}).get("cortex", {})
        yield from ((metric, "cortex", method, test) for method, test in by_method.items())
