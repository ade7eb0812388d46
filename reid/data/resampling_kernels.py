"""Resized crops and Gaussian blur on a CPU: what `resampling` and `blur` do by tensor operations, as compiled loops."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reid.data.blur import reflected
from reid.kernels import kernel


def resized_crop(images: Tensor, parts: Tensor, height: int, width: int) -> Tensor:
    """Cuts parts int64 [B, 4] (top, left, height, width) out of uint8 [B, h, w, 3]; uint8 [B, height, width, 3]."""
    out = np.empty((len(images), height, width, 3), np.uint8)
    lines = images.contiguous().numpy().reshape(len(images), images.shape[1], -1)
    _resized_crop(lines, parts.numpy(), out)
    return torch.from_numpy(out)


def blur(pixels: Tensor, along_row: Tensor, along_column: Tensor) -> None:
    """Blurs float32 [B, 3, H, W] in channels_last memory in place.

    Args:
        along_row: float32 [B, taps], see `GaussianBlur.weights`.
        along_column: likewise.
    """
    height, width = pixels.shape[2:]
    places = [
        reflected(torch.arange(-(weights.shape[1] // 2), size + weights.shape[1] // 2), size).numpy()
        for weights, size in ((along_row, width), (along_column, height))
    ]
    lines = pixels.permute(0, 2, 3, 1).numpy().reshape(len(pixels), height, 3 * width)
    _blur(lines, along_row.numpy(), along_column.numpy(), *places)


@kernel()
def _resized_crop(images, parts, out):  # type: ignore[no-untyped-def]
    height, width = out.shape[1], out.shape[2]
    for b in range(len(images)):
        top, left, h, w = parts[b]
        first_row, row_weights = _taps(h, height)
        first_column, column_weights = _taps(w, width)
        line = np.empty(3 * w, np.float32)
        for y in range(height):
            line[:] = 0
            for tap in range(row_weights.shape[1]):
                weight = row_weights[y, tap]
                if weight > 0:
                    _add(line, weight, images[b, top + first_row[y] + tap, 3 * left : 3 * (left + w)])
            for x in range(width):
                red = green = blue = np.float32(0.5)  # bytes are cut off, so this rounds
                for tap in range(column_weights.shape[1]):
                    weight = column_weights[x, tap]
                    if weight > 0:
                        place = 3 * (first_column[x] + tap)
                        red += weight * line[place]
                        green += weight * line[place + 1]
                        blue += weight * line[place + 2]
                out[b, y, x, 0], out[b, y, x, 1], out[b, y, x, 2] = np.uint8(red), np.uint8(green), np.uint8(blue)


@kernel()
def _taps(length, size):  # type: ignore[no-untyped-def]
    """First source of each of `size` pixels that a line of `length` becomes, and the weights from there on."""
    step = length / size
    support = max(step, 1.0)
    count = 2 * int(np.ceil(support)) + 1
    first, weights = np.empty(size, np.int64), np.zeros((size, count), np.float32)
    for i in range(size):
        centre = (i + 0.5) * step
        begin = max(int(np.ceil(centre - support - 0.5)), 0)
        end = min(int(np.floor(centre + support - 0.5)), length - 1)
        first[i] = begin
        total = 0.0
        for place in range(begin, end + 1):
            total += 1 - abs(place + 0.5 - centre) / support
        for place in range(begin, end + 1):
            weights[i, place - begin] = (1 - abs(place + 0.5 - centre) / support) / total
    return first, weights


@kernel()
def _blur(pixels, along_row, along_column, columns, rows):  # type: ignore[no-untyped-def]
    height, length = pixels.shape[1], pixels.shape[2]
    passed = np.empty((height, length), np.float32)
    padded = np.empty(3 * len(columns), np.float32)
    for b in range(len(pixels)):
        image, weights = pixels[b], along_row[b]
        for y in range(height):
            for x in range(len(columns)):
                for c in range(3):
                    padded[3 * x + c] = image[y, 3 * columns[x] + c]
            passed[y] = 0
            for tap in range(len(weights)):
                if weights[tap] > 0:
                    _add(passed[y], weights[tap], padded[3 * tap : 3 * tap + length])
        weights = along_column[b]
        for y in range(height):
            image[y] = 0
            for tap in range(len(weights)):
                if weights[tap] > 0:
                    _add(image[y], weights[tap], passed[rows[y + tap]])


@kernel()
def _add(line, weight, source):  # type: ignore[no-untyped-def]
    for k in range(len(line)):
        line[k] += weight * np.float32(source[k])
