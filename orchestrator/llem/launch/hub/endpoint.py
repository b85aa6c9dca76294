"""Which Hub is asked, and how to name it in a message: an address may hold a password."""

from __future__ import annotations

from urllib.parse import urlsplit


def address() -> str:
    """Where people go for a model's page."""
    from huggingface_hub import constants

    parts = urlsplit(constants.ENDPOINT)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def host() -> str:
    """Its host, and its port where it names one."""
    return urlsplit(address()).netloc


def has_token() -> bool:
    """Whether a token goes with requests: HF_TOKEN, or what `hf auth login` kept."""
    from huggingface_hub import get_token

    return get_token() is not None
