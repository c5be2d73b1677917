"""Results that the data do not allow: the reason stands in their place, and the study goes on."""

from collections.abc import Callable
from functools import wraps

import numpy as np


def need(condition: bool, reason: str) -> None:
    """Raise ValueError with a reason, for `or_reason`, unless a condition holds."""
    if not condition:
        raise ValueError(reason)


def or_reason(function: Callable[..., dict]) -> Callable[..., dict]:
    """Decorate a function: where the data or a numerical fault leave no result, it returns {"reason": why}."""

    @wraps(function)
    def guarded(*arguments, **named) -> dict:
        try:
            return function(*arguments, **named)
        except (ValueError, ZeroDivisionError, np.linalg.LinAlgError) as error:
            return {"reason": str(error)}

    return guarded
