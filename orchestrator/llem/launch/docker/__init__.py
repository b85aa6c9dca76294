"""Runs in containers, driven by Docker's SDK: one container a run, started, waited for, read and removed by us.

engine.py      the connection: facts of the engine, and every call with a time-out and an error in our words
request.py     what a run's container is, as the engine's API wants it (pure)
folders.py     what a container is shown of the host: the runner, the model, the cache
image_names.py what images are called, those that nobody named among them (pure)
images.py      which image a backend's runs are made from
pull.py        images that are missing are pulled: pull_one.py (retries), pull_stream.py (the engine's words),
               pull_layers.py (how far), pull_faults.py (why not), registry.py and disk_space.py (is there room)
image_recipe.py   how the images of images/ are built: arguments, labels, names (pure)
docker_command.py Docker's own command, for what the SDK cannot do: builds, attestations
removal.py     removing what strangers have filled
image_check.py whether runs can be made from an image: looked at once, and kept; image_verify.py without any study
verdict.py     what was found in an image (image_facts, image_findings, image_start, engine_versions: pure)
known_images.py what is known of images, in the user's cache
probe.py       a look around inside, before the first run: Python, the runner, the folder, the GPUs
gpu_access.py  which GPUs containers may have, and how the engine is asked for them (pure)
mounts.py      whether what a container is to be shown can be shown
inside.py      requests and looks around, as one engine does them for one caller
patience.py    for an engine that went away and may come back
container.py   one container from its creation to its removal
leftovers.py   containers of hosts that died
ready.py       what fails before the first run, in words
stock.py       the images on the engine, without any study
launcher.py    all of it, as the loop sees it
"""

from llem.launch.docker.docker_command import docker, why_not_attested
from llem.launch.docker.folders import remove_working_folders
from llem.launch.docker.image_check import ImageReport
from llem.launch.docker.image_names import default_image, published_image, variant_of
from llem.launch.docker.image_recipe import Recipe, Revision, Variant, published_name, with_what_they_are_built_on
from llem.launch.docker.image_verify import check_images
from llem.launch.docker.images import has_image
from llem.launch.docker.launcher import DockerLauncher
from llem.launch.docker.patience import Patience
from llem.launch.docker.pull import Progress, PullPolicy, WantedImage
from llem.launch.docker.request import ContainerSettings
from llem.launch.docker.stock import images_there, pull_images

__all__ = [
    "ContainerSettings",
    "DockerLauncher",
    "ImageReport",
    "Patience",
    "Progress",
    "PullPolicy",
    "Recipe",
    "Revision",
    "Variant",
    "WantedImage",
    "check_images",
    "default_image",
    "docker",
    "has_image",
    "images_there",
    "published_image",
    "published_name",
    "pull_images",
    "remove_working_folders",
    "variant_of",
    "why_not_attested",
    "with_what_they_are_built_on",
]
