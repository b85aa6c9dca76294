"""The schema of everything that crosses the exchange folder, as plain data, and the golden file that holds us to it.

    python tests/support/contract_schema.py

writes the golden file anew. It refuses while the schema differs and `CONTRACT_VERSION` does not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from llem_runner.contract import CONTRACT_VERSION, EXIT_CODE_OF, exchange, result
from llem_runner.contract.events import EVENT
from llem_runner.contract.exchange import Allocation, ErrorReport, Prompt, RunOrder, Sample, SyntheticRecipe
from llem_runner.contract.result import ExperimentResult

GOLDEN_FILE = Path(__file__).parents[1] / "data" / "contract_schema.json"
COMMAND = "python tests/support/contract_schema.py"

_MODELS = (RunOrder, Allocation, Prompt, SyntheticRecipe, Sample, ErrorReport, ExperimentResult)
# Words for people, which change nothing that crosses.
_WORDS = frozenset({"description", "title"})


def contract() -> dict[str, Any]:
    """What a runner and a host must agree on: models, events, file names and exit codes."""
    names = ("IN", "OUT", *(name for name in vars(exchange) if name.endswith("_FILE")))
    return {
        "contract_version": CONTRACT_VERSION,
        "result_schema_version": result.RESULT_SCHEMA_VERSION,
        "files": {name: getattr(exchange, name) for name in names},
        "exit_codes": {str(kind): int(code) for kind, code in EXIT_CODE_OF.items()},
        "models": {
            **{model.__name__: _schema(TypeAdapter(model)) for model in _MODELS},
            "Event": _schema(EVENT),
        },
    }


def golden() -> dict[str, Any]:
    """What the golden file says."""
    recorded: dict[str, Any] = json.loads(GOLDEN_FILE.read_text(encoding="utf-8"))
    return recorded


def problem(recorded: dict[str, Any], now: dict[str, Any]) -> str | None:
    """What has to be done about a contract that is not the recorded one; None where it is."""
    if recorded == now:
        return None
    if recorded["contract_version"] != now["contract_version"]:
        return f"CONTRACT_VERSION is {now['contract_version']} now. Record its schema: {COMMAND}"
    changed = ", ".join(differences(recorded, now)[:10])
    return (
        f"The contract changed and CONTRACT_VERSION did not: {changed}. Runners in images of the old schema would "
        f"misunderstand this host. Raise CONTRACT_VERSION, then record the schema: {COMMAND}\n"
        f"(While this version has never been released: delete {GOLDEN_FILE.name} and record it.)"
    )


def differences(recorded: Any, now: Any, path: str = "") -> list[str]:
    """Dotted paths at which the two differ."""
    if not isinstance(recorded, dict) or not isinstance(now, dict):
        return [] if recorded == now else [path]
    keys = sorted({*recorded, *now})
    return [found for key in keys for found in differences(recorded.get(key), now.get(key), f"{path}.{key}".strip("."))]


def _schema(adapter: TypeAdapter[Any]) -> Any:
    return _without_words(adapter.json_schema())


def _without_words(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_words(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # A property may well be called "title": only there its value is a schema and not text.
    return {
        key: _without_words(value) for key, value in schema.items() if not (key in _WORDS and isinstance(value, str))
    }


def record() -> int:
    """Write the golden file; 1 where the version has to be raised first."""
    now = contract()
    if GOLDEN_FILE.exists():
        recorded = golden()
        if recorded != now and recorded["contract_version"] == now["contract_version"]:
            print(problem(recorded, now), file=sys.stderr)
            return 1
    GOLDEN_FILE.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(record())
