"""OSNet: a small convolutional network whose blocks see four scales at once and mix them by learned gates.

Source: Zhou et al., Omni-Scale Feature Learning for Person Re-Identification, ICCV 2019: Lite 3x3 layers (section 3.1),
the block of four streams with residual (equation 3), the gate that all streams share (equation 4), table 1 for the
sizes. Names and shapes of the tensors are those of the authors' published files, which therefore load by name.
"""

from __future__ import annotations

from itertools import pairwise

from timm.layers import SelectAdaptivePool2d
from torch import Tensor, nn

from reid.model.settings import OSNETS

_BLOCKS_PER_STAGE = 2
_STREAMS = "abcd"
"""Stream number t has t Lite 3x3 layers: receptive fields of 3, 5, 7 and 9 pixels."""


class OSNet(nn.Module):
    """Maps images float [B, 3, H, W] to vectors float [B, 512], by way of maps [B, C, H / 16, W / 16].

    It keeps timm's contract for a network without a classifier: `forward_features`, `forward_head`, `global_pool`,
    `num_features`.

    Args:
        widths: channels of the stem and of the three stages.
        num_features: length of the vector.
    """

    def __init__(self, widths: tuple[int, int, int, int], *, num_features: int = 512) -> None:
        super().__init__()
        self.num_features = num_features
        self.conv1 = ConvNorm(3, widths[0], 7, stride=2)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = _stage(widths[0], widths[1], halve=True)
        self.conv3 = _stage(widths[1], widths[2], halve=True)
        self.conv4 = _stage(widths[2], widths[3], halve=False)
        self.conv5 = ConvNorm(widths[3], widths[3], 1)
        self.global_pool = SelectAdaptivePool2d(pool_type="avg", flatten=True)
        self.fc = nn.Sequential(nn.Linear(widths[3], num_features), nn.BatchNorm1d(num_features), nn.ReLU())
        self._initialise()

    def forward_features(self, images: Tensor) -> Tensor:
        """Maps float [B, C, H / 16, W / 16]."""
        maps = self.maxpool(self.conv1(images))
        maps = self.conv4(self.conv3(self.conv2(maps)))
        last: Tensor = self.conv5(maps)
        return last

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
        """Vectors float [B, num_features]; with and without `pre_logits`, for there is no classifier here."""
        vectors: Tensor = self.fc(self.global_pool(maps))
        return vectors

    def forward(self, images: Tensor) -> Tensor:
        """Vectors float [B, num_features]."""
        return self.forward_head(self.forward_features(images))

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)


def build_osnet(name: str) -> OSNet:
    """The network of that name, one of `OSNETS`, with random weights."""
    return OSNet(OSNETS[name])


class OmniScaleBlock(nn.Module):
    """Residual block of four streams, each one Lite 3x3 layer longer than the one before.

    The gate's weights are shared by the streams, so that a gate compares scales rather than streams.
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        middle = width_out // 4
        self.conv1 = ConvNorm(width_in, middle, 1)
        self.conv2a = LiteConv(middle)
        self.conv2b = nn.Sequential(*(LiteConv(middle) for _ in range(2)))
        self.conv2c = nn.Sequential(*(LiteConv(middle) for _ in range(3)))
        self.conv2d = nn.Sequential(*(LiteConv(middle) for _ in range(4)))
        self.gate = AggregationGate(middle)
        self.conv3 = ConvNorm(middle, width_out, 1, relu=False)
        self.downsample = nn.Identity() if width_in == width_out else ConvNorm(width_in, width_out, 1, relu=False)
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """float [B, width_in, H, W] to [B, width_out, H, W]."""
        narrow = self.conv1(maps)
        streams = [self.get_submodule(f"conv2{letter}")(narrow) for letter in _STREAMS]
        mixed = self.gate(streams[0])
        for stream in streams[1:]:
            mixed = mixed + self.gate(stream)
        summed: Tensor = self.relu(self.conv3(mixed) + self.downsample(maps))
        return summed


class AggregationGate(nn.Module):
    """Weights each channel of a stream by a number in (0, 1) that depends on the stream's own average (equation 4)."""

    def __init__(self, width: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, width // reduction, 1)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(width // reduction, width, 1)

    def forward(self, stream: Tensor) -> Tensor:
        """float [B, C, H, W] to the same."""
        squeezed = self.relu(self.fc1(stream.mean(dim=(2, 3), keepdim=True)))
        gate: Tensor = self.fc2(squeezed).sigmoid()
        return stream * gate  # [B, C, H, W] * [B, C, 1, 1]


class LiteConv(nn.Module):
    """A 3x3 convolution in two: pointwise without activation, then depthwise with batch norm and ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """float [B, C, H, W] to the same shape."""
        filtered: Tensor = self.relu(self.bn(self.conv2(self.conv1(maps))))
        return filtered


class ConvNorm(nn.Module):
    """Convolution, batch norm and, unless told otherwise, ReLU; padded to keep the size at stride 1."""

    def __init__(self, width_in: int, width_out: int, kernel: int, *, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width_out, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(width_out)
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """float [B, width_in, H, W] to [B, width_out, H / stride, W / stride]."""
        convolved: Tensor = self.relu(self.bn(self.conv(maps)))
        return convolved


def _stage(width_in: int, width_out: int, *, halve: bool) -> nn.Sequential:
    """Blocks of one width, then a transition that halves height and width."""
    widths = [width_in] + [width_out] * _BLOCKS_PER_STAGE
    layers: list[nn.Module] = [OmniScaleBlock(before, after) for before, after in pairwise(widths)]
    if halve:
        layers.append(nn.Sequential(ConvNorm(width_out, width_out, 1), nn.AvgPool2d(2)))
    return nn.Sequential(*layers)
