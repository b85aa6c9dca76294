"""Speed of the pytorch backend against a bare transformers script with the same settings.

python tests/bench/backend_speed.py [--model builtin:tiny-llama|builtin:smollm2-135m|FOLDER] [--json]

Both answer the same prompts with models of their own, in interleaved pairs (which of the two is first changes from
pair to pair, so that a machine that slows down treats them alike). Reported is the ratio of their tokens/s, backend
over bare, as the geometric mean over the pairs with its 95 % interval (Student's t on the logarithms).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from interleaved import interval, pairs, sentence
from model_folder import model_folder

INPUT_TOKENS, TARGET = (8, 24, 64), 0.98


def main() -> None:
    """Measure and report; the ratio's target is 0.98."""
    arguments = _arguments()
    with TemporaryDirectory() as made:
        folder = model_folder(arguments.model, Path(made))
        backend, prompts = _backend(folder, arguments)
        bare = _bare(folder, arguments)
        expected = [output.token_ids for output in backend.generate(prompts, lambda _new: None)]
        if [tuple(answer) for answer in bare(prompts)] != expected:
            raise SystemExit("the two did not answer alike: their speeds cannot be compared")
        ratios, rate = pairs(
            lambda: backend.generate(prompts, lambda _new: None),
            lambda: bare(prompts),
            arguments.pairs,
            sum(len(answer) for answer in expected),
        )
        backend.unload()
    report = {"model": arguments.model, "batch_size": arguments.batch_size, "pairs": arguments.pairs, **rate}
    report |= interval(ratios)
    if arguments.json:
        print(json.dumps(report))
        return
    print(sentence(report, f"batch {arguments.batch_size}", "the bare script", TARGET))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="builtin:tiny-llama")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--output-tokens", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _backend(folder: Path, arguments: argparse.Namespace) -> tuple[Any, list[list[int]]]:
    from llem_runner.backends.registry import open_backend
    from llem_runner.contract import ExperimentConfig
    from llem_runner.contract.exchange import SyntheticRecipe
    from llem_runner.workload.synthetic import synthetic_prompts

    config = ExperimentConfig.model_validate(
        {
            "model": str(folder),
            "precision": arguments.precision,
            "max_output_tokens": arguments.output_tokens,
            "pytorch": {"batch_size": arguments.batch_size},
        }
    )
    backend = open_backend("pytorch")
    backend.load(config, str(folder), None, gpu_count=0)
    recipe = SyntheticRecipe(seed=1, input_len=max(INPUT_TOKENS), output_len=1, n=arguments.prompts)
    longest = synthetic_prompts(recipe, backend.vocabulary())
    return backend, [prompt[: INPUT_TOKENS[index % len(INPUT_TOKENS)]] for index, prompt in enumerate(longest)]


def _bare(folder: Path, arguments: argparse.Namespace) -> Callable[[Sequence[Sequence[int]]], list[list[int]]]:
    """What somebody would write without llem: pad left, generate, cut at the stop token."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[arguments.precision]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    stop = tokenizer.eos_token_id

    def answer(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        answers = []
        for start in range(0, len(prompts), arguments.batch_size):
            batch = tokenizer.pad({"input_ids": prompts[start : start + arguments.batch_size]}, return_tensors="pt")
            rows = model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=arguments.output_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
            for row in rows[:, batch["input_ids"].shape[1] :].tolist():
                answers.append(row[: row.index(stop) + 1] if stop in row else row)
        return answers

    return answer


if __name__ == "__main__":
    main()
