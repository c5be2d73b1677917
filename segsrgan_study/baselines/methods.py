"""The methods to compare with.

To add one: write its file in this folder with a `Method` (a name, a title, a version, parameters, and a function from a
`Case` to labels), and add its line to `_ALL`. It can then be named in `params.yaml` under `baselines.methods`; its run,
scores, tests, rows of the tables and boxes of the figure follow from that.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from segsrgan_core.errors import UserError
from segsrgan_study.baselines import atropos, drawem, em, fusion, imapa
from segsrgan_study.baselines.case import Atlas, Case, Method, MethodFailed, NotAvailable

_ALL = (
    imapa.METHOD,
    fusion.JOINT_LABEL_FUSION,
    drawem.METHOD,
    em.METHOD,
    atropos.METHOD,
    fusion.MAJORITY_VOTE,
)
METHODS: dict[str, Method] = {method.name: method for method in _ALL}

__all__ = ["METHODS", "Atlas", "Case", "Method", "MethodFailed", "NotAvailable", "chosen_methods"]


def chosen_methods(names: Sequence[str], parameters: Mapping[str, Mapping[str, Any]]) -> list[Method]:
    """Return the named methods, each with its parameters.

    Raises:
        UserError: a name that no method has, or a parameter that its method does not have.
    """
    unknown = [name for name in [*names, *parameters] if name not in METHODS]
    if unknown:
        raise UserError(
            f"params.yaml: baselines: expected methods among {', '.join(METHODS)}; received {', '.join(unknown)}."
        )
    return [METHODS[name].tuned(**parameters.get(name, {})) for name in names]
