"""How the test engine fails, in words for whoever asked for it."""

from __future__ import annotations


class EngineError(Exception):
    """The engine, or an image on it, could not be made; the message says what failed and what it said."""


class EngineImpossible(EngineError):
    """This machine cannot have the engine at all: no root, no namespaces, or no Debian packages."""
