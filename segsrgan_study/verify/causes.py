"""Why results differ: what dvc.lock, the lock of the libraries and the record of the machine say."""

from typing import Any

import yaml

KINDS = (
    ("requirements.lock", "version", "of the libraries"),
    ("params.yaml", "parameter", ""),
    ("data_manifests/", "data", ""),
    ("data/", "data", ""),
    ("notebooks/", "code", ""),
    ("segsrgan_core/", "code", ""),
)
GONE = ("deleted", "not in cache")  # as in every fresh clone: what git does not keep


def causes_in_the_repository(status: dict[str, list]) -> list[str]:
    """Say what is not what the committed results were made from.

    Args:
        status: `dvc status --json dvc.yaml` of a fresh clone: stage to its changes.

    Returns:
        A sentence for each cause.
    """
    found: dict[str, list[str]] = {}
    for stage, changes in status.items():
        for change in changes:
            if change == "changed command":
                found.setdefault("code: the command in dvc.yaml", []).append(stage)
            elif isinstance(change, dict):
                for cause in _causes(change):
                    found.setdefault(cause, []).append(stage)
    return [f"{cause} (stage {', '.join(dict.fromkeys(stages))})" for cause, stages in found.items()]


def _causes(change: dict[str, dict]) -> list[str]:
    causes = []
    for path, how in change.get("changed deps", {}).items():
        if how in GONE:
            continue
        kind, note = next(((kind, note) for start, kind, note in KINDS if path.startswith(start)), ("data", ""))
        what = ", ".join(how) if isinstance(how, dict) else path
        causes.append(f"{kind}: {what} {note}".rstrip() + " changed after the results were made")
    for path, how in change.get("changed outs", {}).items():
        if how not in GONE:
            causes.append(f"edited: {path} is not what its stage wrote")
    return causes


def causes_in_the_environment(committed: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Say how this machine and its libraries differ from those of the committed results.

    Args:
        committed: `results/training/environment.json` as committed.
        here: the same, of the rerun.
    """
    causes = []
    for name in sorted(committed.keys() | here.keys()):
        old, new = committed.get(name), here.get(name)
        if name == "versions":
            both = [(lib, (old or {}).get(lib), (new or {}).get(lib)) for lib in sorted({**(old or {}), **(new or {})})]
            causes += [f"version: {lib} {before} to {after}" for lib, before, after in both if before != after]
        elif old != new:
            causes.append(f"{'version' if name == 'python' else 'hardware'}: {name} {old} to {new}")
    return causes


def first_stage_that_differs(committed: str, rerun: str) -> str:
    """Return the first stage, in the order of the study, with an output of another content; "" if none has.

    Args:
        committed: text of dvc.lock.
        rerun: text of dvc.lock after the rerun.
    """
    old, new = (yaml.safe_load(text)["stages"] for text in (committed, rerun))
    for stage in new:
        if stage not in old or _outputs(old[stage]) != _outputs(new[stage]):
            return stage
    return ""


def _outputs(stage: dict) -> dict[str, str]:
    return {out["path"]: out["md5"] for out in stage.get("outs", [])}
