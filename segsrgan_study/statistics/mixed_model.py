"""Mixed models of volumes on TE and age with a random intercept per patient (statsmodels MixedLM).

And volumes corrected to a reference TE by such a model, and what that is worth for patients it has not seen. It is then
fitted to logarithms: TE changes a volume by a factor, so that a large brain is corrected by more ml than a small one.
"""

import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from segsrgan_study.statistics.agreement import need, or_reason, within_patient_cv
from segsrgan_study.statistics.intervals import add_holm, bootstrap
from segsrgan_study.statistics.spread import wide

OPTIMISERS = ["bfgs", "lbfgs", "powell"]  # each one tried where those before it do not converge
Z95 = stats.norm.ppf(0.975)
LEAST_PATIENTS = 4  # three to fit the model, one to correct


def te_formula(volumes: pd.DataFrame, column: str) -> str:
    """Return `column ~ C(te_ms) + age_weeks`, without age where it is not known for all or does not vary."""
    age = volumes.dropna(subset=[column]).get("age_weeks", pd.Series())
    return f"{column} ~ C(te_ms){' + age_weeks' if age.notna().all() and age.nunique() > 1 else ''}"


def fit_mixed_model(formula: str, volumes: pd.DataFrame, reml: bool = True) -> Any:
    """Fit fixed effects, as `te_formula` gives them, with a random intercept per subject: statsmodels' MixedLMResults.

    Restricted maximum likelihood is for estimates, maximum likelihood (`reml` False) for likelihood-ratio tests. `said`
    of the result lists the warnings of the optimiser that came last. ValueError where there are fewer than three
    patients or two TE, a measure does not vary, or the fit fails.
    """
    from statsmodels.formula.api import mixedlm

    column = formula.partition("~")[0].strip()
    data = volumes.dropna(subset=[column]).astype({"te_ms": int})
    enough = data["subject"].nunique() > 2 and data["te_ms"].nunique() > 1 and data[column].nunique() > 1
    need(enough, "needs three patients, two TE and volumes that vary")
    with warnings.catch_warnings(record=True, action="always") as caught:
        fit = mixedlm(formula, data, groups="subject").fit(reml=reml, method=OPTIMISERS)
    need(np.isfinite(fit.llf) and np.isfinite(fit.fe_params).all(), "the fit failed: the likelihood is not finite")
    # What one optimiser said does not matter where another one converged.
    tried = ("Maximum Likelihood optimization failed", "Retrying MixedLM") if fit.converged else ()
    said = {str(warning.message).splitlines()[0] for warning in caught}
    fit.said = sorted(text for text in said if not text.startswith(tried))
    return fit


def compare_te(fit: Any, pairs: Sequence[tuple[int, int]]) -> pd.DataFrame:
    """Test b minus a, of pairs (a, b) of TE in ms, in a fit with C(te_ms): statsmodels' summary_frame, a row a pair."""
    effects = [[fit.fe_params.index == f"C(te_ms)[T.{te}]" for te in pair] for pair in pairs]  # the first TE has none
    return fit.t_test(np.diff(np.array(effects, float), axis=1)[:, 0]).summary_frame()


def te_contrasts(fit: Any, tes: Sequence[int]) -> dict[str, dict]:
    """Return every difference between two TE with its Wald interval, p and Holm's p, by "later-earlier"."""
    pairs = list(combinations(sorted(tes), 2))
    tests = zip(pairs, compare_te(fit, pairs).to_numpy(), strict=True)
    found = {f"{b}-{a}": {"value": value, "ci95": ends, "p": p} for (a, b), (value, _, _, p, *ends) in tests}
    add_holm(found)
    return found


