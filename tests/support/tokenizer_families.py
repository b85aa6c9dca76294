"""Small tokenizers of the families that models use, each as a model folder without weights, trained on the spot.

| family | like | around a text it puts |
|---|---|---|
| `byte_level_bpe` | GPT-2, SmolLM2 | nothing |
| `metaspace_bpe` | Llama 2, as a `tokenizer.json` | `<s>` before |
| `sentencepiece_llama` | Llama 2, as a `tokenizer.model`, which transformers converts | `<s>` before |
| `unigram` | T5 | `</s>` after |
| `wordpiece` | BERT | `[CLS]` before and `[SEP]` after |
| `bytes_without_rust` | ByT5: one of those that are Python alone | `</s>` after |
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

MODEL_VOCABULARY = 700
"""More ids than any of the tokenizers has, as models have."""

_TEXT = (
    "The energy of a computation is the power that it draws, added up over the time that it takes.",
    "Eine Brücke über den Fluß ist größer als zwölf Häuser.",
    "世界は広い。こんにちは世界",
    "שלום עולם مرحبا بالعالم",
    "def f(x): return x + 1\n\n",
    "A train leaves the station at 10:45 and travels 120 kilometres.",
)
_USER = "{% for message in messages %}[INST] {{ message['content'] }} [/INST]{% endfor %}"
_LLAMA_NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}

HOSTILE_TEXTS = {
    "blank": " ",
    "white space": "\n\t  \n",
    "spaces around": "  leading and  double   spaces ",
    "nul": "a\x00b",
    "control characters": "\x07\x1b[31mred\x7f",
    "joined emoji": "👩‍👩‍👧‍👦 and 🏳️‍🌈",
    "one emoji": "😀",
    "chinese and japanese": "世界は広い。" * 8,
    "right to left": "שלום עולם, مرحبا بالعالم",
    "combining marks": "e\u0301" * 30,
    "compatibility characters": "ﬁ ﬂ ① ½ ﷺ",
    "invisible": "\u200b\u200d\ufeff",
    "long without spaces": "x" * 500,
    "digits": "1234567890" * 10,
    "special tokens spelled out": "hi </s> there <s>[INST] [CLS][SEP] <|endoftext|>",
    "a special token alone": "</s>",
}
"""By what is nasty about them. All of them are text that a dataset may hold, and most that a user may write."""


def make_families(folder: Path) -> dict[str, Path]:
    """A folder for each family below `folder`, with its tokenizer and the configuration of a tiny Llama."""
    made = {}
    for name, make in _FAMILIES.items():
        made[name] = folder / name
        made[name].mkdir()
        make(made[name])
        _model_config().save_pretrained(made[name])
    return made


def _model_config() -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=MODEL_VOCABULARY,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=4096,
    )


def _byte_level_bpe(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    _train(tokenizer, trainers.BpeTrainer, 400, ["<|endoftext|>"], initial_alphabet=alphabet)
    _save(tokenizer, folder, _USER, bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def _metaspace_bpe(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    every_byte = [f"<0x{byte:02X}>" for byte in range(256)]
    _train(tokenizer, trainers.BpeTrainer, 600, ["<unk>", "<s>", "</s>", *every_byte])
    _surround(tokenizer, "<s> $A")
    _save(tokenizer, folder, "{{ bos_token }}" + _USER, **_LLAMA_NAMES)


def _sentencepiece_llama(folder: Path) -> None:
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_TEXT),
        model_writer=written,
        model_type="bpe",
        vocab_size=400,
        hard_vocab_limit=False,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(written.getvalue())
    settings = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
        "legacy": False,
        "chat_template": "{{ bos_token }}" + _USER,
        **_LLAMA_NAMES,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _unigram(folder: Path) -> None:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    _train(tokenizer, trainers.UnigramTrainer, 300, ["<pad>", "</s>", "<unk>"], unk_token="<unk>")
    _surround(tokenizer, "$A </s>")
    _save(tokenizer, folder, _USER + "{{ eos_token }}", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")


def _wordpiece(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    _train(tokenizer, trainers.WordPieceTrainer, 300, ["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    _surround(tokenizer, "[CLS] $A [SEP]")
    _save(tokenizer, folder, "[CLS]" + _USER, cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]")


def _bytes_without_rust(folder: Path) -> None:
    from transformers import ByT5Tokenizer

    tokenizer = ByT5Tokenizer(extra_ids=0)
    tokenizer.chat_template = _USER
    tokenizer.save_pretrained(folder)


_FAMILIES = {
    "byte_level_bpe": _byte_level_bpe,
    "metaspace_bpe": _metaspace_bpe,
    "sentencepiece_llama": _sentencepiece_llama,
    "unigram": _unigram,
    "wordpiece": _wordpiece,
    "bytes_without_rust": _bytes_without_rust,
}
FAMILIES = tuple(_FAMILIES)


def _train(tokenizer: Any, trainer: Any, vocabulary: int, special: list[str], **settings: Any) -> None:
    made = trainer(vocab_size=vocabulary, special_tokens=special, show_progress=False, **settings)
    tokenizer.train_from_iterator(_TEXT, made)


def _surround(tokenizer: Any, template: str) -> None:
    special = [(word, tokenizer.token_to_id(word)) for word in template.split() if word != "$A"]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)


def _save(tokenizer: Any, folder: Path, chat_template: str, **special: str) -> None:
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=chat_template, **special).save_pretrained(folder)
