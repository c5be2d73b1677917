import numpy as np
import pandas as pd

EFFECTS_ML = {120: 0.0, 200: -3.0, 280: -8.0, 360: -15.0}


def patients(n: int = 43, effects: dict[int, float] = EFFECTS_ML, noise_ml: float = 1.5) -> pd.DataFrame:
    """Patients whose cortex is 32 % of a head size that varies with age, with known effects of TE."""
    rng, rows = np.random.default_rng(1), []
    for patient in range(n):
        age = rng.uniform(36, 44)
        icv = 420 * np.exp(0.03 * (age - 40) + rng.normal(0, 0.08))
        cortex = 0.32 * icv * np.exp(rng.normal(0, 0.03))
        for te, effect in effects.items():
            volume = cortex + effect + noise_ml * rng.normal()
            row = {"subject": f"sub-{patient:02d}", "te_ms": te, "age_weeks": age, "cortex_ml": volume, "icv_ml": icv}
            row |= {"icv_bet_ml": icv, "cortex_over_icv": volume / icv, "cortex_over_icv_bet": volume / icv}
            rows.append(row | {"icv_differs": False, "cortex_true_ml": cortex, "icv_true_ml": icv})
    return pd.DataFrame(rows)


def by_a_factor(n: int) -> pd.DataFrame:
    """Patients whose volume at 280 ms is a tenth above that at 120 ms, with noise of a hundredth."""
    volumes = patients(n, dict.fromkeys((120, 280), 0.0), noise_ml=0)
    rng = np.random.default_rng(3)
    factor = np.where(volumes["te_ms"] == 280, 1.1, 1.0) * np.exp(0.01 * rng.normal(size=len(volumes)))
    return volumes.assign(cortex_ml=volumes["cortex_ml"] * factor)
