"""Sums over processes, and what tells numbers apart that should be equal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist

from .dropout import WHOLE

BUCKET = 1 << 22
"""Numbers that travel together: many small gradients cost more by themselves than what is in them."""


def add_up(tensors: Sequence[torch.Tensor]) -> None:
    """Add tensors up over all processes, in place.

    Args:
        tensors: Of any shapes and types, the same everywhere.
    """
    for bucket in _buckets(tensors):
        _sum(bucket)


def _sum(tensors: Sequence[torch.Tensor]) -> None:
    """Add up some tensors of one type over all processes, in place."""
    if len(tensors) == 1 and tensors[0].is_contiguous():
        dist.all_reduce(tensors[0])
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def _buckets(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Tensors of one type, in order, about as many numbers in each bucket; a large one is alone."""
    bucket: list[torch.Tensor] = []
    held = 0
    for tensor in tensors:
        large = tensor.numel() >= BUCKET
        if bucket and (tensor.dtype != bucket[0].dtype or held + tensor.numel() > BUCKET) and not large:
            yield bucket
            bucket, held = [], 0
        if large:
            yield [tensor]
            continue
        bucket.append(tensor)
        held += tensor.numel()
    if bucket:
        yield bucket


def weights_digest(weights: Sequence[torch.nn.Parameter]) -> int:
    """Tells weights apart by their bits; summed where they are, so that they need not come to the host."""
    sums = [weight.detach().view(WHOLE[weight.element_size()]).sum(dtype=torch.int64) for weight in weights]
    return digest(torch.stack(sums).cpu().numpy().tobytes())


def digest(data: bytes) -> int:
    """64 bits of a checksum."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big", signed=True)
