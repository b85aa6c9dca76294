"""Text → token ids, the same for every backend: encoded, truncated with the head kept, formatted as chat where asked.

Engines get these ids and never the text, so that all of them answer exactly the same input.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, Literal

from llem_runner.contract import ExperimentConfig, FailureKind, RunFailed
from llem_runner.workload.model_failure import model_failure

TODAY = date(2024, 7, 26)
"""What a chat template that writes the date is told: runs of tomorrow ask what those of today asked. It is the date
that Llama's own templates fall back to."""


def load_tokenizer(model_path: str, revision: str | None, trust_remote_code: bool) -> Any:
    """The model's own tokenizer (transformers). Raises `RunFailed` of kind model."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            model_path,
            revision=revision,
            trust_remote_code=trust_remote_code,
            # Left open, it is Mistral's own tokenizer where mistral-common happens to be installed: vLLM brings it,
            # PyTorch does not.
            mistral_format=False,
        )
    except RunFailed:
        raise
    except Exception as error:
        raise model_failure("Loading the tokenizer of", model_path, error) from error


class PromptEncoder:
    """Encodes prompts as one experiment asks.

    `raw`: the tokenizer's own special tokens around the text; all of it is at most `max_input_tokens` long.
    `chat`: the text alone is cut to `max_input_tokens`, then put into the model's chat template, which brings its
    own special tokens (and the only beginning-of-sequence token).
    """

    def __init__(
        self, tokenizer: Any, prompt_format: Literal["raw", "chat"], max_input_tokens: int, vocabulary_size: int
    ) -> None:
        if prompt_format == "chat" and not tokenizer.chat_template:
            raise RunFailed(
                FailureKind.MODEL,
                f"{tokenizer.name_or_path} has no chat template; use prompt_format: raw or another model.",
            )
        self._tokenizer = tokenizer
        self._prompt_format = prompt_format
        self._max_input_tokens = max_input_tokens
        self._vocabulary_size = vocabulary_size

    @classmethod
    def for_experiment(cls, tokenizer: Any, config: ExperimentConfig, model_config: Any) -> PromptEncoder:
        """The encoder of `config` for the model that transformers describes by `model_config`.

        Raises `RunFailed` of kind model where chat is asked of a model without template.
        """
        return cls(tokenizer, config.prompt_format, config.max_input_tokens, vocabulary_size_of(model_config))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, in order.

        Raises `RunFailed` of kind inference for a text without any token, of kind model where the tokenizer and the
        model do not fit each other, or the limit leaves no room for what the tokenizer adds.
        """
        encode_one = self._chat if self._prompt_format == "chat" else self._raw
        encoded = [encode_one(text) for text in texts]
        for number, ids in enumerate(encoded, start=1):
            self._check(number, ids)
        return encoded

    def _check(self, number: int, ids: Sequence[int]) -> None:
        if not ids:
            raise RunFailed(
                FailureKind.INFERENCE,
                f"Prompt {number} has no tokens with this model's tokenizer: take it out of the dataset, or raise "
                "max_input_tokens.",
            )
        if max(ids) >= self._vocabulary_size:
            # Engines differ in what they make of it: vLLM refuses the request, a GPU kernel ends the process.
            raise RunFailed(
                FailureKind.MODEL,
                f"Prompt {number} has token {max(ids)}, and the model knows {self._vocabulary_size}: the tokenizer of "
                f"{self._tokenizer.name_or_path} is another model's, or tokens were added to it alone.",
            )

    def _raw(self, text: str) -> list[int]:
        added = self._tokenizer.num_special_tokens_to_add()
        if self._max_input_tokens < added:
            # transformers would leave the prompt at its whole length.
            raise RunFailed(
                FailureKind.MODEL,
                f"max_input_tokens is {self._max_input_tokens}, but the tokenizer of {self._tokenizer.name_or_path} "
                f"adds {added} tokens to every prompt: raise it.",
            )
        # Some models configure truncation that keeps the tail; every backend keeps the head.
        self._tokenizer.truncation_side = "right"
        return list(self._tokenizer(text, truncation=True, max_length=self._max_input_tokens)["input_ids"])

    def _chat(self, text: str) -> list[int]:
        messages = [{"role": "user", "content": self._head(text)}]
        try:
            rendered = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, strftime_now=TODAY.strftime
            )
        except RunFailed:
            raise
        except Exception as error:
            raise model_failure("Applying the chat template of", self._tokenizer.name_or_path, error) from error
        return self._plain(rendered)

    def _head(self, text: str) -> str:
        """The head of `text`, cut at a token's end, that is at most `max_input_tokens` tokens long."""
        limit = self._max_input_tokens
        ids = self._plain(text)
        if len(ids) <= limit:
            return text
        if self._tokenizer.is_fast:
            encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            head = text[: max(end for _, end in encoded["offset_mapping"][:limit])]
        else:
            end = bisect_right(range(len(text) + 1), limit, key=lambda end: len(self._plain(text[:end])))
            head = text[: max(0, end - 1)]
        # A token may end inside a character, and a head alone may tokenise differently from the same head in the whole.
        while head and len(self._plain(head)) > limit:
            head = head[:-1]
        return head

    def _plain(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def vocabulary_size_of(model_config: Any) -> int:
    """How many token ids a model knows, by its configuration (transformers)."""
    return int(model_config.get_text_config(decoder=True).vocab_size)


def ordinary_token_ids(tokenizer: Any, model_config: Any, stop_token_ids: Collection[int]) -> list[int]:
    """Ids that the model knows and that stand for text: no special, added or stop tokens."""
    vocabulary_size = vocabulary_size_of(model_config)
    excluded = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder, *stop_token_ids}
    return sorted(
        token_id
        for token_id in tokenizer.get_vocab().values()
        if token_id < vocabulary_size and token_id not in excluded
    )
