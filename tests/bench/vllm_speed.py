"""What the instrumentation of the vllm backend costs: its tokens/s against `vllm bench throughput` doing the same work.

python tests/bench/vllm_speed.py [--model builtin:smollm2-135m|builtin:tiny-llama|FOLDER] [--pairs 20] [--json]

One engine (the backend's, whose arguments are those of a bare one but for methods added to its workers), asked in
turn by the backend, as in a run (progress, times of each token of each request), and by the function with which `vllm
bench throughput` (of the installed vLLM) makes and times its requests, our look at the engine's statistics taken
away. The same prompts as token ids, the same sampling, the same number of tokens. Two engines on one machine would
differ by where each has its memory and threads. In interleaved pairs; reported is the ratio of their tokens/s as the
geometric mean with its 95 % interval.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from interleaved import interval, pairs, sentence
from model_folder import model_folder

TARGET = 0.99
INPUT_TOKENS = 32
CACHE_BYTES = 512 * 2**20
"""On a CPU vLLM would take nearly all of the memory."""


def main() -> None:
    """Measure and report; the ratio's target is 0.99."""
    arguments = _arguments()
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    with TemporaryDirectory() as made, contextlib.ExitStack() as loaded:
        folder = model_folder(arguments.model, Path(made))
        backend = _backend(folder, arguments)
        loaded.callback(backend.unload)
        prompts = _prompts(backend, arguments)
        bare = _bare(backend, prompts, arguments.output_tokens)

        def ours() -> int:
            backend.reset_prefix_cache()
            return sum(len(output.token_ids) for output in backend.generate(prompts, lambda _new: None))

        tokens = arguments.prompts * arguments.output_tokens
        if [ours(), bare()] != [tokens, tokens]:
            raise SystemExit("the two did not make as many tokens: their speeds cannot be compared")
        ratios, rates = pairs(ours, bare, arguments.pairs, tokens)
    report = {"model": arguments.model, "requests": arguments.prompts, "pairs": arguments.pairs, **rates}
    report |= interval(ratios)
    if arguments.json:
        print(json.dumps(report))
        return
    print(sentence(report, f"{arguments.prompts} requests", "vllm bench throughput", TARGET))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="builtin:smollm2-135m")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--output-tokens", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _engine(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "max_num_seqs": arguments.prompts,
        "max_model_len": INPUT_TOKENS + arguments.output_tokens,
        "enforce_eager": True,
        "kv_cache_memory_bytes": CACHE_BYTES,
    }


def _backend(folder: Path, arguments: argparse.Namespace) -> Any:
    from llem_runner.backends.registry import open_backend
    from llem_runner.contract import ExperimentConfig

    config = ExperimentConfig.model_validate(
        {
            "model": str(folder),
            "backend": "vllm",
            "precision": "fp32",
            "max_output_tokens": arguments.output_tokens,
            "output_length": "fixed",
            "decoder": {"do_sample": True, "temperature": 1.0, "top_p": 1.0},
            "vllm": {"engine": _engine(arguments)},
        }
    )
    backend = open_backend("vllm")
    backend.load(config, str(folder), None, gpu_count=0)
    return backend


def _prompts(backend: Any, arguments: argparse.Namespace) -> list[list[int]]:
    from llem_runner.contract.exchange import SyntheticRecipe
    from llem_runner.workload.synthetic import synthetic_prompts

    recipe = SyntheticRecipe(seed=1, input_len=INPUT_TOKENS, output_len=1, n=arguments.prompts)
    return [list(prompt) for prompt in synthetic_prompts(recipe, backend.vocabulary())]


def _bare(backend: Any, prompts: list[list[int]], output_tokens: int) -> Callable[[], int]:
    """`vllm bench throughput` on the backend's engine. Its own clock is not used: both sides are timed from outside."""
    from vllm.benchmarks import throughput
    from vllm.benchmarks.datasets import SampleRequest

    generator = backend._loaded.generator
    loggers = generator.llm.llm_engine.logger_manager.stat_loggers
    requests = [SampleRequest({"prompt_token_ids": prompt}, len(prompt), output_tokens) for prompt in prompts]

    def answer() -> int:
        loggers.remove(generator.progress)
        try:
            backend.reset_prefix_cache()
            with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
                _, outputs = throughput._run_vllm_requests(
                    generator.llm,
                    requests,
                    1,
                    disable_detokenize=False,
                    do_profile=False,
                    prequeue_requests=False,
                    enable_lora=False,
                )
        finally:
            loggers.append(generator.progress)
        return sum(len(output.outputs[0].token_ids) for output in outputs)

    return answer


if __name__ == "__main__":
    main()
