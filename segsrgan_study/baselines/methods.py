"""The methods to compare with.

To add one: write its file in this folder with a `Method` and name it in `ALL`. It can then be named in
`params.yaml` under `baselines.methods`; its scores, tests, rows of the tables and boxes of the figure follow.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from segsrgan_core.errors import UserError
from segsrgan_study.baselines import atropos, drawem, em, fusion, imapa
from segsrgan_study.baselines.case import Method

ALL = (imapa.METHOD, fusion.JOINT_LABEL_FUSION, drawem.METHOD, em.METHOD, atropos.METHOD, fusion.MAJORITY_VOTE)
METHODS: dict[str, Method] = {method.name: method for method in ALL}


def chosen_methods(names: Sequence[str], parameters: Mapping[str, Mapping[str, Any]]) -> list[Method]:
    """Return the named methods, with the parameters that replace a method's own; UserError where there is none such."""
    if unknown := [name for name in [*names, *parameters] if name not in METHODS]:
        known = f"choose among {', '.join(METHODS)}"
        raise UserError(f"params.yaml: baselines: there is no method {', '.join(unknown)}; {known}.")
    return [METHODS[name].tuned(**parameters.get(name, {})) for name in names]
