"""Tables and findings of the evaluation, from `results/evaluation/metrics.json`."""

from collections.abc import Iterator, Mapping
from typing import Any

from segsrgan_core.figures.style import method_title
from segsrgan_core.report.tables import MISSING, Table, interval, number, p_value

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
# The talk's means over 8 dHCP test images: shown beside results on dHCP alone.
TALK = {
    "SegSRGAN, the talk's value": {"psnr": "26.96", "dice": "0.855 (0.014)"},
    "cubic spline, the talk's value": {"psnr": "24.22"},
    "IMAPA, the talk's value": {"dice": "0.786 (0.023)"},
    "DrawEM, the talk's value": {"dice": "0.730 (0.010)"},
}


def evaluation_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """The tables; those without rows are left out."""
    talk = metrics.get("cohort") == "dhcp"
    cortex = [(metric, metrics.get(metric, {}).get("cortex", {})) for metric in LABEL]
    tables = [
        _by_method("image", "Image quality on the test subjects", [(m, metrics.get(m, {})) for m in IMAGE], talk),
        _by_method("cortex", "Segmentation of the cortex on the test subjects", cortex, talk),
        _other_structures({s: entry for s, entry in metrics.get("dice", {}).items() if s != "cortex"}),
        _tests(metrics.get("tests", {})),
    ]
    return [table for table in tables if table.rows]


def evaluation_findings(metrics: Mapping[str, Any]) -> list[str]:
    """The results in a sentence each."""
    findings = []
    psnr, test = metrics.get("psnr", {}), metrics.get("tests", {}).get("psnr", {}).get("spline", {})
    if {"segsrgan", "spline"} <= set(psnr):
        values = [number(psnr[method]["mean"], 2) for method in ("segsrgan", "spline")]
        gain = f"{number(test.get('difference'), 2)} dB {interval(test.get('ci95'), 2)}"
        n = psnr["segsrgan"]["n"]
        findings.append(f"PSNR of SegSRGAN {values[0]} dB, of cubic spline {values[1]} dB: gain {gain}, n = {n}.")
    dice = metrics.get("dice", {}).get("cortex", {})
    for method in sorted(dice, key=lambda m: (m != "segsrgan", m)):
        findings.append(f"Dice of the cortex, {method_title(method)}: {_cell(dice[method], 'dice')}.")
    return findings


def _by_method(name: str, title: str, scores: list[tuple[str, Mapping]], talk: bool) -> Table:
    scores = [(metric, by_method) for metric, by_method in scores if by_method]
    rows = []
    for method in _methods(by_method for _, by_method in scores):
        sizes = [by_method[method]["n"] for _, by_method in scores if method in by_method]
        cells = [_cell(by_method.get(method), metric) for metric, by_method in scores]
        rows.append([method_title(method), str(max(sizes)), *cells])
    for talk_title, values in TALK.items() if talk else ():
        cells = [values.get(metric, MISSING) for metric, _ in scores]
        rows += [[talk_title, "8", *cells]] if set(cells) != {MISSING} else []
    columns = ["method", "n", *(METRICS[metric][0] for metric, _ in scores)]
    return Table(name, title, f"{SHOWN}.", columns, rows)


def _other_structures(by_structure: Mapping[str, Mapping]) -> Table:
    methods = _methods(by_structure.values())
    rows = [
        [structure.replace("_", " "), *(_cell(entry.get(method), "dice") for method in methods)]
        for structure, entry in sorted(by_structure.items())
    ]
    return Table(
        "structures", "Dice of the other structures", f"{SHOWN}.", ["structure", *map(method_title, methods)], rows
    )


def _methods(entries: Any) -> list[str]:
    return sorted({method for entry in entries for method in entry}, key=lambda m: (m != "segsrgan", m))


def _cell(entry: Mapping | None, metric: str) -> str:
    if not entry or entry["mean"] is None:
        return MISSING
    _, factor, decimals = METRICS[metric]
    mean, sd = number(entry["mean"], decimals, factor), number(entry["sd"], decimals, factor)
    undefined = f", {entry['n_missing']} undefined" if entry.get("n_missing") else ""
    return f"{mean} ({sd}) {interval(entry['ci95'], decimals, factor)}{undefined}"


def _tests(tests: Mapping[str, Any]) -> Table:
    rows = []
    for metric, structure, method, test in _walk(tests):
        title, factor, decimals = METRICS[metric]
        title = f"size of the {title}" if metric == "volume_error" else title
        numbers = [number(test["difference"], decimals, factor), interval(test["ci95"], decimals, factor)]
        ps = [p_value(test.get(key)) for key in ("p", "p_holm", "smallest_p")]
        rows.append([structure, title, method_title(method), str(test["n"]), *numbers, *ps])
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
