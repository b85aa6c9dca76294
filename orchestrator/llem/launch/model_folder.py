"""Whether a folder holds a model that could be loaded, as far as the host can tell, which has no engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from llem.errors import UsageError


def check_model_folder(path: Path, trust_remote_code: bool, called: str | None = None) -> None:
    """Raise UsageError where `path` holds no model that could be loaded. `called`: by its name, instead of the path."""
    name = called or path
    if not path.is_dir():
        raise UsageError(f"model {name}: no such folder. A model folder holds config.json, weights and a tokenizer.")
    try:
        config = json.loads((path / "config.json").read_bytes())
    except FileNotFoundError:
        raise UsageError(f"model {name}: no config.json in it, so it is not a model folder.") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"model {name}: config.json cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise UsageError(f"model {name}: config.json holds no mapping.")
    if trust_remote_code and (elsewhere := _code_elsewhere(config.get("auto_map"))):
        raise UsageError(
            f"model {name} takes its code from another model on the Hub ({elsewhere}, auto_map in config.json), and a "
            "run has no network. Make a model folder with the *.py of both, and auto_map without what is before the --."
        )
    if config.get("auto_map") and not trust_remote_code and config.get("model_type") not in _model_types():
        raise UsageError(
            f"model {name} brings Python code of its own (auto_map in config.json), and the installed transformers "
            f"does not know model type {config.get('model_type')!r}. If you trust it, set trust_remote_code: true."
        )


def _code_elsewhere(auto_map: object) -> str | None:
    """The other repository of `org/name--module.Class`."""
    named = json.dumps(auto_map if isinstance(auto_map, dict) else {})
    found = re.search(r'"([^"]+)--[^"]+"', named)
    return found[1] if found else None


def _model_types() -> frozenset[str]:
    """Model types that the installed transformers knows, asked in a subprocess: the host imports no engine."""
    code = "import json; from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES as names; "
    done = subprocess.run(
        [sys.executable, "-c", code + "print(json.dumps(list(names)))"], capture_output=True, text=True, check=False
    )
    # Without transformers nothing is known here; the launcher says so in its own words.
    return frozenset(json.loads(done.stdout)) if done.returncode == 0 else frozenset()
