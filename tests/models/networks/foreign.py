"""Other programs' networks written down anew, small in words: their tensors' names and their arithmetic."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet50  # type: ignore[import-untyped]  # ships no type information

Size = int | tuple[int, ...]
BLOCKS, WIDTHS = (3, 4, 6, 3), (64, 128, 256, 512)


def shaken(module: nn.Module, seed: int) -> nn.Module:
    """Give every norm its own statistics: fresh ones are all alike and would hide a mix-up."""
    torch.manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.normal_(part.running_mean, std=0.1)  # type: ignore[arg-type]  # a buffer that is there
            nn.init.uniform_(part.running_var, 0.5, 1.5)  # type: ignore[arg-type]  # a buffer that is there
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
    return module.eval()


def shifted_by_loops(maps: Tensor, segments: int) -> Tensor:
    """The temporal shift, one value after another; (N · T, C, H, W)."""
    fold = maps.shape[1] // 8
    found = maps.clone()
    for clip in range(len(maps) // segments):
        for segment in range(segments):
            here = clip * segments + segment
            for channel in range(2 * fold):
                source = segment + 1 if channel < fold else segment - 1
                inside = 0 <= source < segments
                found[here, channel] = maps[clip * segments + source, channel] if inside else 0
    return found


class Shift(nn.Module):
    """TSM's wrapper, as both programs name it."""

    def __init__(self, net: nn.Module, segments: int) -> None:
        super().__init__()
        self.net, self.segments = net, segments

    def forward(self, maps: Tensor) -> Tensor:
        convolved: Tensor = self.net(shifted_by_loops(maps, self.segments))
        return convolved


class MmConv(nn.Module):
    """MMAction2's convolution with its norm."""

    def __init__(
        self,
        channels: int,
        leaving: int,
        kernel: Size,
        *,
        rank: int,
        stride: Size = 1,
        padding: Size = 0,
        norm: bool = True,
    ) -> None:
        super().__init__()
        kind: Any = nn.Conv2d if rank == 2 else nn.Conv3d
        self.conv = kind(channels, leaving, kernel, stride=stride, padding=padding, bias=False)
        if norm:
            self.bn = (nn.BatchNorm2d if rank == 2 else nn.BatchNorm3d)(leaving)

    def forward(self, maps: Tensor) -> Tensor:
        convolved: Tensor = self.bn(self.conv(maps))
        return convolved


class MmBlock(nn.Module):
    """MMAction2's bottleneck, over pictures or over clips."""

    def __init__(self, channels: int, width: int, stride: int, rank: int, temporal: int = 1) -> None:
        super().__init__()
        strides: Size = stride if rank == 2 else (1, stride, stride)
        if rank == 2:
            self.conv1 = MmConv(channels, width, 1, rank=rank)
            self.conv2 = MmConv(width, width, 3, stride=stride, padding=1, rank=rank)
        else:
            self.conv1 = MmConv(channels, width, (temporal, 1, 1), padding=(temporal // 2, 0, 0), rank=rank)
            self.conv2 = MmConv(width, width, (1, 3, 3), stride=strides, padding=(0, 1, 1), rank=rank)
        self.conv3 = MmConv(width, 4 * width, 1, rank=rank)
        self.downsample = (
            None if stride == 1 and channels == 4 * width else MmConv(channels, 4 * width, 1, stride=strides, rank=rank)
        )

    def forward(self, maps: Tensor) -> Tensor:
        branch = self.conv3(functional.relu(self.conv2(functional.relu(self.conv1(maps)))))
        return functional.relu(branch + (maps if self.downsample is None else self.downsample(maps)))


def mm_stage(channels: int, width: int, blocks: int, stride: int, rank: int, temporal: int = 1) -> nn.Sequential:
    first = MmBlock(channels, width, stride, rank, temporal)
    return nn.Sequential(first, *(MmBlock(4 * width, width, 1, rank, temporal) for _ in range(blocks - 1)))


class MmHead(nn.Module):
    def __init__(self, dimension: int, classes: int) -> None:
        super().__init__()
        self.fc_cls = nn.Linear(dimension, classes)


class MmResNet(nn.Module):
    def __init__(self, segments: int, *, shift: bool) -> None:
        super().__init__()
        self.conv1 = MmConv(3, 64, 7, stride=2, padding=3, rank=2)
        channels = 64
        for at, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS, strict=True), start=1):
            stage = mm_stage(channels, width, blocks, 1 if at == 1 else 2, rank=2)
            if shift:
                for block in stage:
                    assert isinstance(block, MmBlock)
                    block.conv1.conv = Shift(block.conv1.conv, segments)
            setattr(self, f"layer{at}", stage)
            channels = 4 * width

    def forward(self, pictures: Tensor) -> Tensor:
        maps = functional.max_pool2d(functional.relu(self.conv1(pictures)), 3, stride=2, padding=1)
        for at in range(1, 5):
            maps = getattr(self, f"layer{at}")(maps)
        return maps


class MmSegments(nn.Module):
    """MMAction2's TSN or TSM: (N, 3, T, H, W) → (N, K)."""

    def __init__(self, segments: int, classes: int, *, shift: bool) -> None:
        super().__init__()
        self.segments = segments
        self.backbone = MmResNet(segments, shift=shift)
        self.cls_head = MmHead(2048, classes)

    def forward(self, frames: Tensor) -> Tensor:
        pictures = torch.cat([clip.transpose(0, 1) for clip in frames])
        scores: Tensor = self.cls_head.fc_cls(self.backbone(pictures).mean(dim=(2, 3)))
        return scores.reshape(len(frames), self.segments, -1).mean(dim=1)


