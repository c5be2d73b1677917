"""Tables and findings of the variability analysis, from `results/variability/metrics.json`."""

from collections.abc import Mapping
from typing import Any

from segsrgan_study.figures.variability_table import TALK
from segsrgan_study.report.assumptions import VOLUMES, assumptions_table
from segsrgan_study.report.correction import harmonisation_table, scores_by_te
from segsrgan_study.report.tables import MISSING, Table, interval, number, p_value
from segsrgan_study.statistics.spread import TITLES

SPREADS = {"sd_over_mean": "sd / mean", "iqr_over_median": "IQR / median"}
DECIMALS = {"cortex": 2, "cortex_over_icv": 4}  # ml, and a ratio


def variability_tables(metrics: Mapping[str, Any], cohort: str) -> list[Table]:
    """The tables; those without rows are left out. The talk's values stand beside those of `epirmex` alone."""
    tables = [
        _spread(metrics, talk=cohort == "epirmex"),
        _variance(metrics.get("pitman_morgan", {})),
        _mixed(metrics.get("mixed_model", {})),
        _repeated(metrics.get("repeated_measures", {})),
        _contrasts(metrics),
        _against_truth(metrics.get("bias", {})),
        scores_by_te(metrics.get("scores", {})),
        harmonisation_table(metrics.get("harmonisation", {})),
        _agreement(metrics),
        assumptions_table(metrics),
    ]
    return [table for table in tables if table.rows]


def variability_findings(metrics: Mapping[str, Any]) -> list[str]:
    """The talk's two findings, as these data answer them."""
    findings = []
    for te, cortex in metrics.get("sd_over_mean", {}).get("cortex", {}).items():
        ratio = metrics["sd_over_mean"]["cortex_over_icv"].get(te)
        p = metrics.get("pitman_morgan", {}).get(te, {}).get("p_holm")
        if cortex is not None and ratio is not None:
            verb = "lowers" if ratio < cortex else "does not lower"
            values = f"{number(cortex, 4)} for the volume, {number(ratio, 4)} for the ratio"
            test = f"; Pitman-Morgan {_p(p)} after Holm" if p is not None else ""
            findings.append(f"TE = {te} ms: division by ICV {verb} sd / mean ({values}{test}).")
    model = metrics.get("mixed_model", {}).get("cortex", {})
    if "lrt" in model:
        chi2, df, p = (model["lrt"][key] for key in ("chi2", "df", "p"))
        findings.append(
            f"Effect of TE on the cortical volume within patients: likelihood-ratio chi2 = {chi2:.1f}, df = {df}, "
            f"{_p(p)}, {model['n_patients']} patients."
        )
    return findings


def reasons(node: Any, path: tuple[str, ...] = ()) -> list[str]:
    """What an analysis could not give, and why: every {"reason": ...} of a nest of results."""
    if not isinstance(node, Mapping):
        return []
    here = [f"{', '.join(step.replace('_', ' ') for step in path)}: {node['reason']}"] if "reason" in node else []
    return here + [text for key, item in node.items() for text in reasons(item, (*path, key))]


def _spread(metrics: Mapping[str, Any], talk: bool) -> Table:
    tes = list(metrics.get("sd_over_mean", {}).get("cortex", {}))
    truth, rows = metrics.get("truth", {}), []
    for name, title in SPREADS.items():
        for measure, by_te in metrics.get(name, {}).items():
            ends = metrics.get(f"{name}_ci95", {}).get(measure, {})
            cells = [f"{number(by_te[te], 4)} {interval(ends.get(te))}" for te in tes]
            known = [number(truth[name][measure], 4)] if name in truth else []
            rows.append([f"{title}, {TITLES[measure]}", *cells, *known])
            if talk:
                cells = [number(TALK[name][measure].get(te), 4) for te in tes]
                rows.append([f"{title}, {TITLES[measure]}, the talk's value", *cells, *[MISSING for _ in known]])
    n = metrics.get("n_patients", 0)
    caption = f"{n} patients, at each echo time [95 % bootstrap interval over patients]."
    true_column = ["true volumes"] if "sd_over_mean" in truth else []
    return Table(
        "variability",
        "Variability between patients",
        caption,
        ["statistic", *(f"TE = {te} ms" for te in tes), *true_column],
        rows,
    )


def _variance(by_te: Mapping[str, Mapping]) -> Table:
    rows = []
    for te, test in by_te.items():
        if "variance_ratio" in test:
            values = [number(test["variance_ratio"]), interval(test["variance_ratio_ci95"]), number(test["r"])]
            rows.append([f"{te} ms", str(test["n"]), *values, p_value(test["p"]), p_value(test.get("p_holm"))])
    caption = (
        "Does it lower the relative variability between patients? Variance of log(cortex / ICV) over variance of "
        "log(cortex): below 1 it does. Pitman-Morgan test of paired variances, Holm's correction over TE."
    )
    columns = ["TE", "n", "variance ratio", "95 % interval", "r", "p", "p (Holm)"]
    return Table("pitman_morgan", "Division by ICV", caption, columns, rows)


