"""`builtin:tiny-llama`: a Llama of 2 layers with random weights and a tokenizer trained on the text below.

Made from a seed in about a second, it behaves like any model folder: byte-level BPE, chat template, stop token. It
tests and demonstrates the way of a run; it says nothing sensible.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SEED = 20_240_607
VOCABULARY_SIZE = 512
BEGIN, END, USER, ASSISTANT = "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"
SPECIAL_TOKENS = (BEGIN, END, USER, ASSISTANT)

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>{% else %}<|user|>{% endif %}"
    "{{ message['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

_TEXT = (
    "The energy of a computation is the power that it draws, added up over the time that it takes.",
    "A language model reads a prompt, token by token, and answers with the token that it finds most likely next.",
    "What is the temperature of the sea in the north, and how does it change from one season to another?",
    "There are many ways to measure; the better ones say how wrong their own number may be.",
    "When several requests are answered at once, the weights are read from memory once for all of them.",
    "She walked along the river in the morning, counted the bridges, and wrote their names into a small book.",
    "Please list the first ten prime numbers, and explain why one is not among them.",
    "In the beginning of the story the captain of the ship has lost his map, and nobody else can read the stars.",
    "Water boils at a lower temperature on a mountain, because the pressure of the air is lower there.",
    "def count(words): return {word: words.count(word) for word in set(words)}",
    "A train leaves the station at 10:45 and travels 120 kilometres in an hour and a half.",
    "Write a short letter to the owner of the house, and ask whether the garden may be used in the summer.",
)


def make_tiny_llama(folder: Path) -> None:
    """Write the model into `folder` (created if missing): the same bytes each time with the same packages."""
    import torch
    from transformers import LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    # The global generators stay as they were: making a model must not change what a seeded run draws.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = LlamaForCausalLM(_model_config(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _model_config(tokenizer: Any) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=False,
    )


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
