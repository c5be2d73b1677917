"""Mixed models of volumes on TE and age with a random intercept per patient (statsmodels MixedLM)."""

import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from segsrgan_study.statistics.intervals import add_holm
from segsrgan_study.statistics.reasons import need, or_reason

OPTIMISERS = ["bfgs", "lbfgs", "powell"]  # each one tried where those before it do not converge


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
