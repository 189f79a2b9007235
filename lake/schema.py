"""The tables of the lake: their columns, types and meaning.

Times of day are UTC; times inside a recording are microseconds since its first picture; spans are half open. Every
table has `campaign`, `camera` and `day` (of the recording's start, in the site's time zone).
"""

from dataclasses import dataclass

import pyarrow as pa

from infra.errors import UnknownNameError

MOMENT = pa.timestamp("us", tz="UTC")
VECTOR = "vector"
LOOK, LOOK_VALUES = "look", 64

_PLACE: list[tuple[str, pa.DataType, str]] = [
    ("campaign", pa.string(), "name of the campaign"),
    ("camera", pa.string(), "name of the camera"),
    ("day", pa.date32(), "day of the recording's start, in the site's time zone"),
]


@dataclass(frozen=True)
class Table:
    """One table: what a row is, and (name, type, meaning) of each column."""

    name: str
    row: str
    columns: tuple[tuple[str, pa.DataType, str], ...]

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(name, kind) for name, kind, _ in self.columns])


def _table(name: str, row: str, *columns: tuple[str, pa.DataType, str]) -> Table:
    return Table(name, row, (*_PLACE, *columns))


_SCORED = (
    ("head", pa.string(), "name of the head"),
    ("version", pa.string(), "version of the head"),
    ("region", pa.string(), "region that was scored; `frame` is the whole picture"),
)

