"""A private Docker engine for tests: no system service, no registry of images, no GPU. See ../README.md."""

from .daemon import Daemon
from .engine import BASE_IMAGE, PYTORCH_IMAGE, REPOSITORY, VLLM_IMAGE, Engine
from .errors import EngineError, EngineImpossible
from .gpus import ENVIRONMENT_VARIABLE, LIBRARY_VARIABLE, SimulatedGpus
from .images import wheels_image

__all__ = [
    "BASE_IMAGE",
    "ENVIRONMENT_VARIABLE",
    "LIBRARY_VARIABLE",
    "PYTORCH_IMAGE",
    "REPOSITORY",
    "VLLM_IMAGE",
    "Daemon",
    "Engine",
    "EngineError",
    "EngineImpossible",
    "SimulatedGpus",
    "wheels_image",
]
