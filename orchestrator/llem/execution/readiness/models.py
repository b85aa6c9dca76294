"""Models and adapters that are here already: whoever runs has to be able to read them. Others are fetched later."""

from __future__ import annotations

from llem.checklist import Checklist
from llem.errors import NotReadyError
from llem.execution.hub_models import model_key
from llem.execution.readiness.needs import Needs
from llem.execution.where import Launchers
from llem.printable import on_one_line

MODELS = "models"


def check_models(needs: Needs, launchers: Launchers, checklist: Checklist) -> None:
    """Check every folder of a model or an adapter, and say what is still to be fetched."""
    unreadable = False
    for folder in dict.fromkeys([*map(str, needs.model_folders.values()), *needs.inputs.adapters.values()]):
        try:
            launchers.check_readable([folder])
        except NotReadyError as error:
            unreadable = True
            checklist.fail(MODELS, error.what, error.remedy)
    if not unreadable:
        checklist.ok(MODELS, _in_words(needs))


def _in_words(needs: Needs) -> str:
    here = needs.model_folders
    later = dict.fromkeys(config.model for config in needs.experiments.values() if model_key(config) not in here)
    words = [f"{len(here)} in folders"] if here else []
    if later:
        words.append(f"made ready after the checks: {', '.join(map(on_one_line, later))}")
    return "; ".join(words)
