"""What a look inside an image says of it (`llem_runner/image_look.py`). Pure.

It comes from a container, that is from a stranger: nothing is believed that does not look as it must.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from llem.launch.strangers_json import Version, printable_only, read_record
from llem_runner.contract.strict import Record

_Words = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(printable_only)]
_Path = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(printable_only)]
_Package = Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9_-]+$")]
_Packages = Annotated[dict[_Package, Version], Field(max_length=64)]
_Paths = Annotated[tuple[_Path, ...], Field(strict=False, max_length=64)]


class _Strict(Record):
    model_config = ConfigDict(strict=True)


class ImageFacts(_Strict):
    """What holds of an image wherever it runs, as user `uid` sees it."""

    look_version: int
    uid: int = Field(ge=0)
    """Files that only somebody else may read are not there for whom a run is."""
    python: Version
    python_path: _Path | None
    other_pythons: _Paths
    """Newer ones on its PATH, which have names like `python3.12`."""
    implementation: _Words
    """`cpython`, or another Python."""
    machine: _Words
    """The processor's family, as the kernel says it inside: `x86_64`, `aarch64`."""
    libc: _Words | None
    packages: _Packages
    """Versions of those of the packages that matter which are installed; none was imported."""
    torch_cuda: Version | None
    """The CUDA that torch was built for (`12.8`); None for a build without, and without torch."""
    torch_rocm: Version | None
    pynvml: bool
    """Whether it can be imported: the mounted one is."""
    unreadable: _Paths
    """Folders of Python packages that this user may not read."""
    closed_path: _Paths
    """Folders of its PATH that this user may not look into: another python3 may be there."""
    c_compiler: _Path | None
    cxx_compiler: _Path | None
    python_headers: bool
    """Whether `Python.h` is there, which code that is compiled on the spot includes."""


class ImageLook(_Strict):
    """All that a look says: of the image, and of the container that it was made in."""

    image: ImageFacts
    unwritable: _Paths
    """Folders that a run has to write to and could not."""
    noexec: _Paths
    """Folders that libraries are compiled into and could not be loaded from."""


def read_image_look(record: Any) -> ImageLook:
    """The look's JSON value, checked. Raises ValueError with the reason where it is not what a look writes."""
    return read_record(ImageLook, record)
