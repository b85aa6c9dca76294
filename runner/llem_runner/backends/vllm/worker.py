"""Questions that only a worker of vLLM can answer: it holds the model. vLLM mixes `Extension` into its workers."""

from __future__ import annotations

from typing import Any


class Extension:
    """Asked by `LLM.collective_rpc` with a method's name; the names are ours, none of the worker's is hidden."""

    def llem_model(self) -> dict[str, Any]:
        """Bytes of the weights on this worker, and their devices."""
        parameters = list(self.model_runner.get_model().parameters())  # type: ignore[attr-defined]
        return {
            "bytes": sum(each.numel() * each.element_size() for each in parameters),
            "devices": sorted({str(each.device) for each in parameters}),
        }

    def llem_synchronize(self) -> None:
        """Wait until this worker's GPU has done all that was asked of it."""
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def llem_reset_peak_memory(self) -> None:
        """Begin to count peak memory anew."""
        import torch

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def llem_peak_memory(self) -> int | None:
        """Peak bytes of torch's allocator since the reset; None on a CPU."""
        import torch

        return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else None
