"""The settings of a workspace: `afterwatch.toml`, read, checked and frozen.

Every table of the file is one frozen class below; its defaults are the documented ones. Unknown keys are refused with
a guess at the one that was meant, and every path stays inside the workspace unless the settings say otherwise.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from infra.alarm_settings import AlarmTable, NotificationsTable, may_hold_secret
from infra.cron import Cron
from infra.errors import ConfigurationError, UnknownNameError
from infra.operation_settings import AccessTable, RetentionTable, ScheduleTable, WatchTable
from infra.table import NAME, Hz, Seconds, Table

SETTINGS_FILE = "afterwatch.toml"
MOST_WEIGHT = 1e6
"""Largest weight of a summary's score: sums of weights stay far from where floats end."""
LINEAR_PROJECTIONS = ("none", "pca", "gaussian", "sparse")
"""Projections that need no training; any other name is that of a trained one."""
LONGEST_OFFSET_S = 100 * 366 * 86_400.0
"""A camera whose clock is off by more than a century tells no time."""
LONGEST_TOLD = 200
"""Letters of a wrong value that are told back."""


def known_zone(name: str) -> str:
    """The name of a time zone, as it is.

    Raises:
        UnknownNameError: there is no such zone.
    """
    if name not in available_timezones():
        raise UnknownNameError("time zone", name, available_timezones())
    return name


