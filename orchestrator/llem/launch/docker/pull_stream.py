"""One pull as the engine does it, line by line, on a connection of its own that another thread can end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from llem.launch.docker.credentials import quiet_helpers
from llem.launch.docker.pull_faults import ENGINE_GONE


class PullRefused(Exception):
    """The engine did not pull the image; the message is what it said."""


class PullStream:
    """A pull. Ending it, or closing the connection in any way, makes the engine give it up."""

    def __init__(self, image: str, api_version: str) -> None:
        self._image = image
        self._api_version = api_version
        self._ended_because = ""
        self._response: Any = None

    def lines(self) -> Iterator[Mapping[str, Any]]:
        """What the engine says, as it comes. Raises PullRefused.

        Credentials are those that docker's own client would use: of its configuration, or of a helper that it names.
        """
        import docker
        import requests
        import urllib3

        try:
            quiet_helpers()
            with docker.from_env(version=self._api_version).api as client:
                client.hooks["response"].append(self._keep)
                for line in client.pull(self._image, stream=True, decode=True):
                    if said := line.get("error"):
                        raise PullRefused(str((line.get("errorDetail") or {}).get("message") or said))
                    yield line
        except docker.errors.APIError as error:
            raise PullRefused(str(error.explanation or error)) from error
        except docker.errors.DockerException as error:
            # A helper for credentials that failed.
            raise PullRefused(str(error)) from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # ValueError: an answer that was cut within a line of JSON.
            raise PullRefused(self._ended_because or f"{ENGINE_GONE} ({error or type(error).__name__})") from error
        finally:
            # A pull that is refused in the middle leaves an answer that nobody has read to its end.
            if self._response is not None:
                self._response.close()
        if self._ended_because:
            raise PullRefused(self._ended_because)

    def end(self, because: str) -> None:
        """End it from any thread, at once: `lines` raises PullRefused with these words."""
        self._ended_because = because
        self._shut()

    def _keep(self, response: Any, **_: Any) -> None:
        self._response = response
        if self._ended_because:
            self._shut()

    def _shut(self) -> None:
        if self._response is not None:
            # It may be over already, and its connection given back.
            with suppress(ValueError, RuntimeError, OSError):
                self._response.raw.shutdown()
