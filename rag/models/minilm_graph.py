"""The default embedding model as an OpenVINO graph, built from its weights file: torch is not needed.

A BERT encoder (Devlin et al., 2019), the mean over the text's tokens, length 1. It takes one text at a time: batches
are no faster on a processor, and so nothing is padded, and a vector depends on its text alone.

Where the processor multiplies 8-bit integers fast, the weights' products are done in them. Weights are rounded once,
with one scale an output channel, and activations as they come, with one scale a token. Everything else stays in f32.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from openvino import opset15 as ops
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = dict[str, NDArray[np.float32]]

_GELU_FLOOR = 0.17


def build_graph(folder: Path, *, eight_bit: bool) -> ov.Model:
    """The model in `folder`: token ids int32 (1, tokens) → float32 (1, dimension), of length 1."""
    return _Encoder(folder, eight_bit).graph()


class _Encoder:
    """The layers, with the weights at hand while the graph is built."""

    def __init__(self, folder: Path, eight_bit: bool) -> None:
        self._weights: Weights = load_file(folder / "model.safetensors")
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self._layers: int = config["num_hidden_layers"]
        self._heads: int = config["num_attention_heads"]
        self._width: int = config["hidden_size"]
        self._epsilon: float = config["layer_norm_eps"]
        self._eight_bit = eight_bit

    def graph(self) -> ov.Model:
        ids = ops.parameter([1, -1], np.int32, name="ids")
        states = self._embedded(ids)
        for number in range(self._layers):
            layer = f"encoder.layer.{number}."
            attended = self._product(self._attention(states, layer), layer + "attention.output.dense")
            states = self._norm(ops.add(attended, states), layer + "attention.output.LayerNorm")
            inner = ops.gelu(self._product(states, layer + "intermediate.dense"), "erf")
            outer = self._product_of_gelu(inner, layer + "output.dense")
            states = self._norm(ops.add(outer, states), layer + "output.LayerNorm")
        mean = ops.reduce_mean(states, _whole([1]))
        return ov.Model([ops.normalize_l2(mean, _whole([1]), 1e-12, "max")], [ids], "embedding")

    def _embedded(self, ids: Any) -> Any:
        words = ops.gather(_real(self._weights["embeddings.word_embeddings.weight"]), ids, _whole(0))
        places = self._weights["embeddings.position_embeddings.weight"]
        places = places + self._weights["embeddings.token_type_embeddings.weight"][0]
        length = ops.gather(ops.shape_of(ids), _whole([1]), _whole(0))
        used = ops.slice(_real(places), _whole([0]), length, _whole([1]), _whole([0]))
        return self._norm(ops.add(words, used), "embeddings.LayerNorm")

    def _attention(self, states: Any, layer: str) -> Any:
        names = [f"{layer}attention.self.{part}" for part in ("query", "key", "value")]
        query, key, value = (self._by_head(product) for product in self._attention_products(states, names))
        attended = ops.scaled_dot_product_attention(query, key, value)
        return ops.reshape(ops.transpose(attended, _whole([0, 2, 1, 3])), _whole([0, 0, self._width]), True)

    def _by_head(self, states: Any) -> Any:
        split = ops.reshape(states, _whole([0, 0, self._heads, self._width // self._heads]), True)
        return ops.transpose(split, _whole([0, 2, 1, 3]))

    def _norm(self, states: Any, name: str) -> Any:
        centred = ops.mvn(states, _whole([-1]), True, self._epsilon, "INSIDE_SQRT")
        scaled = ops.multiply(centred, _real(self._weights[name + ".weight"]))
        return ops.add(scaled, _real(self._weights[name + ".bias"]))

    # ------------------------------------------------------------------------------------------------ matrix products

    def _exact_product(self, states: Any, name: str) -> Any:
        product = ops.matmul(states, _real(self._weights[name + ".weight"]), False, True)
        return ops.add(product, _real(self._weights[name + ".bias"]))

    def _product(self, states: Any, name: str) -> Any:
        if not self._eight_bit:
            return self._exact_product(states, name)
        rounded, scale = _rounded(states)
        return self._rounded_product(rounded, scale, name)

    def _attention_products(self, states: Any, names: list[str]) -> list[Any]:
        """Query, key and value of the same states, rounded once for all three.

        Attention adds up the values of all tokens, and with them what rounding did to the few tokens it always looks
        at. These are large in channels of little weight, so channels are evened out by their weight first."""
        if not self._eight_bit:
            return [self._exact_product(states, name) for name in names]
        channels = np.linalg.norm(self._weights[names[-1] + ".weight"], axis=0)
        rounded, scale = _rounded(ops.multiply(states, _real(channels)))
        return [self._rounded_product(rounded, scale, name, channels) for name in names]

    def _product_of_gelu(self, states: Any, name: str) -> Any:
        """GELU is never below -0.17: shifted by that, its values use the whole range of an unsigned byte."""
        if not self._eight_bit:
            return self._exact_product(states, name)
        shifted = ops.add(states, _real(_GELU_FLOOR))
        scale = ops.reduce_max(shifted, _whole([-1]), True)
        rounded = ops.fake_quantize(ops.divide(shifted, scale), _real(0), _real(1), _real(0), _real(1), 256)
        return self._rounded_product(rounded, scale, name, shift=_GELU_FLOOR)

    def _rounded_product(
        self, states: Any, scale: Any, name: str, channels: NDArray[np.float32] | float = 1, shift: float = 0
    ) -> Any:
        """The product of what was `states * scale / channels - shift` before it was rounded."""
        weights = self._weights[name + ".weight"] / channels
        scales = np.abs(weights).max(axis=1, keepdims=True) / 127
        integers = np.round(weights / scales).astype(np.int8)
        # A conversion and a multiplication: what the compiler takes as the sign to multiply in integers, then scale.
        dequantized = ops.multiply(ops.convert(ops.constant(integers), np.float32), _real(scales))
        product = ops.multiply(ops.matmul(states, dequantized, False, True), scale)
        bias = self._weights[name + ".bias"] - shift * (integers * scales).sum(axis=1)
        return ops.add(product, _real(bias))


def _rounded(states: Any) -> tuple[Any, Any]:
    """`states` in 255 steps from -1 to 1, and the scale of each token; the compiler makes 8-bit integers of them."""
    scale = ops.reduce_max(ops.abs(states), _whole([-1]), True)
    return ops.fake_quantize(ops.divide(states, scale), _real(-1), _real(1), _real(-1), _real(1), 255), scale


def _real(values: Any) -> Any:
    return ops.constant(np.asarray(values, dtype=np.float32))


def _whole(values: Any) -> Any:
    return ops.constant(np.asarray(values, dtype=np.int64))
