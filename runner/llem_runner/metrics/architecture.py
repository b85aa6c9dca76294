"""A model's configuration → the sizes of its matrices, for the families of which they are known exactly. Pure.

The names are those of `config.json`, as transformers writes and completes it. A family, or a feature of one, that is
not known raises `Uncountable`: no number is better than a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

Config = Mapping[str, Any]


class Uncountable(Exception):
    """Why the work of a model cannot be counted."""


@dataclass(frozen=True)
class Layer:
    """One decoder layer. Elements are those of its matrices; biases and norms are left out.

    `active`: of the matrices that one token is multiplied with (of the experts only those that are chosen for it).
    `stored`: of all that lie in memory. `pair_width`: multiply-adds for one query that looks at one key, heads × (width
    of a key + width of a value). `window`: how many keys a query sees at most; None is all of them.
    """

    active: int
    stored: int
    pair_width: int
    window: int | None = None


@dataclass(frozen=True)
class Shape:
    """All matrices of a model. `projections` stand between embedding and layers, one element used once a token.

    `head` turns a position into logits. `lookups` are tables (token and position embeddings) that cost no arithmetic.
    """

    layers: tuple[Layer, ...]
    head: int
    lookups: int
    tied: bool
    projections: int = 0

    @property
    def active(self) -> int:
        """Elements that one generated token is multiplied with, the head's included."""
        return sum(layer.active for layer in self.layers) + self.projections + self.head

    @cached_property
    def pair_widths(self) -> dict[int | None, int]:
        """Window → multiply-adds a (query, key) pair of all layers with that window."""
        widths: dict[int | None, int] = {}
        for layer in self.layers:
            widths[layer.window] = widths.get(layer.window, 0) + layer.pair_width
        return widths

    @property
    def stored(self) -> int:
        """Elements in memory; a head that is the token embedding's own table counts once."""
        own_head = 0 if self.tied else self.head
        return sum(layer.stored for layer in self.layers) + self.projections + self.lookups + own_head


def shape_of(config: Config) -> Shape:
    """The matrices of the model with this configuration. Raises `Uncountable`."""
    family = config.get("model_type")
    read = _READERS.get(str(family))
    if read is None:
        raise Uncountable(f"models of type {family} are not known to it")
    shape = read(renamed(config))
    windows = _windows(config, len(shape.layers))
    return replace(
        shape,
        layers=tuple(replace(layer, window=window) for layer, window in zip(shape.layers, windows, strict=True)),
    )


_OTHER_NAMES = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_positions": "max_position_embeddings",
    "num_local_experts": "num_experts",
}


def renamed(config: Config) -> Config:
    """The configuration with one name for one size, and without what is null."""
    return {_OTHER_NAMES.get(name, name): value for name, value in config.items() if value is not None}


def _size(config: Config, name: str) -> int:
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Uncountable(f"its configuration has no {name}" if value is None else f"its {name} is {value}")
    return value


@dataclass(frozen=True)
class _Attention:
    elements: int
    pair_width: int


def _attention(config: Config, kv_heads: int | None = None) -> _Attention:
    """Queries, keys, values and output; several query heads may share a key-value head."""
    hidden, heads = _size(config, "hidden_size"), _size(config, "num_attention_heads")
    kv_heads = kv_heads or config.get("num_key_value_heads") or heads
    width = config.get("head_dim") or hidden // heads
    return _Attention(hidden * width * (2 * heads + 2 * kv_heads), 2 * heads * width)


def _dense(attention: _Attention, ffn: int) -> Layer:
    return Layer(attention.elements + ffn, attention.elements + ffn, attention.pair_width)


def _experts(config: Config, attention: _Attention, width: int, shared: int) -> Layer:
    """A layer that routes each token to some of its gated experts; `shared` are elements that every token uses."""
    hidden, count, chosen = (_size(config, name) for name in ("hidden_size", "num_experts", "num_experts_per_tok"))
    always, expert = attention.elements + hidden * count + shared, 3 * hidden * width
    return Layer(always + chosen * expert, always + count * expert, attention.pair_width)


def _whole(config: Config, layers: list[Layer]) -> Shape:
    table = _size(config, "vocab_size") * _size(config, "hidden_size")
    return Shape(tuple(layers), head=table, lookups=table, tied=bool(config.get("tie_word_embeddings", False)))


def _alike(matrices: int, ffn_name: str = "intermediate_size") -> Callable[[Config], Shape]:
    """Layers that are all alike, with so many matrices in the feed-forward network (a gated one has 3)."""

    def read(config: Config) -> Shape:
        ffn = matrices * _size(config, "hidden_size") * _size(config, ffn_name)
        return _whole(config, [_dense(_attention(config), ffn)] * _size(config, "num_hidden_layers"))

    return read


