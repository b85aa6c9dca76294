"""Images that lack something, each made from another one in seconds: what people's own images may be like."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actor_image import built
from docker_engine.engine import PYTORCH_IMAGE

PREFIX = "llem-verify-"
_SITE = "/opt/engine/lib/python3.11/site-packages"
_BASE = "llem-base:bookworm"

NO_PYDANTIC = f"FROM {PYTORCH_IMAGE}\nRUN rm -rf {_SITE}/pydantic {_SITE}/pydantic-*.dist-info"
NO_PYDANTIC_AND_ROOTS_TORCH = f"{NO_PYDANTIC}\nRUN chmod 700 {_SITE}/torch"
OLD_PYDANTIC = f"""
    FROM {PYTORCH_IMAGE}
    COPY pydantic.whl /
    RUN rm -rf {_SITE}/pydantic {_SITE}/pydantic-*.dist-info && python3 -m zipfile -e /pydantic.whl {_SITE}
"""
# Its metadata say so; the package itself is the new one.
OLD_TRANSFORMERS = f"FROM {PYTORCH_IMAGE}\nRUN sed -i 's/^Version: .*/Version: 4.40.1/' {_SITE}/transformers-*/METADATA"
ENTRYPOINT = f'FROM {PYTORCH_IMAGE}\nENTRYPOINT ["/bin/false"]\nCMD ["never"]\nUSER root'
ROOTS_PACKAGES = f"FROM {PYTORCH_IMAGE}\nRUN chmod 700 {_SITE}/pydantic {_SITE}/pydantic-*.dist-info"
ROOTS_PYTHON = f"""
    FROM {_BASE}
    RUN mkdir /root/bin && mv /usr/bin/python3 /usr/bin/python3.11 /root/bin
    ENV PATH=/root/bin:/usr/bin:/bin
"""
OTHER_NAME = f"FROM {_BASE}\nRUN rm /usr/bin/python3"
# A real Python of another version: PyPy, as Debian has it.
PYPY = f"""
    FROM {_BASE}
    ADD pypy3.tar pypy3-lib.tar /
    RUN ln -s /usr/bin/pypy3 /usr/local/bin/python3
"""


@contextmanager
def variant(client: Any, name: str, dockerfile: str, files: dict[str, str | bytes] | None = None) -> Iterator[str]:
    """An image of this Dockerfile; its tag. Gone afterwards."""
    tag = built(client, f"{PREFIX}{name}:latest", dockerfile, files)
    try:
        yield tag
    finally:
        client.images.remove(tag, force=True)


@contextmanager
def foreign(client: Any) -> Iterator[str]:
    """An image for another kind of machine, with the head of a program for it as its python3; its tag."""
    architecture, code = ("amd64", 62) if platform.machine() == "aarch64" else ("arm64", 183)
    # As much of an ELF program as a kernel reads to see that it is none of its own.
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, code, 1) + bytes(40)
    tag = f"{PREFIX}foreign:latest"
    client.images.load(_saved(tag, architecture, _tar({"usr/bin/python3": head})))
    try:
        yield tag
    finally:
        client.images.remove(tag, force=True)


def old_pydantic(folder: Path) -> dict[str, str | bytes]:
    """The last pydantic of the old contract of its own, from the package index."""
    wanted = ["pydantic==1.10.26", "--dest", str(folder), "--python-version", "3.11", "--only-binary", ":all:"]
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", *wanted], check=True)
    (wheel,) = folder.glob("pydantic-*.whl")
    return {"pydantic.whl": wheel.read_bytes()}


def pypy(folder: Path) -> dict[str, str | bytes]:
    """Debian's PyPy, unpacked as its packages are."""
    packages = ("pypy3", "pypy3-lib")
    download = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages]
    subprocess.run(download, cwd=folder, check=True, capture_output=True)
    tars = {name: next(folder.glob(f"{name}_*.deb")) for name in packages}
    return {
        f"{name}.tar": subprocess.run(["dpkg", "--fsys-tarfile", str(deb)], check=True, capture_output=True).stdout
        for name, deb in tars.items()
    }


def _saved(tag: str, architecture: str, layer: bytes) -> bytes:
    """What `docker save` would write of an image of one layer."""
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config), "manifest.json": json.dumps(manifest)}
    return _tar({"layer.tar": layer, **{name: text.encode() for name, text in files.items()}})


def _tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