class MmPathway(nn.Module):
    def __init__(self, widths: tuple[int, ...], stem: int, temporal: tuple[int, ...], lateral: int, alpha: int) -> None:
        super().__init__()
        base = widths[0]
        self.conv1 = MmConv(3, base, (stem, 7, 7), stride=(1, 2, 2), padding=(stem // 2, 3, 3), rank=3)
        fusion: dict[str, Any] = {"stride": (alpha, 1, 1), "padding": (lateral // 2, 0, 0), "rank": 3, "norm": False}
        fast = base // 8
        if lateral:
            self.conv1_lateral = MmConv(fast, 2 * fast, (lateral, 1, 1), **fusion)
        channels = base + (2 * fast if lateral else 0)
        for at, (width, blocks, length) in enumerate(zip(widths, BLOCKS, temporal, strict=True), start=1):
            setattr(self, f"layer{at}", mm_stage(channels, width, blocks, 1 if at == 1 else 2, 3, length))
            fast = width * 4 // 8
            if lateral and at < 4:
                setattr(self, f"layer{at}_lateral", MmConv(fast, 2 * fast, (lateral, 1, 1), **fusion))
            channels = 4 * width + (2 * fast if lateral else 0)


class MmSlowFastBody(nn.Module):
    def __init__(self, alpha: int, kernel: int) -> None:
        super().__init__()
        self.slow_path = MmPathway(WIDTHS, 1, (1, 1, 3, 3), kernel, alpha)
        self.fast_path = MmPathway(tuple(width // 8 for width in WIDTHS), 5, (3, 3, 3, 3), 0, alpha)


class MmSlowFast(nn.Module):
    """MMAction2's SlowFast R50: (N, 3, T, H, W) → (N, K)."""

    def __init__(self, alpha: int, kernel: int, classes: int) -> None:
        super().__init__()
        self.alpha = alpha
        self.backbone = MmSlowFastBody(alpha, kernel)
        self.cls_head = MmHead(2048 + 256, classes)

    def forward(self, frames: Tensor) -> Tensor:
        slow_path, fast_path = self.backbone.slow_path, self.backbone.fast_path
        slow = functional.interpolate(frames, scale_factor=(1 / self.alpha, 1.0, 1.0), mode="nearest")
        slow, fast = (
            functional.max_pool3d(functional.relu(path.conv1(given)), (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
            for path, given in ((slow_path, slow), (fast_path, frames))
        )
        slow = torch.cat((slow, slow_path.conv1_lateral.conv(fast)), dim=1)
        for at in range(1, 5):
            slow, fast = getattr(slow_path, f"layer{at}")(slow), getattr(fast_path, f"layer{at}")(fast)
            if at < 4:
                slow = torch.cat((slow, getattr(slow_path, f"layer{at}_lateral").conv(fast)), dim=1)
        pooled = [maps.mean(dim=(2, 3, 4)) for maps in (fast, slow)]
        scores: Tensor = self.cls_head.fc_cls(torch.cat(pooled, dim=1))
        return scores


class MitSegments(nn.Module):
    """MIT's TSM on torchvision's ResNet-50: (N, 3, T, H, W) → (N, K)."""

    def __init__(self, segments: int, classes: int, *, shift: bool) -> None:
        super().__init__()
        self.segments = segments
        self.base_model = resnet50(weights=None)
        self.base_model.fc = nn.Dropout(0.8)
        if shift:
            for at in range(1, 5):
                for block in getattr(self.base_model, f"layer{at}"):
                    block.conv1 = Shift(block.conv1, segments)
        self.new_fc = nn.Linear(2048, classes)

    def forward(self, frames: Tensor) -> Tensor:
        pictures = torch.cat([clip.transpose(0, 1) for clip in frames])
        scores: Tensor = self.new_fc(self.base_model(pictures))
        return scores.reshape(len(frames), self.segments, -1).mean(dim=1)


class PlainC3D(nn.Module):
    """C3D as the PyTorch ports of its Caffe model name it: (N, 3, 16, 112, 112) → (N, K)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        names = ("conv1", "conv2", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b")
        widths = (3, 64, 128, 256, 256, 512, 512, 512, 512)
        for name, entering, leaving in zip(names, widths[:-1], widths[1:], strict=True):
            setattr(self, name, nn.Conv3d(entering, leaving, 3, padding=1))
        self.fc6, self.fc7, self.fc8 = nn.Linear(8192, 4096), nn.Linear(4096, 4096), nn.Linear(4096, classes)

    def forward(self, frames: Tensor) -> Tensor:
        pools = {
            "conv1": nn.MaxPool3d((1, 2, 2), (1, 2, 2)),
            "conv2": nn.MaxPool3d(2, 2),
            "conv3b": nn.MaxPool3d(2, 2),
            "conv4b": nn.MaxPool3d(2, 2),
            "conv5b": nn.MaxPool3d(2, 2, padding=(0, 1, 1)),
        }
        maps = frames
        for name, part in self.named_children():
            if name.startswith("conv"):
                maps = functional.relu(part(maps))
                maps = pools[name](maps) if name in pools else maps
        hidden = functional.relu(self.fc7(functional.relu(self.fc6(maps.flatten(1)))))
        scores: Tensor = self.fc8(hidden)
        return scores
