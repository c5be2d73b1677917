"""The methods to compare with. To add one: write its file with a `Method`, and add its line here."""

from segsrgan_core.baselines import atropos, drawem, em, fusion, imapa
from segsrgan_core.baselines.case import Atlas, Case, Method, MethodFailed, NotAvailable

_ALL = (
    imapa.METHOD,
    fusion.JOINT_LABEL_FUSION,
    drawem.METHOD,
    em.METHOD,
    atropos.METHOD,
    fusion.MAJORITY_VOTE,
)
METHODS: dict[str, Method] = {method.name: method for method in _ALL}

__all__ = ["METHODS", "Atlas", "Case", "Method", "MethodFailed", "NotAvailable"]
