"""Text → token ids, the same for every backend: encoded, truncated with the head kept, formatted as chat where asked.

Engines get these ids and never the text, so that all of them answer exactly the same input.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

from llem_runner.contract import ExperimentConfig, FailureKind, RunFailed
from llem_runner.workload.model_failure import model_failure


def load_tokenizer(model_path: str, revision: str | None, trust_remote_code: bool) -> Any:
    """The model's own tokenizer (transformers). Raises `RunFailed` of kind model."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model_path, revision=revision, trust_remote_code=trust_remote_code)
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

    def __init__(self, tokenizer: Any, prompt_format: Literal["raw", "chat"], max_input_tokens: int) -> None:
        if prompt_format == "chat" and not tokenizer.chat_template:
            raise RunFailed(
                FailureKind.MODEL,
                f"{tokenizer.name_or_path} has no chat template; use prompt_format: raw or another model.",
            )
        self._tokenizer = tokenizer
        self._prompt_format = prompt_format
        self._max_input_tokens = max_input_tokens

    @classmethod
    def for_experiment(cls, tokenizer: Any, config: ExperimentConfig) -> PromptEncoder:
        """The encoder of `config`. Raises `RunFailed` of kind model where chat is asked of a model without template."""
        return cls(tokenizer, config.prompt_format, config.max_input_tokens)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, in order. Raises `RunFailed` of kind inference for a text without any token."""
        encode_one = self._chat if self._prompt_format == "chat" else self._raw
        encoded = [encode_one(text) for text in texts]
        for index, ids in enumerate(encoded):
            if not ids:
                raise RunFailed(FailureKind.INFERENCE, f"Prompt {index + 1} has no tokens with this model's tokenizer.")
        return encoded

    def _raw(self, text: str) -> list[int]:
        # Some models configure truncation that keeps the tail; every backend keeps the head.
        self._tokenizer.truncation_side = "right"
        return list(self._tokenizer(text, truncation=True, max_length=self._max_input_tokens)["input_ids"])

    def _chat(self, text: str) -> list[int]:
        messages = [{"role": "user", "content": self._head(text)}]
        try:
            rendered = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
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
            head = str(self._tokenizer.decode(ids[:limit]))
        # A token may end inside a character, and a head alone may tokenise differently from the same head in the whole.
        while head and len(self._plain(head)) > limit:
            head = head[:-1]
        return head

    def _plain(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def ordinary_token_ids(tokenizer: Any, vocabulary_size: int, stop_token_ids: Collection[int]) -> list[int]:
    """Ids below `vocabulary_size` (the model's) that stand for text: no special, added or stop tokens."""
    excluded = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder, *stop_token_ids}
    return sorted(
        token_id
        for token_id in tokenizer.get_vocab().values()
        if token_id < vocabulary_size and token_id not in excluded
    )