def _mixed(models: Mapping[str, Mapping]) -> Table:
    rows = []
    for measure, model in models.items():
        if "lrt" not in model:
            continue
        age, decimals = model["effects"].get("age_weeks"), DECIMALS[measure]
        slope = f"{number(age['value'], decimals)} {interval(age['ci95'], decimals)}" if age else "not in the model"
        test = f"{model['lrt']['chi2']:.2f} ({model['lrt']['df']})"
        spreads = [number(model[key], decimals) for key in ("sd_between", "sd_within")]
        fit = "; ".join(["converged" if model["converged"] else "did not converge", *model["warnings"]])
        p = p_value(model["lrt"]["p"])
        rows.append([TITLES[measure], str(model["n_patients"]), test, p, slope, *spreads, fit])
    caption = (
        "Measure on TE (as a factor), age and a random intercept of the patient. Likelihood-ratio test of "
        "TE (ML fits); slope of age per week, sd between patients and within a patient (REML). Volumes in ml."
    )
    columns = ["measure", "patients", "chi2 (df)", "p", "slope of age", "sd between", "sd within", "fit"]
    return Table("mixed_model", "Mixed model", caption, columns, rows)


def _repeated(tests: Mapping[str, Mapping]) -> Table:
    rows = []
    for measure, test in tests.items():
        if "f" in test:
            df = " and ".join(map(str, test["df"]))
            cells = [
                number(test["f"], 2),
                df,
                p_value(test["p"]),
                number(test["epsilon"]),
                p_value(test["p_corrected"]),
            ]
            rows.append([TITLES[measure], str(test["n"]), *cells])
    caption = (
        "The effect of TE once more, by an F test that needs no large sample: patients with every TE. Epsilon "
        "(Greenhouse and Geisser) is 1 where all differences between TE vary equally, as a random intercept implies; "
        "the last p is corrected by it."
    )
    columns = ["measure", "patients", "F", "degrees of freedom", "p", "epsilon", "p (corrected)"]
    return Table("repeated_measures", "Analysis of variance with repeated measures", caption, columns, rows)


def _contrasts(metrics: Mapping[str, Any]) -> Table:
    rows = []
    for measure, model in metrics.get("mixed_model", {}).items():
        decimals = DECIMALS[measure]
        paired = metrics.get("difference_to_reference_te", {}).get(measure, {})
        for pair, contrast in model.get("contrasts", {}).items():
            relative = paired.get(pair, {})
            percent = f"{number(relative.get('relative'), 1, 100)} {interval(relative.get('relative_ci95'), 1, 100)}"
            cells = [number(contrast["value"], decimals), interval(contrast["ci95"], decimals)]
            cells += [percent if "relative" in relative else MISSING]
            ps = [p_value(contrast["p"]), p_value(contrast.get("p_holm"))]
            rows.append([TITLES[measure], _pair(pair), *cells, *ps])
    caption = (
        "Mixed-model contrasts with 95 % Wald intervals, Holm's correction over the "
        "pairs of a measure; beside them the paired mean difference in % of the reference TE's mean "
        f"({metrics.get('reference_te_ms', MISSING)} ms) with its t interval. Volumes in ml."
    )
    columns = ["measure", "TE (ms)", "difference", "interval", "in %", "p", "p (Holm)"]
    return Table("contrasts", "Differences between echo times", caption, columns, rows, n_text=2)


def _against_truth(bias: Mapping[str, Any]) -> Table:
    rows = []
    for name, by_te in bias.items():
        for te, entry in by_te.items() if "reason" not in by_te else ():
            if "relative" in entry:
                values = [number(entry["mean"], 2), interval(entry["ci95"], 2)]
                values += [number(entry["relative"], 1, 100), interval(entry["relative_ci95"], 1, 100)]
                rows.append([VOLUMES[name], f"{te} ms", str(entry["n"]), *values])
    caption = "Estimate minus truth: mean over patients with its 95 % t interval, in ml and in % of the true mean."
    columns = ["volume", "TE", "n", "ml", "interval", "%", "interval (%)"]
    return Table("bias", "Error of the volumes", caption, columns, rows)


def _agreement(metrics: Mapping[str, Any]) -> Table:
    rows = []
    for measure, pairs in metrics.get("bland_altman", {}).items():
        for pair, entry in pairs.items():
            if "lower" in entry:
                decimals = DECIMALS[measure]
                limits = interval([entry["lower"], entry["upper"]], decimals)
                cells = [number(entry["bias"], decimals), interval(entry["bias_ci95"], decimals), limits]
                rows.append([TITLES[measure], f"mean difference, TE {_pair(pair)} ms", *cells])
    for measure, entry in metrics.get("icc", {}).items():
        for key, title in (("icc_2_1", "ICC(2,1), absolute agreement"), ("icc_3_1", "ICC(3,1), consistency")):
            if key in entry:
                rows.append([TITLES[measure], title, number(entry[key]), interval(entry[f"{key}_ci95"]), MISSING])
    for measure, entry in metrics.get("within_patient_cv", {}).items():
        if isinstance(entry, Mapping) and "rms" in entry:
            title = "coefficient of variation over TE within a patient (%)"
            rows.append([TITLES[measure], title, number(entry["rms"], 2, 100), MISSING, MISSING])
    caption = (
        "Bland-Altman mean differences and limits of agreement, intraclass correlations "
        "of single measurements, root-mean-square coefficient of variation. Volumes in ml."
    )
    columns = ["measure", "quantity", "value", "95 % interval", "limits of agreement"]
    return Table("agreement", "Agreement between echo times", caption, columns, rows, n_text=2)


def _p(p: float) -> str:
    return f"p {'' if p < 0.001 else '= '}{p_value(p)}"


def _pair(pair: str) -> str:
    return pair.replace("-", " \N{MINUS SIGN} ")