class SiteTable(Table):
    """Who and where."""

    name: str = "site"
    time_zone: str = "UTC"
    """Zone in which a recording's day is reckoned and the schedule is read."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return known_zone(value)


class FootageTable(Table):
    """Where recordings lie and how their paths are read."""

    root: Path = Path("footage")
    """Folder of the recordings, inside the workspace; links in it may point elsewhere."""
    allow_outside: bool = False
    """Lets `root` be outside the workspace (a mounted recorder, say). Footage is only ever read."""
    pattern: str = "{campaign}/{camera}/{start:%Y-%m-%dT%H-%M-%S}"
    """Path below `root` without the ending; `{start:…}` is a strptime format."""
    suffixes: Annotated[tuple[str, ...], Field(min_length=1)] = (".mp4", ".mkv", ".avi", ".mov", ".m4v", ".ts", ".webm")
    """Endings of recordings' names; upper and lower case are the same."""
    start_time_zone: str = "UTC"
    """Zone of the start times in file names."""
    shard_s: Seconds = 3600.0
    """Recordings longer than this are decoded in shards that begin at key frames."""
    gap_s: Seconds = 2.0
    """Time between two recordings of a camera that is reported as a gap."""

    @field_validator("start_time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return known_zone(value)

    @field_validator("pattern")
    @classmethod
    def _has_parts(cls, value: str) -> str:
        for part in ("{camera}", "{start:"):
            if part not in value:
                raise ValueError(f'needs {part}, as in "{cls.model_fields["pattern"].default}"')
        return value


class EveryNth(Table):
    """One frame in `n`."""

    policy: Literal["every_nth"] = "every_nth"
    n: Annotated[int, Field(ge=1)] = 30


class AtRate(Table):
    """The frame on display at every 1/`rate_hz` seconds of the recording."""

    policy: Literal["rate"] = "rate"
    rate_hz: Hz = 1.0


class KeyFrames(Table):
    """Key frames only: far cheaper, as often as the camera's encoder makes them."""

    policy: Literal["key_frames"] = "key_frames"


Sampling = Annotated[EveryNth | AtRate | KeyFrames, Field(discriminator="policy")]


class EncoderTable(Table):
    """One encoder that the night runs."""

    name: str
    regions: Literal["all"] | tuple[str, ...] = "all"
    """Regions it embeds; the whole picture is the region `frame`."""
    cameras: Literal["all"] | tuple[str, ...] = "all"
    """Cameras whose footage it embeds: an autoencoder knows the one it was trained on."""
    stride_s: Seconds | None = None
    """Seconds from one snippet's start to the next; default: the snippet's length. Snippet encoders only."""

    def runs_for(self, camera: str) -> bool:
        return self.cameras == "all" or camera in self.cameras


class ComputeTable(Table):
    """How networks are run."""

    device: str = "auto"
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    batch_size: Annotated[int, Field(ge=1)] = 32
    decode_threads: Annotated[int, Field(ge=0)] = 0
    """Threads that decode one recording; 0: the machine's cores divided by the workers on it."""


class NoveltyTable(Table):
    """The head that says how unlike its own past a camera's footage is."""

    name: str = "novelty"
    detector: Literal["lof", "knn", "isolation_forest", "one_class_svm", "cells", "magnitude"] = "knn"
    encoder: str = "handcrafted/motion"
    regions: Literal["all"] | tuple[str, ...] = "all"
    """Regions that are judged, each against its own past; the whole picture is the region `frame`."""
    neighbours: Annotated[int, Field(ge=1)] = 20
    scaling: Literal["none", "l2", "standardise"] = "standardise"
    projection: str = "none"
    """`none`, `pca`, `gaussian`, `sparse`, or a trained one of the registry as `NAME` or `NAME/VERSION`."""
    dimension: Annotated[int, Field(ge=1)] = 256
    """Values left by `pca`, `gaussian` and `sparse`."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of what is drawn at random: random projections, the trees of a forest, the subsample of a one-class SVM."""
    minimum_reference: Annotated[int, Field(ge=2)] = 30
    """Earlier snippets below which a day is compared with itself, its own surroundings left out."""
    maximum_reference: Annotated[int, Field(ge=2)] = 20_000
    """Snippets a head is fitted on at most, spread evenly over the reference."""
    reference_days: Annotated[int, Field(ge=1)] = 14
    """Days of the camera's own past that count as its reference."""
    exclusion_s: Seconds = 20.0
    """Half width of the surroundings left out when a day is compared with itself."""
    alarms_per_night: Annotated[float, Field(gt=0)] = 3.0
    """Alarm budget k of one camera and night, all its regions together; a night raises at most this many."""
    floor_mad: Annotated[float, Field(ge=0)] = 3.0
    """The threshold is at least the normal scores' median plus this many robust standard deviations."""
    mu: Annotated[float, Field(gt=0)] | None = None
    """Normalised score (0 and 1: the normal scores' quantiles .001 and .999) above which a snippet is anomalous, and every
    event an alarm; none: the alarm budget sets the threshold."""
    smooth_s: Annotated[float, Field(ge=0)] = 3.0
    hysteresis_mad: Annotated[float, Field(ge=0)] = 1.0
    """An event reaches as far as the score stays above the threshold less this many robust standard deviations."""
    minimum_count: Annotated[int, Field(ge=1)] = 1
    """λ in snippets (cuboids): how many in a row above the threshold an event needs."""
    minimum_s: Annotated[float, Field(ge=0)] = 1.0
    """λ in seconds: how long an event lasts at least."""
    merge_gap_s: Annotated[float, Field(ge=0)] = 4.0

    @field_validator("projection")
    @classmethod
    def _named(cls, value: str) -> str:
        if value not in LINEAR_PROJECTIONS and not all(NAME.fullmatch(part) for part in value.split("/", 1)):
            known = ", ".join(f'"{name}"' for name in LINEAR_PROJECTIONS)
            raise ValueError(f"is one of {known}, or a trained one as NAME or NAME/VERSION")
        return value

    @model_validator(mode="after")
    def _length_of_what(self) -> "NoveltyTable":
        told = {"magnitude": "is the length of the vector itself", "cells": "looks at places, which a projection mixes"}
        if self.detector in told and self.projection != "none":
            raise ValueError(f'the detector "{self.detector}" {told[self.detector]}: it goes with projection "none"')
        return self

    @property
    def trained_projection(self) -> tuple[str, str | None] | None:
        """Name and version of the trained projection; None where there is none, or no version where none is said."""
        if self.projection in LINEAR_PROJECTIONS:
            return None
        name, _, version = self.projection.partition("/")
        return name, version or None


class WeightsOfScores(Table):
    """How much each score of a segment counts in the summary; only their proportions matter."""

    anomaly: Annotated[float, Field(ge=0, le=MOST_WEIGHT)] = 1.0
    memorability: Annotated[float, Field(ge=0, le=MOST_WEIGHT)] = 0.3
    entropy: Annotated[float, Field(ge=0, le=MOST_WEIGHT)] = 0.1
    dynamics: Annotated[float, Field(ge=0, le=MOST_WEIGHT)] = 0.3

    @model_validator(mode="after")
    def _some(self) -> "WeightsOfScores":
        if self.anomaly + self.memorability + self.entropy + self.dynamics == 0:
            raise ValueError("at least one weight is above 0")
        return self


class SummaryTable(Table):
    """What is shown of a camera's day."""

    segmentation: Literal["fixed", "change_points"] = "fixed"
    """Segments of equal length, or from one change of what the camera sees to the next (kernel temporal segmentation)."""
    segment_s: Seconds = 4.0
    """Length of a segment; between change points, that of the shortest."""
    longest_s: Seconds = 20.0
    """Longest segment between change points; what is longer is cut evenly."""
    cuts: Literal["all"] | tuple[str, ...] = ()
    """Cameras whose recordings have cuts, as a switcher or an editor makes them: no segment goes across one."""
    encoder: str = "handcrafted/appearance"
    """Frame encoder that tells how memorable and how alike segments are, and where they change."""
    anomaly: tuple[str, ...] = ()
    """Heads whose scores make a segment anomalous: that of [novelty], and names of [[alarms]]; none: that of [novelty]."""
    budget_s: Seconds = 60.0
    similarity_limit: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Cosine, after the camera's usual picture is subtracted, above which two segments show the same."""
    digest_s: Seconds = 180.0
    """Longest digest of all cameras of a day."""
    keyframes: Annotated[int, Field(ge=1)] = 12
    proxy_width: Annotated[int, Field(ge=64)] = 640
    proxy_rate_hz: Hz = 12.5
    """Most pictures per second in the summary and in proxies."""
    proxy_margin_s: Annotated[float, Field(ge=0)] = 3.0
    """Seconds shown before and after an event in its proxy."""
    proxy_longest_s: Seconds = 60.0
    """Most of an event that its proxy shows, around the peak."""
    weights: WeightsOfScores = WeightsOfScores()
    """The weights `settings`, in use where no weight set was put into service."""

    def has_cuts(self, camera: str) -> bool:
        """Whether a camera's recordings may have cuts."""
        return self.cuts == "all" or camera in self.cuts

    @model_validator(mode="after")
    def _lengths(self) -> "SummaryTable":
        if self.longest_s < self.segment_s:
            raise ValueError(f"longest_s is at least segment_s ({self.segment_s:g}), got {self.longest_s:g}")
        return self


class QueueTable(Table):
    """What the night asks people to judge next."""

    budget: Annotated[int, Field(ge=0, le=10_000)] = 20
    """Snippets of one campaign that a night asks about, all cameras and heads together; 0: none."""
    days: Annotated[int, Field(ge=1)] = 7
    """Newest recorded days of a campaign that they are chosen from."""
    heads: Literal["all"] | tuple[str, ...] = "all"
    """Heads that are asked about: that of [novelty], names of [[alarms]], and use cases of retrieval heads."""
    uncertain_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of a head's snippets that are near its threshold; the others are unlike all that was judged."""


class RefitTable(Table):
    """When models are trained anew, as candidates that a person may put into service."""

    cron: Cron | None = None
    """When, in the site's zone, as "0 12 * * 0"; none: only by hand."""
    kinds: tuple[Literal["autoencoder", "retrieval", "classifier"], ...] = ("autoencoder", "retrieval", "classifier")
    """What is trained anew."""
    held_out: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    """Share of the newest recordings, new to the model in service, that both are compared on and neither is trained on."""
    least_new_s: Seconds = 600.0
    """Normal footage that is new to an autoencoder's model in service, below which it is left as it is."""
    least_new_labels: Annotated[int, Field(ge=1)] = 4
    """Labels that are new to a head's model in service, below which it is left as it is."""


class FederationTable(Table):
    """What this site trains together with others: weights and counts leave it, nothing else does."""

    kinds: tuple[Literal["autoencoder", "classifier", "projection"], ...] = ("autoencoder", "classifier", "projection")
    """What a server may ask this site to train."""
    cameras: Literal["all"] | tuple[str, ...] = "all"
    """Cameras whose footage is learnt from."""
    least_samples: Annotated[int, Field(ge=1)] = 50
    """Samples below which the site sits a round out: weights that few pictures made say much of them."""
    round_s: Seconds = 3600.0
    """Time that the server gives the clients for a round; who is late is left out of it."""
    wait_s: Seconds = 600.0
    """Time that the server waits for enough clients before a round, and a client for its server."""


class ClusterTable(Table):
    """Where tasks run: an embedded local cluster, or an existing Dask scheduler."""

    address: str | None = None
    """`tcp://host:8786` of an existing scheduler; none: an embedded cluster on this machine."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Workers of the embedded cluster; 0: one for each core."""
    gpu_resource: str | None = None
    """Name of the Dask resource that embedding asks one unit of, `GPU` for `dask worker --resources GPU=1`; with
    `address` only: the embedded cluster's workers have no such resource."""
    retries: Annotated[int, Field(ge=0)] = 2

    @model_validator(mode="after")
    def _resource_exists(self) -> "ClusterTable":
        if self.gpu_resource is not None and self.address is None:
            raise ValueError("gpu_resource needs an address: no worker of the embedded cluster has that resource")
        return self


class CameraTable(Table):
    """What is known of one camera."""

    clock_offset_s: Annotated[float, Field(ge=-LONGEST_OFFSET_S, le=LONGEST_OFFSET_S)] = 0.0
    """Seconds to add to this camera's start times to get true time."""
    sampling: Sampling | None = None
    skip: bool = False
    """Leaves the camera's footage unprocessed; its time is reported as skipped."""


class Settings(Table):
    """All of `afterwatch.toml`."""

    site: SiteTable = SiteTable()
    footage: FootageTable = FootageTable()
    sampling: Sampling = AtRate()
    reach_s: Seconds = 2.0
    """Time after a sampled frame that it speaks for; beyond it, time between samples counts as skipped."""
    lake: str = "lake"
    """Folder inside the workspace, or an object-store URL (`s3://bucket/prefix`)."""
    lake_options: dict[str, Any] = Field(default_factory=dict)
    """Passed to the object store's client (fsspec): `endpoint_url`, `anon`, …"""
    encoders: tuple[EncoderTable, ...] = (
        EncoderTable(name="handcrafted/appearance"),
        EncoderTable(name="handcrafted/motion"),
    )
    compute: ComputeTable = ComputeTable()
    novelty: NoveltyTable = NoveltyTable()
    alarms: tuple[AlarmTable, ...] = ()
    notifications: NotificationsTable = NotificationsTable()
    summary: SummaryTable = SummaryTable()
    queue: QueueTable = QueueTable()
    refit: RefitTable = RefitTable()
    federation: FederationTable = FederationTable()
    schedule: ScheduleTable = ScheduleTable()
    watch: WatchTable = WatchTable()
    retention: RetentionTable = RetentionTable()
    access: AccessTable = AccessTable()
    cluster: ClusterTable = ClusterTable()
    cameras: dict[str, CameraTable] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        names = [encoder.name for encoder in self.encoders]
        if not names:
            raise ValueError("encoders: at least one [[encoders]] is needed")
        if len(set(names)) < len(names):
            raise ValueError("encoders: each name stands once; list its regions under one [[encoders]]")
        if self.novelty.encoder not in names:
            raise UnknownNameError("encoder of [novelty], not among [[encoders]]", self.novelty.encoder, names)
        if self.summary.encoder not in names:
            raise UnknownNameError("encoder of [summary], not among [[encoders]]", self.summary.encoder, names)
        heads = [self.novelty.name, *(alarm.name for alarm in self.alarms)]
        if len(set(heads)) < len(heads):
            raise ValueError(f"alarms: each of [[alarms]] and [novelty] has a name of its own, got {', '.join(heads)}")
        for name in self.summary.anomaly:
            if name not in heads:
                raise UnknownNameError("head of [summary] anomaly, neither [novelty] nor of [[alarms]]", name, heads)
        return self

    def sampling_of(self, camera: str) -> EveryNth | AtRate | KeyFrames:
        table = self.cameras.get(camera)
        return table.sampling if table is not None and table.sampling is not None else self.sampling

    def clock_offset_us(self, camera: str) -> int:
        table = self.cameras.get(camera)
        return 0 if table is None else round(table.clock_offset_s * 1_000_000)

    def skips(self, camera: str) -> bool:
        table = self.cameras.get(camera)
        return table is not None and table.skip

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.site.time_zone)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _field_names(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names known at the table that holds `location`, for guessing what an unknown key meant."""
    tables = [model]
    for step in location[:-1]:
        inner = [
            found
            for table in tables
            if step in table.model_fields
            for found in _models_in(table.model_fields[str(step)].annotation)
        ]
        # Where tables are told apart by their policy, the policy is a step of the location too.
        told = [
            table for table in tables if "policy" in table.model_fields and table.model_fields["policy"].default == step
        ]
        tables = inner or told or tables
    return sorted({name for table in tables for name in table.model_fields})


def _explain(error: ValidationError, source: Path) -> ConfigurationError:
    lines = []
    for item in error.errors():
        place = ".".join(str(step) for step in item["loc"]) or "settings"
        if item["type"] == "extra_forbidden":
            unknown = UnknownNameError("setting", str(item["loc"][-1]), _field_names(Settings, item["loc"]))
            lines.append(f"{place}: {unknown}")
        elif item["type"] == "union_tag_not_found":
            lines.append(f'{place}: needs policy, one of "every_nth", "rate" and "key_frames"')
        else:
            hidden = isinstance(item["input"], dict) or may_hold_secret(item["loc"])
            told = repr(item["input"])
            value = "" if hidden else f" (got {told if len(told) <= LONGEST_TOLD else told[:LONGEST_TOLD] + ' …'})"
            lines.append(f"{place}: {item['msg'].removeprefix('Value error, ')}{value}")
    return ConfigurationError(f"{source}: " + "; ".join(lines))


def read_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises:
        ConfigurationError: the file is absent, not TOML, or a setting is unknown or out of its range.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f'{path.parent} is no workspace: it has no {path.name} — make one with "afterwatch init {path.parent}", '
            "or name another with --site"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return Settings.model_validate(told)
    except ValidationError as error:
        raise _explain(error, path) from None
    except UnknownNameError as error:
        raise ConfigurationError(f"{path}: {error}") from None
