"""How much the cortical volume varies: between patients at one TE, and within a patient over TE.

Everything starts from `results/variability/volumes.csv`, one row per patient and TE.
"""

from segsrgan_study.statistics.analysis import analyse
from segsrgan_study.statistics.spread import MEASURES, spread, talk_table, wide

__all__ = ["MEASURES", "analyse", "spread", "talk_table", "wide"]
