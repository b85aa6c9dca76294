"""Everything that can be checked before anything is started or fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llem.errors import NotReadyError
from llem.execution.preflight import Inputs, check_inputs
from llem.printable import on_one_line
from llem.study import Plan, Study, make_plan, unavailable
from llem.study.settings import BackendPlace, effective_output, effective_places, load_settings, settings_path
from llem.study.study_keys import OutputSettings
from llem_runner.contract import Calibration


@dataclass(frozen=True)
class Checked:
    """A study that could be run: its plan, its inputs (the models have yet to be made ready), where results go, and
    what is known of the gain of boards, by UUID.
    """

    plan: Plan
    inputs: Inputs
    output: OutputSettings
    places: Mapping[str, BackendPlace]
    calibration: Mapping[str, Calibration]


def check_study(study: Study, environment: Mapping[str, str], notice: Callable[[str], None]) -> Checked:
    """Plan a study and check it against its files, the user's settings and what is built. Starts nothing.

    Raises UsageError for what the study names wrongly, NotReadyError for what cannot be done (yet).
    """
    plan = make_plan(study)
    for message in (*plan.notes, *plan.warnings):
        notice(on_one_line(message))
    settings = load_settings(settings_path(environment))
    places = effective_places(study, settings, environment)
    _refuse_what_is_not_built(study, plan)
    inputs = check_inputs(plan.experiments.values(), study.base_folder)
    calibration = {
        uuid: Calibration(factor=known.factor, uncertainty_percent=known.uncertainty_percent, source=known.source)
        for uuid, known in settings.calibration.items()
    }
    return Checked(plan, inputs, effective_output(study, settings), places, calibration)


def _refuse_what_is_not_built(study: Study, plan: Plan) -> None:
    messages = [on_one_line(item.message) for item in unavailable(study, plan)]
    if messages:
        raise NotReadyError("\n".join(messages))
