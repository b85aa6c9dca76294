"""Tokens a second with the recorder and without it, in pairs."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PAIRS = 40
TOKENS = 64


@dataclass(frozen=True)
class Slowdown:
    """Ratio of the tokens/s beside the recorder to those without: median, its 95 % interval, and tokens/s without."""

    ratio: float
    lower: float
    upper: float
    pairs: int
    tokens_per_s: float


def greedy_decoding(device: str, folder: Path) -> Callable[[], int]:
    """Something to call that decodes with llem's smallest model on `device`, and returns the tokens made.

    So small a model is bound by its kernels' launches: what disturbs the host shows here first.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from llem_runner.workload.tiny_llama import make_tiny_llama

    make_tiny_llama(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).to(device)
    prompt = torch.arange(3, 35, device=device).repeat(4, 1)

    def decode() -> int:
        made = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            min_new_tokens=TOKENS,
            max_new_tokens=TOKENS,
            do_sample=False,
            pad_token_id=0,
        )
        # Reading a value waits for the device.
        return int(made[:, prompt.shape[1] :].ne(-1).sum())

    return decode


def slowdown(decode: Callable[[], int], recorder_pid: int, pairs: int, rng: random.Random) -> Slowdown:
    """Which of a pair comes first is drawn. Without means that the recorder stands still."""
    decode()
    ratios, alone = [], []
    for _ in range(pairs):
        rates = {}
        for recorded in rng.sample([True, False], 2):
            os.kill(recorder_pid, signal.SIGCONT if recorded else signal.SIGSTOP)
            began_s = time.perf_counter()
            rates[recorded] = decode() / (time.perf_counter() - began_s)
        ratios.append(rates[True] / rates[False])
        alone.append(rates[False])
    os.kill(recorder_pid, signal.SIGCONT)
    ratios.sort()
    # The binomial interval of a median: a few pairs that something else disturbed do not matter.
    beside, middle = round(0.98 * len(ratios) ** 0.5), len(ratios) // 2
    lower, upper = ratios[max(0, middle - beside)], ratios[min(len(ratios) - 1, middle + beside)]
    return Slowdown(statistics.median(ratios), lower, upper, pairs, statistics.median(alone))
