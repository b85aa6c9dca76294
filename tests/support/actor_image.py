"""Images for tests: the pytorch image with small changes, made by the engine's own builder from a context in memory."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docker_engine.engine import PYTORCH_IMAGE
from results_factory import result_record

_ACTOR = Path(__file__).parent / "actor"
ACTOR_IMAGE = "llem-test-actor:latest"


def built(client: Any, tag: str, dockerfile: str, files: Mapping[str, str | bytes] | None = None) -> str:
    """Build an image from a Dockerfile and the files it copies; its tag.

    On our own image root does it, and is whom the new one runs as: our image's user may change nothing.
    """
    ours = rf"^( *FROM {re.escape(PYTORCH_IMAGE)}( AS \w+)?)$"
    dockerfile = re.sub(ours, r"\1\nUSER 0:0", dockerfile, flags=re.MULTILINE)
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, content in {"Dockerfile": dockerfile, **(files or {})}.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=tag, network_mode="none", rm=True, forcerm=True)
    return tag


def actor_image(client: Any) -> str:
    """An image whose `python3` plays what the experiment's `passthrough_kwargs.act` says (see actor/play.py)."""
    dockerfile = f"""
        FROM {PYTORCH_IMAGE}
        COPY python3 /usr/local/bin/python3
        COPY play.py result.json /usr/local/lib/actor/
        ENV PATH=/usr/local/bin:/opt/engine/bin:/usr/bin:/bin
    """
    return built(client, ACTOR_IMAGE, dockerfile, actor_files())


def actor_files() -> dict[str, str]:
    """What such an image copies."""
    files = {name: (_ACTOR / name).read_text() for name in ("python3", "play.py")}
    return {**files, "result.json": json.dumps(result_record())}
