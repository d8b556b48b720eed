"""Attention with relative positions, as in Enformer. Shapes: (B, T, D)."""

import math

import torch
from timm.layers import variance_scaling_
from torch import Tensor, nn
from torch.nn import functional

NUM_FUNCTIONS = 3  # exponential, central mask and gamma
SCALE = 2.0  # of the variance scaling that draws all projections but the last
SHORTEST_HALF_LIFE = 2.0**3  # tokens


def relative_features(num_tokens: int, num_features: int) -> Tensor:
    """Describe the distances -(T - 1) .. T - 1 between T tokens: (2 T - 1, num_features).

    The first half depends on |d| alone; the second half is the first times the sign of d. Each half holds
    exponential decays, central masks and gamma densities, as many of one as of another.
    """
    num_bases = num_features // (2 * NUM_FUNCTIONS)
    distance = torch.arange(1 - num_tokens, num_tokens, dtype=torch.float64).unsqueeze(1)
    size = distance.abs()
    functions = (_exponential, _central_mask, _gamma)
    symmetric = torch.cat([f(size, num_bases, num_tokens) for f in functions], dim=1)
    return torch.cat([symmetric, distance.sign() * symmetric], dim=1).float()


def _exponential(size: Tensor, num_bases: int, num_tokens: int) -> Tensor:
    """Return 2^(-|d| / half-life) for half-lives from 8 tokens to T: decreasing if T < 8, as published."""
    powers = torch.linspace(math.log2(SHORTEST_HALF_LIFE), math.log2(num_tokens), num_bases).double()
    return torch.exp2(-size / torch.exp2(powers))


def _central_mask(size: Tensor, num_bases: int, num_tokens: int) -> Tensor:  # noqa: ARG001 - one signature
    """Return 1 nearer than 1, 3, 7, 15, ... tokens, else 0."""
    return (size < 2.0 ** torch.arange(1, num_bases + 1) - 1).double()


def _gamma(size: Tensor, num_bases: int, num_tokens: int) -> Tensor:
    """Return gamma densities of means T / bases .. T and one deviation, each over its largest value.

    Enformer's first release divided by the largest of all; the one that Enformer-lite is made from does not.
    """
    mean = torch.linspace(num_tokens / num_bases, num_tokens, num_bases).double()
    deviation = num_tokens / (2 * num_bases)
    shape, rate = (mean / deviation) ** 2, mean / deviation**2
    # xlogy: 0 log 0 would be right for shape 1 alone, but log 0 is minus infinity for all of them.
    log_density = torch.xlogy(shape - 1, size) - rate * size + shape * rate.log() - torch.lgamma(shape)
    density = log_density.exp() + 1e-8
    return density / density.amax(dim=0)


def shift(logits: Tensor) -> Tensor:
    """Turn logits by distance (..., T, 2 T - 1) into logits by token (..., T, T).

    out[i, j] = in[i, j - i + T - 1]. One column more makes each row start one place earlier than the last:
    no gather, whose gradient would not repeat on a GPU.
    """
    tokens, distances = logits.shape[-2:]
    padded = functional.pad(logits, (1, 0)).flatten(-2)
    rows = padded[..., tokens:].unflatten(-1, (tokens, distances))
    return rows[..., :tokens]


class RelativeAttention(nn.Module):
    """Attend among T tokens by content and by signed distance; the output starts as zero."""

    def __init__(
        self,
        dim: int,
        heads: int,
        key_size: int,
        num_tokens: int,
        *,
        dropout: float,
        position_dropout: float,
    ) -> None:
        super().__init__()
        self.heads, self.key_size = heads, key_size
        num_features = dim // heads
        self.query, self.key = (nn.Linear(dim, heads * key_size, bias=False) for _ in range(2))
        self.value = nn.Linear(dim, dim, bias=False)
        self.distance = nn.Linear(num_features, heads * key_size, bias=False)
        self.content_bias, self.position_bias = (
            nn.Parameter(torch.empty(heads, 1, key_size)) for _ in range(2)
        )
        self.softmax = nn.Softmax(dim=-1)
        self.dropout, self.position_dropout = nn.Dropout(dropout), nn.Dropout(position_dropout)
        self.out = nn.Linear(dim, dim)
        features = relative_features(num_tokens, num_features)
        self.register_buffer("features", features, persistent=False)  # (2 T - 1, F)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (self._split(project(x)) for project in (self.query, self.key, self.value))
        query = query * self.key_size**-0.5  # before the biases, which stay unscaled
        distance = self._split(self.distance(self.position_dropout(self.features)))  # (H, 2 T - 1, K)
        by_content = (query + self.content_bias) @ key.transpose(-1, -2)  # (B, H, T, T)
        by_position = shift((query + self.position_bias) @ distance.transpose(-1, -2))
        weight = self.dropout(self.softmax(by_content + by_position))
        return self.out((weight @ value).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(..., L, H K) -> (..., H, L, K)"""
        return x.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

    def initialize(self) -> None:
        """Draw the weights as Sonnet does: for biases of shape (1, H, 1, K) it takes H as the fan-in."""
        projections = (self.query, self.key, self.value, self.distance)
        weights = [project.weight for project in projections]
        biases = [bias.squeeze(1).T for bias in (self.content_bias, self.position_bias)]  # (K, H)
        for weight in (*weights, *biases):
            variance_scaling_(weight, scale=SCALE, distribution="truncated_normal")
        nn.init.zeros_(self.out.weight)


class TransformerBlock(nn.Module):
    """Pre-norm residual attention, then a pre-norm residual MLP of twice the width."""

    def __init__(self, dim: int, attention: RelativeAttention, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-5), nn.LayerNorm(dim, eps=1e-5)
        self.attention, self.dropout = attention, nn.Dropout(dropout)
        hidden, out = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.mlp = nn.Sequential(hidden, nn.Dropout(dropout), nn.ReLU(), out, nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.mlp(self.norm2(x))
