"""Settings files spoilt by chance: bytes, lines, keys and values, as slips of the hand and of the disk leave them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator

WHOLE = """reach_s = 2.0
lake = "lake"

[site]
name = "north"
time_zone = "Europe/Vienna"

[footage]
root = "footage"
pattern = "{campaign}/{camera}/{start:%Y-%m-%dT%H-%M-%S}"
start_time_zone = "UTC"
suffixes = [".mp4", ".mkv", ".avi", ".ts"]
shard_s = 600.0
gap_s = 2.0

[sampling]
policy = "rate"
rate_hz = 1.0

[[encoders]]
name = "handcrafted/appearance"

[[encoders]]
name = "handcrafted/motion"
stride_s = 0.5
regions = ["frame", "hatch"]

[compute]
device = "cpu"
batch_size = 64
decode_threads = 1

[novelty]
detector = "knn"
neighbours = 3
minimum_reference = 10
smooth_s = 1.0
alarms_per_night = 2.0

[summary]
segment_s = 2.0
budget_s = 12.0
keyframes = 4
proxy_width = 128

[queue]
budget = 20
uncertain_share = 0.5

[schedule]
cron = "0 1 * * *"
until = 06:00:00

[watch]
reserve_gb = 0

[cluster]
workers = 1
retries = 2

[cameras.hall]
clock_offset_s = -1.5
sampling = { policy = "key_frames" }

[cameras."hall east"]
skip = true
"""
VALUES = (
    "0",
    "-1",
    "1",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "1e-308",
    "9223372036854775807",
    "1" + "0" * 40,
    '""',
    '"\\u0000"',
    '"../../etc"',
    '"/etc/passwd"',
    '"Mars/Olympus"',
    '"{start:%Q}"',
    '"{camera}"',
    '"{camera}/{start:%"',
    "true",
    "[]",
    "[[]]",
    "{}",
    "1979-05-27",
    "07:32:00",
    '"\U0001f4f7"',
    '"' + "x" * 5000 + '"',
)

Mutation = Callable[[str, Rng], bytes]


def _flipped(text: str, rng: Rng) -> bytes:
    content = bytearray(text.encode())
    for at in rng.integers(0, len(content), rng.integers(1, 8)):
        content[at] = int(rng.integers(256))
    return bytes(content)


def _cut(text: str, rng: Rng) -> bytes:
    return text.encode()[: int(rng.integers(len(text)))]


def _value(text: str, rng: Rng) -> bytes:
    lines = text.splitlines()
    told = [number for number, line in enumerate(lines) if " = " in line]
    for number in rng.choice(told, int(rng.integers(1, 4)), replace=False):
        lines[number] = f"{lines[number].split(' = ')[0]} = {VALUES[int(rng.integers(len(VALUES)))]}"
    return "\n".join(lines).encode()


def _key(text: str, rng: Rng) -> bytes:
    lines = text.splitlines()
    told = [number for number, line in enumerate(lines) if " = " in line]
    number = int(rng.choice(told))
    key, value = lines[number].split(" = ", 1)
    at = int(rng.integers(len(key)))
    lines[number] = f"{key[:at]}{key[at + 1 :] or 'x'} = {value}"
    return "\n".join(lines).encode()


def _lines(text: str, rng: Rng) -> bytes:
    """A line is not there, is there twice, or stands elsewhere."""
    lines = text.splitlines()
    number, other = (int(at) for at in rng.integers(0, len(lines), 2))
    match int(rng.integers(3)):
        case 0:
            del lines[number]
        case 1:
            lines.insert(other, lines[number])
        case _:
            lines[number], lines[other] = lines[other], lines[number]
    return "\n".join(lines).encode()


def _noise(_: str, rng: Rng) -> bytes:
    return rng.integers(0, 256, int(rng.integers(0, 400)), dtype=np.uint8).tobytes()


MUTATIONS: dict[str, Mutation] = {
    "values": _value,
    "bytes": _flipped,
    "keys": _key,
    "lines": _lines,
    "cut": _cut,
    "noise": _noise,
}


@dataclass(frozen=True)
class MutatedSettings:
    """A spoilt settings file, and what was done to it."""

    number: int
    kind: str
    content: bytes

    @property
    def told(self) -> str:
        """Its name in reports."""
        return f"{self.number:04d} settings: {self.kind}"


def mutated_settings(seed: int, number: int) -> MutatedSettings:
    """The settings file of that number; values are spoilt as often as everything else together."""
    rng = np.random.default_rng([seed, number, 1])
    kind = "values" if number % 2 == 0 else list(MUTATIONS)[1 + number // 2 % (len(MUTATIONS) - 1)]
    return MutatedSettings(number, kind, MUTATIONS[kind](WHOLE, rng))
