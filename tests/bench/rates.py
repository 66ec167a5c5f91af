"""What the machine can do, and what a run made of it."""

from __future__ import annotations

import time

import torch


def matrix_rate(precision: str, device: torch.device, seconds: float = 2.0) -> float:
    """The best rate of a square matrix product, in floating-point operations a second.

    Args:
        precision: ``bf16`` or ``fp32``.
        device: What multiplies.
        seconds: How long to try; the best product counts, since others may use the machine meanwhile.
    """
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    size = 8192 if device.type == "cuda" else 2048
    first, second = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    least, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        torch.mm(first, second)
        if device.type == "cuda":
            torch.cuda.synchronize()
        least = min(least, time.perf_counter() - started)
    return 2 * size**3 / least


def training_flops(module: torch.nn.Module, tokens: int) -> float:
    """Of the matrix products with weights: 6 operations a weight and token, embeddings and padding left out.

    Args:
        module: Encoder and head.
        tokens: Real ones, that went forward and backward.
    """
    tables = {id(part.weight) for part in module.modules() if isinstance(part, torch.nn.Embedding)}
    return 6.0 * tokens * sum(weight.numel() for weight in module.parameters() if id(weight) not in tables)
