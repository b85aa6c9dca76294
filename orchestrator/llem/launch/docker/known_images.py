"""What is known of images from looks inside them: one small file an image in the user's cache, by the image's id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from llem.atomic import write_atomically
from llem.errors import LlemError
from llem.launch.docker.image_facts import ImageFacts
from llem.launch.strangers_json import read_record
from llem.paths import cache_home
from llem_runner.image_look import LOOK_VERSION


@dataclass
class KnownImages:
    """`folder` None: `${XDG_CACHE_HOME:-~/.cache}/llem/images`. A cache that cannot be read or written is none."""

    folder: Path | None = None
    _new: dict[str, ImageFacts] = field(default_factory=dict)

    def get(self, image_id: str, uid: int) -> ImageFacts | None:
        """What was found in an image by user `uid`; None where nobody looked, or a file is not what it should be."""
        facts = self._new.get(image_id) or self._kept(image_id)
        return facts if facts and (facts.uid, facts.look_version) == (uid, LOOK_VERSION) else None

    def put(self, image_id: str, facts: ImageFacts) -> None:
        """Keep it."""
        if self._new.get(image_id) == facts:
            return
        self._new[image_id] = facts
        text = json.dumps({"image_id": image_id, "facts": facts.model_dump(mode="json")}, indent=1)
        with suppress(OSError, LlemError):
            path = self._path(image_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, lambda file: file.write(text.encode()))

    def _kept(self, image_id: str) -> ImageFacts | None:
        with suppress(OSError, ValueError, RecursionError, LlemError):
            kept = json.loads(self._path(image_id).read_bytes())
            if isinstance(kept, Mapping) and kept.get("image_id") == image_id:
                return read_record(ImageFacts, kept.get("facts"))
        return None

    def _path(self, image_id: str) -> Path:
        folder = self.folder or cache_home() / "llem" / "images"
        return folder / f"{image_id.removeprefix('sha256:')}.json"
