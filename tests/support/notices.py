"""An observer that remembers what people are told."""

from __future__ import annotations

from llem.execution.observer import Observer


class Notices(Observer):
    """Remembers what people are told."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)