def _mixtral(config: Config) -> Shape:
    layer = _experts(config, _attention(config), _size(config, "intermediate_size"), shared=0)
    return _whole(config, [layer] * _size(config, "num_hidden_layers"))


def _qwen_moe(config: Config) -> Shape:
    """Some layers may be dense. Qwen2's have one expert for every token, behind a gate of one column."""
    hidden, attention = _size(config, "hidden_size"), _attention(config)
    shared = config.get("shared_expert_intermediate_size", 0)
    sparse = _experts(
        config, attention, _size(config, "moe_intermediate_size"), 3 * hidden * shared + hidden if shared else 0
    )
    dense = _dense(attention, 3 * hidden * _size(config, "intermediate_size"))
    step, only_dense = config.get("decoder_sparse_step", 1), config.get("mlp_only_layers", ())
    return _whole(
        config,
        [
            sparse if index not in only_dense and (index + 1) % step == 0 else dense
            for index in range(_size(config, "num_hidden_layers"))
        ],
    )


def _latent(config: Config) -> Shape:
    raise Uncountable(
        f"the operations of {config['model_type']}'s latent attention depend on how often an engine expands the latents"
    )


def _gpt2(config: Config) -> Shape:
    hidden = _size(config, "hidden_size")
    shape = _alike(2, "n_inner")({"n_inner": 4 * hidden, "tie_word_embeddings": True, **config})
    return replace(shape, lookups=shape.lookups + _size(config, "max_position_embeddings") * hidden)


_OPT_POSITIONS_MORE = 2


def _opt(config: Config) -> Shape:
    """The smaller embedding of OPT-350m is widened before the layers and narrowed after them."""
    hidden, vocabulary = _size(config, "hidden_size"), _size(config, "vocab_size")
    embedding = config.get("word_embed_proj_dim", hidden)
    positions = (_size(config, "max_position_embeddings") + _OPT_POSITIONS_MORE) * hidden
    return replace(
        _alike(2, "ffn_dim")({"tie_word_embeddings": True, **config}),
        head=vocabulary * embedding,
        lookups=vocabulary * embedding + positions,
        projections=0 if embedding == hidden else 2 * hidden * embedding,
    )


def _falcon(config: Config) -> Shape:
    """Without its newer architecture it has one key-value head (multi-query), or as many as heads."""
    hidden, heads = _size(config, "hidden_size"), _size(config, "num_attention_heads")
    kv_heads = heads
    if config.get("new_decoder_architecture"):
        kv_heads = config.get("num_kv_heads", heads)
    elif config.get("multi_query", True):
        kv_heads = 1
    ffn = 2 * hidden * config.get("ffn_hidden_size", 4 * hidden)
    layer = _dense(_attention(config, kv_heads), ffn)
    return _whole({"tie_word_embeddings": True, **config}, [layer] * _size(config, "num_hidden_layers"))


_GATED = ("llama", "mistral", "qwen2", "qwen3", "phi3", "olmo2", "smollm3", "gemma", "gemma2", "gemma3_text")
_READERS: dict[str, Callable[[Config], Shape]] = {
    **dict.fromkeys(_GATED, _alike(3)),
    **dict.fromkeys(("phi", "gpt_neox"), _alike(2)),
    "mixtral": _mixtral,
    **dict.fromkeys(("qwen2_moe", "qwen3_moe"), _qwen_moe),
    **dict.fromkeys(("deepseek_v2", "deepseek_v3"), _latent),
    "gpt2": _gpt2,
    "opt": _opt,
    "falcon": _falcon,
}


def _windows(config: Config, layers: int) -> Iterator[int | None]:
    """The sliding window of each layer. Raises `Uncountable` where it is not clear which layers have one."""
    if config.get("use_bidirectional_attention"):
        raise Uncountable("its attention looks ahead (use_bidirectional_attention)")
    window = config.get("sliding_window") or None
    if config.get("use_sliding_window") is False:
        window = None
    kinds = config.get("layer_types")
    if kinds is None and window is not None:
        kinds = _kinds_that_slide(config, layers)
    for kind in kinds or ["full_attention"] * layers:
        if kind not in ("full_attention", "sliding_attention") or (kind == "sliding_attention" and window is None):
            raise Uncountable(f"it has layers of type {kind}, with sliding_window {window}")
        yield window if kind == "sliding_attention" else None


def _kinds_that_slide(config: Config, layers: int) -> list[str]:
    family = str(config["model_type"])
    if family.startswith("gemma"):
        raise Uncountable("its configuration does not say which layers have the sliding window (layer_types)")
    first = config.get("max_window_layers", 0) if family in ("qwen2", "qwen3", "qwen2_moe") else 0
    return ["full_attention"] * min(first, layers) + ["sliding_attention"] * max(layers - first, 0)
