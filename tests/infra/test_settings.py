"""A settings file says exactly what it says, or is refused with what was meant."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, ValidationError

import infra.alarm_settings
import infra.operation_settings
import infra.settings
import infra.table
from infra.alarm_settings import AlarmTable, EmailTable, NotificationsTable, WebhookTable
from infra.errors import ConfigurationError
from infra.settings import SETTINGS_FILE, AtRate, EveryNth, KeyFrames, NoveltyTable, Settings, read_settings

ALARM = "[[alarms]]\nname = 'fall'\nclassifier = 'falls'"
MAIL = "[[notifications.email]]\nhost = 'mail.example.org'\nsender = 'a@example.org'\nrecipients = ['b@example.org']"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / SETTINGS_FILE


def read(file: Path, text: str) -> Settings:
    file.write_text(text, encoding="utf-8")
    return read_settings(file)


def test_an_empty_file_is_the_defaults(file: Path) -> None:
    assert read(file, "") == Settings()


def test_everything_can_be_said(file: Path) -> None:
    settings = read(
        file,
        """
        reach_s = 3
        lake = "s3://bucket/prefix"
        lake_options = { endpoint_url = "http://127.0.0.1:9000", anon = false }
        [site]
        name = "north"
        time_zone = "Europe/Vienna"
        [footage]
        pattern = "{camera}/{start:%Y/%m/%d/%H-%M-%S}"
        suffixes = [".ts"]
        [sampling]
        policy = "every_nth"
        n = 10
        [[encoders]]
        name = "handcrafted/appearance"
        [[encoders]]
        name = "handcrafted/motion"
        regions = ["frame", "door"]
        stride_s = 2
        [schedule]
        until = "06:00"
        [cameras."hall 1"]
        clock_offset_s = -1.5
        sampling = { policy = "key_frames" }
        [cameras.yard]
        skip = true
        """,
    )
    assert settings.zone == ZoneInfo("Europe/Vienna")
    assert settings.sampling_of("yard") == EveryNth(n=10)
    assert settings.sampling_of("hall 1") == KeyFrames()
    assert settings.clock_offset_us("hall 1") == -1_500_000
    assert settings.clock_offset_us("yard") == settings.clock_offset_us("unknown") == 0
    assert settings.skips("yard")
    assert not settings.skips("hall 1")
    assert not settings.skips("unknown")
    assert settings.encoders[1].regions == ("frame", "door")
    assert settings.schedule.until is not None


@pytest.mark.parametrize(
    ("text", "place", "guess"),
    [
        ("reech_s = 1", "reech_s", "reach_s"),
        ("[footage]\nsufixes = ['.mp4']", "footage.sufixes", "suffixes"),
        ("[summary.weights]\nanomly = 1", "summary.weights.anomly", "anomaly"),
        ("[cameras.hall]\nclock_ofset_s = 1", "cameras.hall.clock_ofset_s", "clock_offset_s"),
        ("[sampling]\npolicy = 'rate'\nrate_h = 2", "sampling.rate.rate_h", "rate_hz"),
        ("[cameras.a.sampling]\npolicy = 'rate'\nrate_h = 2", "cameras.a.sampling.rate.rate_h", "rate_hz"),
        ("[[encoders]]\nname = 'handcrafted/motion'\nstride = 1", "encoders.0.stride", "stride_s"),
        ("[noveltyy]\nname = 'x'", "noveltyy", "novelty"),
        ("[[alarms]]\nname = 'x'\nclassifier = 'y'\ntreshold = 0.5", "alarms.0.treshold", "threshold"),
        ("[[alarm]]\nname = 'x'", "alarm", "alarms"),
        ("[notifications]\nmost_per_our = 5", "notifications.most_per_our", "most_per_hour"),
        ("[[notifications.webhook]]\nurl = 'https://x'\nsecret = 'y'", "notifications.webhook.0.secret", "secret_env"),
    ],
)
def test_an_unknown_key_is_refused_with_the_one_that_was_meant(file: Path, text: str, place: str, guess: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(file, text)
    assert str(file) in str(caught.value)
    assert f"{place}: unknown setting" in str(caught.value)
    assert f'did you mean "{guess}"' in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("reach_s = 0", "reach_s: .*greater than 0.*got 0"),
        ("reach_s = -1", "greater than 0"),
        ("reach_s = inf", "finite"),
        ("reach_s = nan", "reach_s"),
        ("[footage]\nshard_s = inf", "finite"),
        ("[cameras.a]\nclock_offset_s = nan", "finite"),
        ("[sampling]\npolicy = 'rate'\nrate_hz = 1001", "less than or equal to 1000"),
        ("[sampling]\npolicy = 'every_nth'\nn = 0", "greater than or equal to 1"),
        ("[sampling]\npolicy = 'every_nth'\nn = 1.5", "integer"),
        ("[sampling]\npolicy = 'often'", "'every_nth', 'rate', 'key_frames'"),
        ("[sampling]\nrate_hz = 2", 'sampling: needs policy, one of "every_nth", "rate"'),
        ("[footage]\npattern = '{camera}'", r"footage\.pattern: needs \{start:"),
        ("[footage]\npattern = '{start:%Y}'", r"needs \{camera\}"),
        ("[footage]\nsuffixes = []", "suffixes"),
        ("[compute]\nprecision = 'fp8'", "'auto', 'fp32', 'fp16' or 'bf16'"),
        ("[compute]\nbatch_size = 0", "batch_size"),
        ("[novelty]\ndetector = 'loff'", "detector"),
        ("[novelty]\nalarms_per_night = 0", "alarms_per_night"),
        ("[novelty]\nmu = 0", "novelty.mu: .*greater than 0"),
        ("[novelty]\nprojection = '../pca'", 'novelty.projection: is one of "none".*NAME/VERSION'),
        ("[novelty]\nprojection = 'street/'", "NAME/VERSION"),
        ("[novelty]\ndetector = 'magnitude'\nprojection = 'pca'", "magnitude.*goes with projection"),
        ("[summary]\nsimilarity_limit = 1.1", "similarity_limit"),
        ("[summary.weights]\nanomaly = 0\nmemorability = 0\nentropy = 0\ndynamics = 0", "at least one weight"),
        ("[summary.weights]\ndynamics = 1.7e308", r"summary\.weights\.dynamics: .*less than or equal to 1000000"),
        ("[cluster]\nretries = -1", "retries"),
        ("[site]\ntime_zone = 'Europe/Wien'", 'unknown time zone "Europe/Wien"'),
        ("[site]\ntime_zone = 'Europe/Viena'", 'did you mean "Europe/Vienna"'),
        ("encoders = []", "at least one"),
        ("[[encoders]]\nname='handcrafted/motion'\n[[encoders]]\nname='handcrafted/motion'", "stands once"),
        ("[[encoders]]\nname='handcrafted/appearance'", r"encoder of \[novelty\].*handcrafted/motion"),
        ("[[encoders]]\nname='handcrafted/motion'", r"encoder of \[summary\].*handcrafted/appearance"),
        ("[schedule]\nuntil = '25:00'", "until"),
        (f"{ALARM}\nthreshold = 1", "alarms.0.threshold: .*less than 1"),
        (f"{ALARM}\nthreshold = 0", "alarms.0.threshold: .*greater than 0"),
        (f"{ALARM}\nregions = []", "alarms.0.regions"),
        (f"{ALARM}\nmerge_gap_s = -1", "alarms.0.merge_gap_s"),
        (f"{ALARM}\n{ALARM}", "each of .*alarms.* has a name of its own, got novelty, fall, fall"),
        ("[[alarms]]\nname = 'novelty'\nclassifier = 'falls'", "a name of its own, got novelty, novelty"),
        ("[[alarms]]\nname = '../fall'\nclassifier = 'falls'", "alarms.0.name"),
        ("[[alarms]]\nname = 'fall'\nclassifier = 'falls/'", "alarms.0.classifier: is a classifier.*NAME/VERSION"),
        ("[[alarms]]\nname = 'fall'\nclassifier = '../falls'", "alarms.0.classifier"),
        ("[[alarms]]\nname = 'fall'", "alarms.0.classifier: Field required"),
        (f"{MAIL}\nuser = 'me'", "user and password_env come together or not at all"),
        (f"{MAIL}\npassword_env = 'SECRET'", "come together"),
        (
            f"{MAIL}\nsecurity = 'none'\nuser = 'me'\npassword_env = 'SECRET'",
            "would send the password to mail.example.org",
        ),
        (f"{MAIL}\nsecurity = 'ssl'", "'starttls', 'tls' or 'none'"),
        (f"{MAIL}\nport = 0", "port: .*greater than or equal to 1"),
        (f"{MAIL}\n{MAIL}", "each channel has a name of its own, got email, email"),
        ("[[notifications.webhook]]\nurl = 'ftp://example.org'", "notifications.webhook.0.url"),
        ("[notifications]\nlink = 'dashboard'", "notifications.link"),
        ("[notifications]\nmost_per_hour = 0", "notifications.most_per_hour"),
        ("reach_s = ", "not TOML"),
        ("reach_s = 1\nreach_s = 2", "not TOML"),
    ],
)
def test_settings_out_of_their_range_are_refused_with_the_rule(file: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        read(file, text)
    assert str(caught.value).startswith(str(file))


@pytest.mark.parametrize(
    ("projection", "trained"),
    [("none", None), ("sparse", None), ("street", ("street", None)), ("street 2/0a1b", ("street 2", "0a1b"))],
)
def test_a_projection_that_is_not_linear_is_a_trained_one(
    projection: str, trained: tuple[str, str | None] | None
) -> None:
    assert NoveltyTable(projection=projection).trained_projection == trained


def test_an_encoder_may_run_for_some_cameras_only(file: Path) -> None:
    told = "[[encoders]]\nname = 'handcrafted/{}'\ncameras = ['yard']\n"
    encoder = read(file, told.format("appearance") + told.format("motion")).encoders[1]
    assert encoder.runs_for("yard") and not encoder.runs_for("gate")
    assert Settings().encoders[0].runs_for("gate")


def test_alarms_and_channels_are_read(file: Path) -> None:
    told = f"{ALARM}\nthreshold = 0.7\ncameras = ['yard']\nregions = ['frame', 'door']\n[notifications]\nnovelty = true\n{MAIL}"
    settings = read(file, f"{told}\n[[notifications.webhook]]\nurl = 'https://example.org/hook'\nsecret_env = 'KEY'")
    (alarm,) = settings.alarms
    assert (alarm.threshold, alarm.regions, alarm.class_name, alarm.notify) == (0.7, ("frame", "door"), None, True)
    assert alarm.runs_for("yard") and not alarm.runs_for("gate")
    (email,), (webhook,) = settings.notifications.email, settings.notifications.webhook
    assert (email.name, email.port, email.security, email.recipients) == ("email", 587, "starttls", ("b@example.org",))
    assert (webhook.name, webhook.secret_env) == ("webhook", "KEY")
    assert settings.notifications.novelty


@pytest.mark.parametrize(("told", "parts"), [("falls", ("falls", None)), ("falls 2/0a1b", ("falls 2", "0a1b"))])
def test_an_alarm_names_a_classifier_and_maybe_its_version(told: str, parts: tuple[str, str | None]) -> None:
    assert AlarmTable(name="fall", classifier=told).classifier_version == parts


def test_without_channels_nothing_is_told(file: Path) -> None:
    settings = read(file, "")
    assert settings.alarms == ()
    assert settings.notifications == NotificationsTable()
    assert not settings.notifications.email and not settings.notifications.webhook


def test_a_password_may_go_in_the_clear_to_this_machine_only() -> None:
    told: dict[str, Any] = {
        "sender": "a@x",
        "recipients": ["b@x"],
        "user": "me",
        "password_env": "P",
        "security": "none",
    }
    assert EmailTable(host="127.0.0.1", **told).security == "none"
    assert WebhookTable(url="http://127.0.0.1:9/").secret_env is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"{MAIL}\nuser = 'me'\npassword_env = 'hunter2!'", "notifications.email.0.password_env"),
        (f"{MAIL}\nuser = 'me'\npassword_env = ['hunter2!']", "notifications.email.0.password_env"),
        (
            "[[notifications.webhook]]\nurl = 'https://x'\nsecret_env = '2hunter2!'",
            "notifications.webhook.0.secret_env",
        ),
        ("[[notifications.webhook]]\nurl = 'hooks.example.org/hunter2!'", "notifications.webhook.0.url"),
        ("[notifications]\nwebhook = 'https://x/hunter2!'", "notifications.webhook"),
        ("[notifications]\nwebhook = ['https://x/hunter2!']", "notifications.webhook.0"),
        ("notifications = 'https://x/hunter2!'", "notifications"),
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(file: Path, text: str, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(file, text)
    assert f"{place}: " in str(caught.value) and "hunter2" not in str(caught.value)


def test_other_settings_of_a_channel_are_repeated(file: Path) -> None:
    for text, value in ((f"{MAIL}\nport = 70000", "70000"), ("[notifications]\nlink = 'dashboard'", "'dashboard'")):
        with pytest.raises(ConfigurationError, match=f"got {value}"):
            read(file, text)


def test_several_faults_are_told_at_once(file: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(file, "reach_s = 0\n[footage]\ngap_s = -1\nroott = 'x'")
    assert all(place in str(caught.value) for place in ("reach_s", "footage.gap_s", "footage.roott"))


def test_a_folder_without_settings_is_no_workspace(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no workspace.*afterwatch init"):
        read_settings(file)


def test_a_file_that_cannot_be_read_is_told(file: Path) -> None:
    file.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_settings(file)
    (file.parent / "other").mkdir()
    other = file.parent / "other" / SETTINGS_FILE
    other.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not TOML"):
        read_settings(other)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().reach_s = 5.0
    with pytest.raises(ValidationError, match="frozen"):
        AtRate().rate_hz = 5.0


def tables() -> Iterator[type[BaseModel]]:
    for module in (infra.settings, infra.alarm_settings, infra.operation_settings):
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, infra.table.Table) and value.__module__ == module.__name__:
                yield value


def explained(table: type[BaseModel]) -> dict[str, bool]:
    """Which settings of a table have a text under them."""
    tree = ast.parse(inspect.getsource(table)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, bool] = {}
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    return found


PLAIN = {"name", "policy", "n", "rate_hz", "device", "precision", "batch_size", "detector", "encoder", "neighbours"}
PLAIN |= {"scaling", "smooth_s", "minimum_count", "minimum_s", "merge_gap_s", "anomaly", "memorability", "entropy"}
PLAIN |= {"dynamics", "segment_s", "budget_s", "keyframes", "proxy_width", "weights", "cron", "retries", "sampling"}
PLAIN |= {"site", "footage", "encoders", "compute", "novelty", "summary", "schedule", "cluster", "cameras"}
PLAIN |= {
    "alarms",
    "notifications",
    "queue",
    "watch",
    "retention",
    "access",
    "client_id",
    "refit",
    "federation",
    "email",
    "webhook",
    "host",
    "port",
    "user",
    "sender",
    "recipients",
    "url",
    "timeout_s",
}
"""Settings that their names and their table's text explain."""


GIVEN = {"recipients": ["x"], "url": "https://x"}
"""Values of settings that must be given and are no plain text."""


@pytest.mark.parametrize("table", list(tables()), ids=lambda table: str(table.__name__))
def test_every_setting_is_documented_and_its_default_is_valid(table: type[BaseModel]) -> None:
    assert table.__doc__
    for name, has_text in explained(table).items():
        assert has_text or name in PLAIN, f"{table.__name__}.{name}"
    required = (name for name, field in table.model_fields.items() if field.is_required())
    given: dict[str, Any] = {name: GIVEN.get(name, "x") for name in required}
    made = table(**given)
    assert table.model_validate(made.model_dump()) == made
