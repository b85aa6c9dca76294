"""Runs in containers, driven by Docker's SDK: one container a run, started, waited for, read and removed by us.

engine.py      the connection: facts of the engine, and every call with a time-out and an error in our words
request.py     what a run's container is, as the engine's API wants it (pure)
folders.py     what a container is shown of the host: the runner, the model, the cache
images.py      which image a backend's runs are made from
removal.py     removing what strangers have filled
image_check.py whether runs can be made from an image: looked at once, and kept
verdict.py     what was found in an image (image_facts, image_findings, image_start, engine_versions: pure)
known_images.py what is known of images, in the user's cache
probe.py       a look around inside, before the first run: Python, the runner, the folder, the GPUs
gpu_access.py  which GPUs containers may have, and how the engine is asked for them (pure)
mounts.py      whether what a container is to be shown can be shown
inside.py      requests and looks around, as one engine does them for one caller
patience.py    for an engine that went away and may come back
container.py   one container from its creation to its removal
leftovers.py   containers of hosts that died
launcher.py    all of it, as the loop sees it
"""

from llem.launch.docker.folders import remove_working_folders
from llem.launch.docker.images import default_image, has_image
from llem.launch.docker.launcher import DockerLauncher
from llem.launch.docker.patience import Patience
from llem.launch.docker.request import ContainerSettings

__all__ = ["ContainerSettings", "DockerLauncher", "Patience", "default_image", "has_image", "remove_working_folders"]
