"""Embedding many images in batches equals embedding them one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from reid.data.augment import to_network_input
from reid.model.extract import embed

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
PIXELS = np.random.default_rng(0).integers(0, 256, (11, 8, 4, 3), dtype=np.uint8)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5))


@pytest.mark.parametrize("batch_size", [1, 4, 11, 64])
def test_batches_of_any_size_give_the_embeddings_of_single_images_in_order(batch_size: int) -> None:
    net = network().eval()
    done: list[int] = []

    result = embed(
        net, PIXELS.__getitem__, 11, mean=MEAN, std=STD, batch_size=batch_size, device=torch.device("cpu"),
        progress=done.append,
    )  # fmt: skip

    with torch.inference_mode():
        single = [net(to_network_input(torch.from_numpy(PIXELS[i : i + 1]), mean=MEAN, std=STD)) for i in range(11)]
    assert result.dtype == np.float32
    assert np.allclose(result, torch.cat(single).numpy(), atol=1e-6)
    assert sum(done) == 11


def test_a_network_in_training_is_measured_in_evaluation_mode_and_put_back() -> None:
    net = network().train()
    statistics = net[1].running_mean.clone()  # type: ignore[index]

    first, second = (
        embed(net, PIXELS.__getitem__, 11, mean=MEAN, std=STD, batch_size=4, device=torch.device("cpu"))
        for _ in range(2)
    )

    assert np.array_equal(first, second)  # dropout is off
    assert net.training
    assert torch.equal(net[1].running_mean, statistics)  # type: ignore[index]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("batch_size", [1, 16, 300])
def test_a_gpu_that_is_sent_the_next_batch_meanwhile_gives_the_embeddings_of_a_cpu(
    batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # as the actions have it
    pixels = np.random.default_rng(1).integers(0, 256, (300, 8, 4, 3), dtype=np.uint8)
    net = network().eval()

    on_cpu, on_gpu = (
        embed(net.to(device), pixels.__getitem__, 300, mean=MEAN, std=STD, batch_size=batch_size, device=device)
        for device in (torch.device("cpu"), torch.device("cuda", 0))
    )

    assert on_cpu is not None
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=0, atol=1e-5)


def test_a_batch_is_taken_before_the_one_after_the_next_is_read() -> None:
    """A gallery of millions: no more than two batches of pixels are held at once."""
    events: list[str] = []

    def images(rows: np.ndarray) -> np.ndarray:
        events.append("read")
        return PIXELS[rows]

    embed(
        network(), images, 11, mean=MEAN, std=STD, batch_size=3, device=torch.device("cpu"),
        progress=lambda _: events.append("taken"),
    )  # fmt: skip

    assert events == ["read", "read", "taken", "read", "taken", "read", "taken", "taken"]
