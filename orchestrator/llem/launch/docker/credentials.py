"""Logins at registries, as docker's own client has them: of its configuration, or of a helper that it names."""

from __future__ import annotations

import warnings


def quiet_helpers() -> None:
    """Of a credential helper that is not there an error tells people: the SDK's warning beside it would not."""
    warnings.filterwarnings("ignore", message="docker-credential-", category=UserWarning)


def login_at(registry: str) -> tuple[str, str] | None:
    """User and password; None where there is no login, or one by a token. Raises DockerException of a helper."""
    import docker

    quiet_helpers()
    found = docker.auth.load_config().resolve_authconfig(registry) or {}
    lower = {str(key).lower(): value for key, value in found.items()}
    return (lower["username"], lower["password"]) if lower.get("username") and lower.get("password") else None
