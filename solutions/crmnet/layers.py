"""The layers of CRMnet, each as Keras computes it. Shapes: (B, C, 1, L) for signals, (B, L, D) for tokens."""

import math

import torch
from timm.layers import variance_scaling_
from torch import Tensor, distributed, nn
from torch.nn import functional

SQUEEZE_RATIO = 2
BATCH_NORM_EPS, BATCH_NORM_MOMENTUM = 1e-3, 0.01  # Keras: momentum 0.99 of the old value
LAYER_NORM_EPS = 1e-6


def convolution(channels: int, filters: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(channels, filters, (1, kernel), padding=(0, kernel // 2))


def halving(filters: int, kernel: int) -> nn.Sequential:
    """Return a convolution of stride 2, padded as TensorFlow's "same": 4 left and 5 right for a kernel of 11.

    A symmetric padding of 5 would give the right length, too, but read other bases.
    """
    pad = nn.ZeroPad2d((kernel // 2 - 1, kernel // 2, 0, 0))
    return nn.Sequential(pad, nn.Conv2d(filters, filters, (1, kernel), stride=(1, 2)), nn.ReLU())


class Doubling(nn.ConvTranspose2d):
    """A transposed convolution of stride 2, aligned as TensorFlow's "same" is.

    The full output loses 4 positions on the left and 5 on the right (for a kernel of 11).
    `padding=5, output_padding=1` gives the right length, but is off by one base.
    """

    def __init__(self, channels: int, filters: int, kernel: int) -> None:
        super().__init__(channels, filters, (1, kernel), stride=(1, 2), padding=(0, kernel // 2 - 1))

    def forward(self, x: Tensor) -> Tensor:  # (B, C, 1, L) -> (B, F, 1, 2 L)
        return super().forward(x)[..., :-1]


class BatchNorm(nn.BatchNorm2d):
    """Batch norm whose running variance follows the variance of the batch itself, as in Keras.

    PyTorch's follows the unbiased estimate, n / (n - 1) of it for n values per channel over all processes,
    whose parts of a batch differ by at most a row.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=BATCH_NORM_EPS, momentum=BATCH_NORM_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, 1, L)
        if not self.training:
            return super().forward(x)
        # Accumulates into zeros, because the backward pass refuses buffers changed after the forward pass.
        variance, self.running_var = self.running_var, torch.zeros_like(self.running_var)
        normed = super().forward(x)
        share, self.running_var = self.running_var, variance
        n = x.numel() // x.shape[1] * (distributed.get_world_size() if distributed.is_initialized() else 1)
        variance.mul_(1 - self.momentum).add_(share, alpha=(n - 1) / n)
        return normed


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // SQUEEZE_RATIO
        self.gate = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean((2, 3)))[:, :, None, None]


def unit(channels: int, filters: int, kernel: int, *, squeeze: bool, norm: bool = True) -> nn.Sequential:
    """Return convolution -> ReLU -> squeeze-excite -> batch norm: the norm comes last."""
    layers: list[nn.Module] = [convolution(channels, filters, kernel), nn.ReLU()]
    if squeeze:
        layers.append(SqueezeExcite(filters))
    if norm:
        layers.append(BatchNorm(filters))
    return nn.Sequential(*layers)


class EncoderStage(nn.Module):
    """Two units and dropout make the skip; a strided convolution halves it for the next stage."""

    def __init__(
        self, channels: int, filters: int, kernel: int, *, squeeze: bool, dropout: float, halve: bool
    ) -> None:
        super().__init__()
        self.units = nn.Sequential(
            unit(channels, filters, kernel, squeeze=squeeze), unit(filters, filters, kernel, squeeze=squeeze)
        )
        self.dropout = nn.Dropout(dropout)
        self.down = halving(filters, kernel) if halve else nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.dropout(self.units(x))
        return self.down(skip), skip


class DecoderStage(nn.Module):
    """Double the length, append the channels of the encoder's skip of that length, then two units."""

    def __init__(self, channels: int, skip: int, filters: int, kernel: int, *, squeeze: bool) -> None:
        super().__init__()
        self.up = Doubling(channels, filters, kernel)
        self.units = nn.Sequential(
            unit(filters + skip, filters, kernel, squeeze=squeeze),
            unit(filters, filters, kernel, squeeze=squeeze),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.units(torch.cat([self.up(x), skip], dim=1))


class PositionCode(nn.Module):
    """Encode the tokens' positions: "multiply" as in the released code, "add" as in the paper, or "none".

    The released code multiplies token t of n by sin(t (width - 1) / n), which erases token 0.
    """

    def __init__(self, kind: str, num_tokens: int, dim: int, width: int) -> None:
        super().__init__()
        self.kind = kind
        code = wave(num_tokens, width) if kind == "multiply" else sinusoid(num_tokens, dim)
        self.register_buffer("code", code, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        if self.kind == "none":
            return tokens
        return tokens * self.code if self.kind == "multiply" else tokens + self.code


def wave(num_tokens: int, width: int) -> Tensor:
    """Return (num_tokens, 1): one factor for all channels of a token."""
    position = torch.arange(num_tokens, dtype=torch.float64)
    return torch.sin(position * ((width - 1) / num_tokens)).float().unsqueeze(1)


def sinusoid(num_tokens: int, dim: int) -> Tensor:
    """Return (num_tokens, dim): sines, then cosines, of wavelengths from 2 pi to 20,000 pi (Vaswani 2017)."""
    frequency = 10_000.0 ** (-torch.arange(dim // 2) / (dim // 2))
    angle = torch.arange(num_tokens)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Attention(nn.Module):
    """Attend among all tokens with heads of any size, here 12 of size 256 for 256 channels."""

    def __init__(self, dim: int, heads: int, key_dim: int) -> None:
        super().__init__()
        self.heads, self.key_dim = heads, key_dim
        self.query, self.key, self.value = (nn.Linear(dim, heads * key_dim) for _ in range(3))
        self.softmax = nn.Softmax(dim=-1)
        self.out = nn.Linear(heads * key_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            project(x).unflatten(2, (self.heads, self.key_dim)).transpose(1, 2)  # (B, H, L, K)
            for project in (self.query, self.key, self.value)
        )
        if x.is_cuda:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        else:  # on a CPU, in bf16 and for 14 tokens the fused kernel takes three times as long
            weight = self.softmax(query @ key.transpose(2, 3) / math.sqrt(self.key_dim))
            mixed = weight @ value
        return self.out(mixed.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """Post-norm residual attention, then a post-norm residual feed-forward layer that is narrower inside."""

    def __init__(self, dim: int, heads: int, key_dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(dim, heads, key_dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.dropout1, self.dropout2 = nn.Dropout(dropout), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.dropout1(self.attention(x)))
        return self.norm2(x + self.dropout2(self.feed_forward(x)))


class Transformer(nn.Module):
    """A first block, sums of two parallel blocks, and a last one: eight blocks are five layers deep."""

    def __init__(self, blocks: list[TransformerBlock]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        first, *middle, last = self.blocks
        x = first(x)
        for left, right in zip(middle[::2], middle[1::2], strict=True):
            x = left(x) + right(x)
        return last(x)


@torch.no_grad()
def initialize_as_keras(model: nn.Module) -> None:
    """Draw the weights as Keras does; biases are zero.

    Convolutions: He normal (truncated). Transposed ones and dense layers: Glorot uniform. Attention: Glorot
    uniform with the fans that Keras takes from its kernels (D, H, K) and (H, K, D), so logits start near 0.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            variance_scaling_(module.weight, scale=2, distribution="truncated_normal")
        elif isinstance(module, (Doubling, nn.Linear)):
            nn.init.xavier_uniform_(module.weight)
        if isinstance(module, (nn.Conv2d, Doubling, nn.Linear)):
            nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, Attention):
            dim, heads, key_dim = module.out.out_features, module.heads, module.key_dim
            in_limit = math.sqrt(6 / (dim * (heads + key_dim)))
            out_limit = math.sqrt(6 / (heads * (key_dim + dim)))
            for project in (module.query, module.key, module.value):
                nn.init.uniform_(project.weight, -in_limit, in_limit)
            nn.init.uniform_(module.out.weight, -out_limit, out_limit)