TABLES = {
    table.name: table
    for table in (
        _table(
            "recordings",
            "file found; the newest row of a path counts",
            ("recording_id", pa.string(), "hash of the file's bytes; empty where they could not be read"),
            ("path", pa.string(), "relative to the footage root"),
            ("status", pa.string(), "ready, partial (cut short), quarantined, duplicate or gone"),
            ("reason", pa.string(), "why it is not ready; empty where it is"),
            ("started_at", MOMENT, "true time of the first picture: name and clock offset"),
            ("duration_us", pa.int64(), "recorded time to account for"),
            ("frames", pa.int64(), "pictures in the file"),
            ("width", pa.int32(), "pixels"),
            ("height", pa.int32(), "pixels"),
            ("codec", pa.string(), "video codec"),
            ("rate_hz", pa.float64(), "mean pictures per second"),
            ("variable_rate", pa.bool_(), "whether intervals differ by more than a tenth"),
            ("bytes", pa.int64(), "size of the file"),
            ("mtime_ns", pa.int64(), "time of its last change, as the file system tells"),
            ("seen_at", MOMENT, "when this was found"),
        ),
        _table(
            "coverage",
            "span of a recording; a recording's spans adjoin and fill it",
            ("recording_id", pa.string(), ""),
            ("from_us", pa.int64(), ""),
            ("to_us", pa.int64(), ""),
            ("state", pa.string(), "analysed, skipped, corrupt or missing"),
            ("reason", pa.string(), "why it is not analysed"),
        ),
        _table(
            "frames",
            "sampled picture",
            ("recording_id", pa.string(), ""),
            ("index", pa.int64(), "number of the picture in its recording"),
            ("t_us", pa.int64(), "time in the recording"),
            ("taken_at", MOMENT, "true time"),
            ("luminance", pa.float64(), "mean grey level, 0 to 255"),
            ("entropy_bits", pa.float64(), "Shannon entropy of the grey histogram"),
            ("sharpness", pa.float64(), "variance of the Laplacian"),
            ("motion", pa.float64(), "mean absolute change since the sampled picture before, grey levels"),
            ("digest", pa.string(), "hash of the decoded samples"),
        ),
        _table(
            "stills",
            "about ten minutes of a recording, as one small grey picture without what passes",
            ("recording_id", pa.string(), ""),
            ("from_us", pa.int64(), ""),
            ("to_us", pa.int64(), ""),
            ("taken_at", MOMENT, "true time of `from_us`"),
            ("height", pa.int32(), "pixels"),
            ("width", pa.int32(), "pixels"),
            ("picture", pa.binary(), "grey levels, a byte each, row after row from the top"),
        ),
        _table(
            "embeddings",
            "sampled picture or snippet × region, in one space",
            ("space", pa.string(), "identity of encoder, weights and preprocessing; vectors of two never meet"),
            ("recording_id", pa.string(), ""),
            ("region", pa.string(), "`frame` is the whole picture"),
            ("index", pa.int64(), "number of the (first) picture in its recording"),
            ("from_us", pa.int64(), ""),
            ("to_us", pa.int64(), ""),
            ("taken_at", MOMENT, "true time of `from_us`"),
            ("digest", pa.string(), "hash of the pixels the encoder was given"),
            (VECTOR, pa.list_(pa.float16()), "the embedding; a fixed-size list, as long as the space has dimensions"),
        ),
        _table(
            "health",
            "stretch in which a camera was unwell",
            ("recording_id", pa.string(), ""),
            ("from_us", pa.int64(), ""),
            ("to_us", pa.int64(), ""),
            ("started_at", MOMENT, "true time of `from_us`"),
            ("kind", pa.string(), "black, frozen, blurred or moved"),
            (
                "value",
                pa.float64(),
                "the measure that says so; of a moved camera, the share of the width by which it moved",
            ),
        ),
        _table(
            "scores",
            "snippet or picture × region × head",
            *_SCORED,
            ("recording_id", pa.string(), ""),
            ("index", pa.int64(), ""),
            ("from_us", pa.int64(), ""),
            ("to_us", pa.int64(), ""),
            ("taken_at", MOMENT, "true time of `from_us`"),
            ("score", pa.float32(), "higher is more anomalous or more relevant; of an alarm class, its probability"),
            (
                "probability",
                pa.float32(),
                "share of the camera's normal scores below this one; of a retrieval head, that of being relevant, or null; of an "
                "alarm class, the score",
            ),
            (
                "normalised",
                pa.float32(),
                "0 and 1: the quantiles .001 and .999 of the camera's normal scores; null of other heads, and where all normal "
                "scores are equal and this is another",
            ),
            ("flagged", pa.bool_(), "inside an event; of a retrieval head or an alarm class, above its threshold"),
        ),
        _table(
            "events",
            "event",
            *_SCORED,
            ("event_id", pa.string(), "hash of head, version and span"),
            ("rank", pa.int32(), "1 is the head's highest of the camera's day"),
            (
                "alarm",
                pa.bool_(),
                "within the night's alarm budget, or any where μ or a person sets the threshold; never of a retrieval head, "
                "always of an alarm class",
            ),
            ("recording_id", pa.string(), "recording of the peak"),
            ("started_at", MOMENT, ""),
            ("ended_at", MOMENT, ""),
            ("peak_at", MOMENT, ""),
            ("peak_us", pa.int64(), "time of the peak in its recording"),
            ("peak_score", pa.float32(), "the highest smoothed score"),
            ("threshold", pa.float32(), "what the score was held against"),
            (
                "deviations",
                pa.float32(),
                "how far the peak is above the camera's normal median, in robust standard deviations; null of other heads",
            ),
            ("keyframe", pa.string(), "picture, relative to the camera's published day"),
            ("clip", pa.string(), "short video, relative to the camera's published day"),
        ),
        _table(
            "reasons",
            "event of a novelty head, and why it is one",
            *_SCORED,
            ("event_id", pa.string(), "of the event, as in `events`"),
            (
                "parts",
                pa.list_(pa.struct([("name", pa.string()), ("share", pa.float32())])),
                "share of each part of the score at the peak, the largest first; they add to 1",
            ),
            ("x", pa.float32(), "left edge of the place, as a fraction of the picture; null where it is not known"),
            ("y", pa.float32(), "its upper edge"),
            ("width", pa.float32(), "its width, as a fraction of the picture"),
            ("height", pa.float32(), "its height"),
            (
                "nearest",
                pa.list_(
                    pa.struct(
                        [
                            ("recording_id", pa.string()),
                            ("from_us", pa.int64()),
                            ("to_us", pa.int64()),
                            ("taken_at", MOMENT),
                            ("distance", pa.float32()),
                        ]
                    )
                ),
                "the normal snippets that are most like the peak, nearest first, apart in time",
            ),
        ),
        _table(
            "standards",
            "region of a camera's day, and what its scores were held against",
            *_SCORED,
            ("threshold", pa.float64(), "in use; infinite where no score can be above it"),
            ("source", pa.string(), "what set it: budget, mu or chosen (by a person)"),
            ("hysteresis", pa.float64(), "how far below it an event goes on, in the scores' unit"),
            ("median", pa.float64(), "of the camera's normal scores"),
            ("spread", pa.float64(), "their robust standard deviation"),
            ("low", pa.float64(), "their quantile .001: 0 of the normalised scores"),
            ("high", pa.float64(), "their quantile .999: 1 of the normalised scores"),
            ("nights", pa.int32(), "nights they are from; 1 of a day that is compared with itself"),
            ("expected_alarms", pa.float64(), "events that the threshold finds in such a night, on average"),
        ),
        _table(
            "unusual",
            "stretch that later references leave out: what the alarm budget alarms on, whatever the threshold in use",
            *_SCORED,
            ("started_at", MOMENT, ""),
            ("ended_at", MOMENT, ""),
        ),
        _table(
            "segments",
            "segment of the day",
            ("recording_id", pa.string(), ""),
            ("segment", pa.int32(), "number in its recording"),
            ("from_us", pa.int64(), ""),
            ("to_us", pa.int64(), ""),
            ("taken_at", MOMENT, "true time of `from_us`"),
            ("begins_at", pa.string(), "what it begins at: recording, length, change or cut"),
            (
                "surprise",
                pa.float32(),
                "highest −log10 of how often a normal score is as high, over the heads of `[summary] anomaly`; above 7 it goes by "
                "the deviations from the normal median; null where none scored",
            ),
            (
                "distinctiveness",
                pa.float32(),
                "1 − mean cosine to the camera's nearest normals; null where there are none",
            ),
            (
                "entropy_bits",
                pa.float32(),
                "mean Shannon entropy of the grey histogram; null where no picture was sampled",
            ),
            ("motion", pa.float32(), "mean motion in grey levels; null where no picture has one"),
            (
                "anomaly",
                pa.float32(),
                "`surprise`, 0 to 1, robustly scaled over the camera's reference days and this one; likewise the next three",
            ),
            ("memorability", pa.float32(), "`distinctiveness`, scaled"),
            ("entropy", pa.float32(), "`entropy_bits`, scaled"),
            ("dynamics", pa.float32(), "`motion`, scaled"),
            ("probability", pa.float32(), "highest probability of those heads; null where none scored"),
            (
                "keyframe_us",
                pa.int64(),
                "time of the picture that stands for it; null where none was sampled or all are black or blurred",
            ),
            (
                LOOK,
                pa.list_(pa.float16(), LOOK_VALUES),
                "direction in which its pictures differ from the camera's usual one; nan where it has no embedding",
            ),
        ),
        _table(
            "summaries",
            "segment of the day's summary",
            ("recording_id", pa.string(), ""),
            ("segment", pa.int32(), "its number in its recording, as in `segments`"),
            ("from_us", pa.int64(), ""),
            ("to_us", pa.int64(), ""),
            ("taken_at", MOMENT, "true time of `from_us`"),
            ("score", pa.float32(), "weighted mean of anomaly, memorability, entropy and dynamics"),
            ("reason", pa.string(), "the event it is shown for, as head and rank, or score"),
            ("event_id", pa.string(), "of that event; empty where it is shown for its score"),
            ("weights", pa.string(), "weight set in use: settings, or name/version"),
        ),
        _table(
            "queue",
            "snippet that a person should judge next, as the night found; `day` and `camera` are its own",
            ("rank", pa.int32(), "1 is asked first, over all cameras and heads of the campaign"),
            *_SCORED,
            ("kind", pa.string(), "novelty, alarm or retrieval"),
            ("recording_id", pa.string(), ""),
            ("from_us", pa.int64(), ""),
            ("to_us", pa.int64(), ""),
            ("taken_at", MOMENT, "true time of `from_us`"),
            ("slice", pa.int32(), "temporal slice of the camera's day; of one slice only one is asked"),
            ("reason", pa.string(), "uncertain (near the threshold) or diverse (unlike what was judged)"),
            ("score", pa.float32(), "as in `scores`"),
            ("threshold", pa.float32(), "what the score was held against"),
            ("distance", pa.float32(), "of the score from the threshold, in the head's usual spread; 0 is in doubt"),
        ),
        _table(
            "runs",
            "step of a run; the newest finished row of step, place and scope says which files count",
            ("run_id", pa.string(), ""),
            (
                "step",
                pa.string(),
                "ingest, embed, health, fit, score, retrieve, classify, segment, summarise, publish, digest, queue, refit or night",
            ),
            ("scope", pa.string(), "what of the day: frames, space/region, head"),
            ("key", pa.string(), "hash of everything that decides the outputs"),
            ("inputs", pa.list_(pa.string()), "keys of what it was made from"),
            ("outputs", pa.list_(pa.string()), "files, relative to the lake"),
            ("rows", pa.int64(), "rows written or found"),
            ("seconds", pa.float64(), "time it took"),
            ("decoded_s", pa.float64(), "seconds of footage decoded"),
            ("status", pa.string(), "done, skipped (was there), partial or failed"),
            ("message", pa.string(), "what went wrong, or what there is to know"),
            ("started_at", MOMENT, ""),
            ("finished_at", MOMENT, ""),
        ),
        *(
            _table(
                name,
                f"statement: {what}; the newest of a key counts",
                ("key", pa.string(), "what it is about"),
                ("author", pa.string(), "who says it"),
                ("said_at", MOMENT, "when"),
                ("value", pa.string(), "what is said, as JSON; `null` takes it back"),
            )
            for name, what in (
                ("labels", "relevant or not"),
                ("regions", "outline of a region"),
                ("reviews", "an event looked at, confirmed or dismissed"),
                ("promotions", "a head put into or out of service"),
                ("thresholds", "where a person puts the threshold of a novelty head"),
                ("operating_points", "where a person puts the threshold of a classifier's class"),
                ("deliveries", "an event told by a channel of notifications"),
                ("weight_sets", "a named set of weights of the summaries"),
                ("skips", "a queued snippet that a person cannot or will not judge"),
                ("signoffs", "a flip report read and signed before a promotion"),
                ("holds", "footage that no retention may delete anything of"),
                ("deletions", "a file that retention deleted, and why"),
                ("audit", "something that a person did, or was refused"),
            )
        ),
    )
}

STATEMENTS = (
    "labels",
    "regions",
    "reviews",
    "promotions",
    "thresholds",
    "operating_points",
    "deliveries",
    "weight_sets",
    "skips",
    "signoffs",
    "holds",
    "deletions",
    "audit",
)


def table(name: str) -> Table:
    """Look a table up; an unknown name is answered with the known ones."""
    if name not in TABLES:
        raise UnknownNameError("table", name, TABLES)
    return TABLES[name]


def embedding_schema(dimension: int) -> pa.Schema:
    """Schema of `embeddings` for a space of `dimension` values."""
    schema = TABLES["embeddings"].schema
    position = schema.get_field_index(VECTOR)
    return schema.set(position, pa.field(VECTOR, pa.list_(pa.float16(), dimension)))