def residuals(volumes: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return what the model of `te_formula` leaves, one row per image; none where it cannot be fitted."""
    fit = or_reason(fit_mixed_model)(te_formula(volumes, column), volumes)
    if isinstance(fit, dict):
        return pd.DataFrame(columns=["subject", "te_ms", "fitted", "residual", "intercept"])
    intercepts = {subject: effect.iloc[0] for subject, effect in fit.random_effects.items()}
    rows = volumes.dropna(subset=[column])[["subject", "te_ms"]]
    return rows.assign(fitted=fit.fittedvalues, residual=fit.resid, intercept=rows["subject"].map(intercepts))


def te_factors(volumes: pd.DataFrame, column: str, reference_te_ms: int) -> pd.DataFrame:
    """Find by which factor each TE moves a volume; ValueError where the reference was not acquired or the fit fails.

    By TE in ms: "log" of the factor against the reference, its "se", and "se_volume", of the logarithm of a corrected
    volume as a prediction of the reference TE's, with the spread within a patient of both.
    """
    logs = volumes.assign(log=np.log(volumes[column]))
    tes = sorted(logs["te_ms"].astype(int).unique())
    need(reference_te_ms in tes, f"no volume at the reference TE of {reference_te_ms} ms")
    fit = fit_mixed_model(te_formula(logs, "log"), logs)
    others = [te for te in tes if te != reference_te_ms]
    table = compare_te(fit, [(reference_te_ms, te) for te in others]).set_axis(others)
    table = table.rename(columns={"coef": "log", "std err": "se"})[["log", "se"]]
    return table.assign(se_volume=np.sqrt(table["se"] ** 2 + 2 * fit.scale)).reindex(tes, fill_value=0.0)


def harmonised(volumes: pd.DataFrame, column: str, reference_te_ms: int) -> pd.DataFrame:
    """Correct the volumes of each of four patients or more with the others' factors.

    A row per patient and TE: subject, te_ms, measured, harmonised, se (of the last, delta method; 0 at the reference).
    """
    known = volumes.dropna(subset=[column]).astype({"te_ms": int}).sort_values(["subject", "te_ms"])
    parts = [
        own.join(te_factors(known[known["subject"] != subject], column, reference_te_ms), on="te_ms")
        for subject, own in known.groupby("subject")
    ]
    rows = pd.concat(parts, ignore_index=True)
    corrected = rows[column] / np.exp(rows["log"])
    columns = {"measured": rows[column], "harmonised": corrected, "se": corrected * rows["se_volume"]}
    return rows[["subject", "te_ms"]].assign(**columns)


@or_reason
def harmonisation(volumes: pd.DataFrame, column: str, reference_te_ms: int, seed: int = 0) -> dict[str, Any]:
    """Find what correcting to the reference TE is worth, on patients held out from the fit one at a time.

    The volumes have columns subject, te_ms, the positive `column` and, where known, age_weeks. Found are "volumes": the
    table of `harmonised`; "factors" per TE from all patients (divide a volume by it); "within_patient_cv" before and
    after, "cv_ratio" of the two with a bootstrap interval over patients; "cover": the "share" of n corrected volumes
    whose 95 % interval contains the reference TE's.
    """
    frame = volumes.dropna(subset=[column])
    before = wide(frame, column).dropna()
    enough = len(before) >= LEAST_PATIENTS and before.shape[1] > 1
    varies = frame[column].min() > 0 and frame[column].nunique() > 1
    need(enough and varies, f"needs {LEAST_PATIENTS} patients with every TE, and positive volumes that vary")
    rows = harmonised(frame, column, reference_te_ms)
    factors = {}
    for te, row in te_factors(frame, column, reference_te_ms).drop(reference_te_ms).iterrows():
        value, low, high = np.exp(row["log"] + row["se"] * np.array([0, -Z95, Z95]))
        factors[str(te)] = {"value": value, "ci95": [low, high], "relative_se_of_a_volume": row["se_volume"]}
    after = wide(rows, "harmonised")
    others = rows[rows["te_ms"] != reference_te_ms]
    error = (others["harmonised"] - others["subject"].map(after[reference_te_ms])).dropna()
    inside = error.abs() <= Z95 * others.loc[error.index, "se"]
    return {
        "n": len(before),
        "volumes": rows,
        "factors": factors,
        "within_patient_cv": {"before": within_patient_cv(before), "after": within_patient_cv(after)},
        **_ratio(before, after.dropna(), seed),
        "cover": {"n": len(inside), "share": inside.mean() if len(inside) else None},
    }


def _ratio(before: pd.DataFrame, after: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return the coefficient of variation within a patient after over before, root mean squares over patients."""

    def of(before: np.ndarray, after: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.sqrt(after.mean(axis) / before.mean(axis))

    squares = [((t.std(axis=1, ddof=1) / t.mean(axis=1)) ** 2).to_numpy() for t in (before, after)]
    if not squares[0].any():
        return {"cv_ratio": None, "cv_ratio_ci95": None}
    return {"cv_ratio": float(of(*squares)), "cv_ratio_ci95": bootstrap(squares, of, seed)[0]}
