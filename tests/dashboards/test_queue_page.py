"""The Queue page: one snippet at a time, answers that are kept, what is left, why it is asked, and why nothing is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards.app_pages import queue_answers, queue_moment
from dashboards.app_pages import queue_words as say
from dashboards.queue_queries import answered_newest_first, item_called, judged, last_asked, narrowed, upcoming
from dashboards.snapshot import LakeReader
from infra.errors import LakeError
from infra.settings import RefitTable, Settings, SiteTable
from lake.labels import Label, UseCase, labels_now, say_labels
from lake.ledger import RunRow
from lake.store import rows_of
from tests.dashboards.judged_site import give_footage
from tests.dashboards.small_site import CAMERA, CAMPAIGN, DAY, NIGHT, OTHER, RUN, Workspace, at
from tests.dashboards.test_dashboard_pages import APP, words
from workspace.opened import Workspace as Opened
from workspace.queue_items import Answered, Queue, QueueItem, answer, counts_of, read_queue, skips_now

Show = Callable[[Workspace], None]
HEADS = (("novelty", "novelty"), ("alarm", "fight"), ("retrieval", "hatch open"))
"""Kind and name of the heads that ask, by turns."""
LENGTH_S = 2


def queue_rows(count: int, camera: str = CAMERA) -> dict[str, Any]:
    """A queue about a camera's first recording, a snippet every five seconds: heads and reasons by turns, a little below
    their threshold; the first of the alarm has none."""
    numbers = range(count)
    heads = [HEADS[number % len(HEADS)] for number in numbers]
    from_us = [number * 5_000_000 + 10_000_000 for number in numbers]
    return {
        "campaign": CAMPAIGN,
        "camera": camera,
        "day": DAY,
        "rank": [number + 1 for number in numbers],
        "head": [name for _, name in heads],
        "version": "v1",
        "region": "frame",
        "kind": [kind for kind, _ in heads],
        "recording_id": f"{camera}-0",
        "from_us": from_us,
        "to_us": [begin + LENGTH_S * 1_000_000 for begin in from_us],
        "taken_at": [at(begin / 1e6) for begin in from_us],
        "slice": list(numbers),
        "reason": [("uncertain", "diverse")[number % 2] for number in numbers],
        "score": [2.9 if kind == "novelty" else 0.48 for kind, _ in heads],
        "threshold": [
            None if number == 1 else 3.0 if kind == "novelty" else 0.5 for number, (kind, _) in enumerate(heads)
        ],
        "distance": [None if number == 1 else -0.4 for number in numbers],
    }


def ask(workspace: Workspace, rows: dict[str, Any], after: timedelta = timedelta()) -> None:
    """Leave a queue as a night does."""
    path = f"queue/campaign={CAMPAIGN}/{after.total_seconds():.0f}.parquet"
    workspace.store.write_table(path, rows_of("queue", rows))
    finished = NIGHT + after
    row = RunRow(RUN, "queue", CAMPAIGN, "", DAY, "", "7" * 20, "done", finished, finished, outputs=(path,))
    workspace.ledger.record([row])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests answer sooner than people can look."""
    monkeypatch.setattr(queue_answers, "GLANCE_S", 0.0)


@pytest.fixture
def asked(full_site: Workspace, shown: Show) -> Workspace:
    """A night asks about six snippets of one camera, of three heads; there is no footage."""
    st.cache_data.clear()
    ask(full_site, queue_rows(6))
    shown(full_site)
    return full_site


def page(**params: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.switch_page("app_pages/queue.py")
    for key, value in params.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [button for button in app.button if button.label == label]
    button.click().run()
    assert not app.exception, app.exception
    return app


def shown_item(app: AppTest) -> str:
    (button,) = [button for button in app.button if button.label == "Yes"]
    return str(button.key).removeprefix("queue_Yes_")


def items(workspace: Workspace) -> tuple[QueueItem, ...]:
    return read_queue(Opened(workspace.root)).items


def progress(app: AppTest) -> str:
    (bar,) = app.get("progress")
    return str(bar.proto.text)


def said(workspace: Workspace) -> list[tuple[str, int, bool]]:
    """Head, begin in seconds and answer of each label that counts."""
    return sorted((one.use_case.name, one.from_us // 1_000_000, one.relevant) for one in labels_now(workspace.ledger))


# One after another.


def test_one_snippet_is_asked_and_each_answer_goes_on_to_the_next(asked: Workspace) -> None:
    first, second, third, fourth, *_ = items(asked)
    app = page()
    assert shown_item(app) == first.queue_id
    assert "Is this unusual for this camera?" in words(app)
    assert progress(app).startswith("0 of 6 done")
    press(app, "Yes")
    assert shown_item(app) == second.queue_id
    assert "Is this *fight*?" in words(app)
    press(app, "No")
    assert shown_item(app) == third.queue_id
    press(app, "Skip")
    assert shown_item(app) == fourth.queue_id
    assert progress(app).startswith("3 of 6 done: 1 yes, 1 no, 1 skipped")
    assert "fight **1** of 2" in progress(app)
    assert said(asked) == [("fight", 15, False), ("novelty", 10, True)]
    (passed,) = skips_now(asked.ledger)
    assert (passed.use_case, passed.span) == (third.use_case, third.span)
    (label, _) = labels_now(asked.ledger)
    assert label.author == app.session_state["author"]


def test_a_second_press_never_answers_for_what_nobody_has_seen(
    asked: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = items(asked)[1]
    app = press(page(), "Yes")
    with monkeypatch.context() as slow:
        slow.setattr(queue_answers, "GLANCE_S", 3600.0)
        press(press(app, "Yes"), "Skip")
        assert shown_item(app) == second.queue_id
        assert len(said(asked)) == 1
        assert skips_now(asked.ledger) == ()
    press(app, "Yes")
    assert len(said(asked)) == 2


def test_each_button_has_its_key(asked: Workspace) -> None:
    keys = {button.label: button.proto.shortcut.upper() for button in page().button if button.proto.shortcut}
    assert keys == {"Yes": "Y", "No": "N", "Skip": "S", "Take back": "U"}


def test_new_ground_is_told_of_the_days_that_the_choice_looks_at(asked: Workspace) -> None:
    _, diverse, *_ = items(asked)
    assert "all that was judged for this head in the newest days" in words(page(item=diverse.queue_id))


def test_take_back_asks_the_last_one_again_as_often_as_one_likes(asked: Workspace) -> None:
    first, second, *_ = items(asked)
    app = page()
    (button,) = [button for button in app.button if button.label == "Take back"]
    assert button.disabled
    press(press(app, "Yes"), "Skip")
    press(app, "Take back")
    assert shown_item(app) == second.queue_id
    assert "Taken back: skipped" in app.toast[0].value
    assert skips_now(asked.ledger) == ()
    press(app, "Take back")
    assert shown_item(app) == first.queue_id
    assert said(asked) == []


def test_a_press_on_what_is_not_on_the_page_any_more_takes_nothing_back(asked: Workspace) -> None:
    app = press(press(page(), "Yes"), "No")
    app.session_state["queue_shown"] = "the one after"
    press(app, "Take back")
    assert len(said(asked)) == 2
    press(app, "Take back")
    assert said(asked) == [("novelty", 10, True)]


def test_an_answered_one_is_shown_again_and_changed(asked: Workspace) -> None:
    first, *_ = items(asked)
    app = press(page(), "Yes")
    again = next(button for button in app.button if button.key == f"queue_again_{first.queue_id}")
    again.click().run()
    assert shown_item(app) == first.queue_id
    assert ":orange-badge[yes] by" in words(app)
    press(app, "No")
    assert said(asked) == [("novelty", 10, False)]
    app.query_params["item"] = first.queue_id
    press(app.run(), "Next")
    assert (said(asked), skips_now(asked.ledger)) == ([("novelty", 10, False)], ())


def test_the_tiles_are_those_that_come_next_and_open_one(asked: Workspace) -> None:
    app = page()
    tiles = [button for button in app.button if str(button.key).startswith("queue_go_")]
    assert [str(tile.key).removeprefix("queue_go_") for tile in tiles] == [item.queue_id for item in items(asked)[1:]]
    tiles[2].click().run()
    assert shown_item(app) == items(asked)[3].queue_id
    press(app, "Yes")
    assert shown_item(app) == items(asked)[4].queue_id, "it goes on from there"


def test_what_was_said_elsewhere_is_told_and_taken_back_there(asked: Workspace) -> None:
    first, *_ = items(asked)
    case = UseCase(CAMERA, "frame", "novelty")
    verdict = Label(case, CAMPAIGN, DAY, first.recording_id, first.from_us - 1, first.to_us, True, "grace")
    say_labels(asked.ledger, [verdict])
    app = page(item=first.queue_id)
    assert ":orange-badge[yes] by grace" in words(app)
    assert "on the Review, Alarms or Anomalies page" in words(app)
    assert next(button for button in app.button if button.label == "Take back").disabled
    assert shown_item(page()) != first.queue_id


# What is shown of it.


def test_the_video_its_pictures_and_the_next_one_are_made(asked: Workspace) -> None:
    give_footage(asked)
    app = page()
    assert len(app.get("video")) == 1
    assert not app.warning
    clips = asked.site.state_folder / "clips"
    queue_moment.AHEAD.submit(lambda: None).result(30)  # what was begun before it is through
    assert len(list(clips.glob("*.mp4"))) == 2, "the next one is there before it is asked for"
    press(app, "Yes")
    queue_moment.AHEAD.submit(lambda: None).result(30)
    assert len(app.get("video")) == 1
    assert len(list(clips.glob("*.mp4"))) == 3


def test_footage_that_is_gone_is_told_and_answers_still_work(asked: Workspace) -> None:
    app = page()
    assert "Its video cannot be made" in app.warning[0].value
    press(app, "Yes")
    assert len(said(asked)) == 1


def test_why_it_is_asked_stands_beside_it(asked: Workspace) -> None:
    app = page()
    assert "In doubt" in words(app)
    assert "Score 2.9, 0.4 usual spreads below the threshold 3" in words(app)
    press(app, "Skip")
    assert "New ground" in words(app)
    assert "Probability 0.48; the head has no threshold yet" in words(app)


def test_the_filters_narrow_and_say_what_else_is_left(asked: Workspace) -> None:
    rows = queue_rows(2, OTHER)
    more = {name: [*_listed(value, 6), *_listed(rows[name], 2)] for name, value in queue_rows(6).items()}
    ask(asked, {**more, "rank": list(range(1, 9))}, timedelta(hours=1))
    app = page(camera=OTHER)
    assert progress(app).startswith("0 of 2 done")
    press(press(app, "Yes"), "No")
    assert "All answered within these filters" in words(app)
    assert "6 of other campaigns" in words(app)
    press(app, "Show them")
    assert progress(app).startswith("2 of 8 done")
    assert shown_item(app) == items(asked)[0].queue_id
    app.selectbox(key="queue_head").set_value("fight").run()
    assert progress(app).startswith("1 of 3 done")


def _listed(value: Any, count: int) -> list[Any]:
    return value if isinstance(value, list) else [value] * count


def test_a_link_of_what_is_asked_no_more_says_so(asked: Workspace) -> None:
    app = page(item="0123456789ab")
    assert "asks about the snippet of this link no more" in app.info[0].value
    assert shown_item(app) == items(asked)[0].queue_id


def test_without_a_name_nothing_is_said(asked: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboards.app_pages import shared

    monkeypatch.setattr(shared, "_login", lambda: "")
    app = page()
    assert "Say who you are" in words(app)
    assert {"Yes", "No", "Skip", "Take back"} <= {button.label for button in app.button if button.disabled}


def test_what_cannot_be_saved_is_told_and_asked_again(asked: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page()
    first = shown_item(app)

    def fail(*_: object) -> None:
        raise LakeError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("workspace.queue_items.say_labels", fail)
        press(app, "Yes")
    assert "the disk is full" in app.error[0].value
    assert shown_item(app) == first
    press(app, "Yes")
    assert not app.error


# After a dozen, and at the end.


def test_after_a_dozen_answers_it_says_what_they_do(asked: Workspace) -> None:
    ask(asked, queue_rows(14), timedelta(hours=1))
    work = Opened(asked.root)
    for item in items(asked)[:11]:
        answer(work, item, True, "ada")
    app = page()
    assert "What your answers do" not in {one.label for one in app.expander}
    press(app, "No")
    (told,) = [one for one in app.expander if one.label == "What your answers do"]
    text = told.markdown[0].value
    assert "**novelty**, 4 answers: from the next fit on" in text
    assert "**fight**, 4 answers: the next refit" in text
    assert "afterwatch refit --site" in text


def test_when_all_is_answered_it_says_when_the_next_night_asks(asked: Workspace) -> None:
    app = page()
    for _ in range(6):
        press(app, "Yes")
    assert "All answered" in words(app)
    assert "every day at 01:00, Europe/Rome" in words(app)
    assert "What your answers do" in {one.label for one in app.expander}
    assert not [button for button in app.button if button.label == "Yes"]


# Nothing is asked.


def test_without_footage_it_says_what_to_run(empty_site: Workspace, shown: Show) -> None:
    shown(empty_site)
    app = page()
    assert "No footage yet" in words(app)
    assert "afterwatch run --site" in words(app)


def test_before_a_night_has_asked_it_says_when_one_will(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    told = words(page())
    assert "Nothing was asked yet" in told
    assert "every day at 01:00" in told


def test_a_night_that_found_nothing_to_ask_is_told(full_site: Workspace, shown: Show) -> None:
    shown(full_site)
    ask(full_site, {name: [] for name in queue_rows(0)})
    told = words(page())
    assert "Nothing to ask" in told
    assert "The night of Tue 3 Mar 2026, 02:00" in told


def test_a_queue_that_is_switched_off_is_told(full_site: Workspace, shown: Show) -> None:
    settings = Path(full_site.root / "afterwatch.toml")
    settings.write_text(settings.read_text() + "\n[queue]\nbudget = 0\n")
    shown(full_site)
    assert "The queue is switched off" in words(page())


# Queries and words.


def item(number: int, **changes: Any) -> QueueItem:
    begin = number * 10_000_000
    kind, head = HEADS[number % len(HEADS)]
    told: dict[str, Any] = {
        "campaign": CAMPAIGN,
        "camera": CAMERA,
        "day": DAY,
        "region": "frame",
        "rank": number + 1,
        "kind": kind,
        "head": head,
        "version": "v1",
        "recording_id": "gate-0",
        "from_us": begin,
        "to_us": begin + 2_000_000,
        "taken_at": at(begin / 1e6),
        "slice": number,
        "reason": "uncertain",
        "score": 0.48,
        "threshold": 0.5,
        "distance": -0.1,
    }
    return QueueItem(**(told | changes))


def test_what_comes_next_goes_round_and_leaves_out_what_was_answered() -> None:
    four = tuple(item(number) for number in range(4))
    now = datetime(2026, 3, 3, 8, tzinfo=UTC)
    answers = {
        four[0].queue_id: Answered("irrelevant", "ada", now),
        four[3].queue_id: Answered("skipped", "ada", now + timedelta(seconds=1)),
    }
    queue = Queue(four, answers)
    assert upcoming(queue, four[1]) == (four[2],)
    assert upcoming(queue, four[2]) == (four[1],), "what was passed over comes round"
    assert upcoming(queue, four[3]) == (four[1], four[2])
    assert [one for one, _ in answered_newest_first(queue)] == [four[3], four[0]]
    assert item_called(queue, four[2].queue_id) is four[2]
    assert item_called(queue, "") is None
    assert [count.head for count in judged(queue)] == ["novelty"], "the skipped one of the same head counts as none"
    mine = narrowed(queue, None, CAMERA, "novelty")
    assert (mine.items, set(mine.answers)) == ((four[0], four[3]), {four[0].queue_id, four[3].queue_id})
    assert narrowed(queue, "autumn", None, None).items == ()


def test_the_last_time_it_was_asked(full_site: Workspace) -> None:
    assert last_asked(LakeReader(full_site.store)) is None
    ask(full_site, queue_rows(1))
    ask(full_site, queue_rows(2), timedelta(hours=2))
    assert last_asked(LakeReader(full_site.store)) == NIGHT + timedelta(hours=2)


@pytest.mark.parametrize(
    ("distance", "place"),
    [(0.0, 50.0), (-1.5, 25.0), (3.0, 100.0), (-40.0, 0.0)],
    ids=["on it", "below", "end", "past"],
)
def test_the_bar_puts_the_threshold_in_its_middle(distance: float, place: float) -> None:
    assert f"left:calc({place:.1f}% - 8px)" in say.doubt_bar(item(0, distance=distance))


def test_the_bar_names_both_sides_letter_by_letter() -> None:
    told = say.doubt_bar(item(1, head="fight & flight"))
    assert ">not fight &amp; flight<" in told
    assert say.doubt_bar(item(1, threshold=None, distance=None)) == ""


def test_questions_by_kind() -> None:
    assert [say.question(item(number)) for number in range(3)] == [
        "Is this unusual for this camera?",
        "Is this *fight*?",
        "Is this *hatch open*?",
    ]
    assert say.question(item(1, head="a*b")) == r"Is this *a\*b*?"


@pytest.mark.parametrize(
    ("cron", "words_of_it"),
    [
        ("0 1 * * *", "every day at 01:00"),
        ("30 22 * * 5", "every Friday at 22:30"),
        ("0 12 * * 0", "every Sunday at 12:00"),
        ("0 12 * * 7", "every Sunday at 12:00"),
        ("*/5 * * * *", "at “*/5 * * * *”"),
        ("0 1 1 * *", "at “0 1 1 * *”"),
    ],
)
def test_a_cron_in_words(cron: str, words_of_it: str) -> None:
    assert say.cron_text(cron) == words_of_it


def test_what_answers_do_follows_the_settings_of_the_refit() -> None:
    two = tuple(item(number) for number in (1, 2))
    now = datetime(2026, 3, 3, 8, tzinfo=UTC)
    counts = counts_of(Queue(two, {one.queue_id: Answered("relevant", "ada", now) for one in two}))
    settings = Settings(site=SiteTable(name="north"), refit=RefitTable(cron="0 12 * * 0", least_new_labels=6))
    told = say.learning_text(counts, settings, "afterwatch refit --site x")
    assert "**fight**, 1 answer: the next refit trains a candidate of classifier *fight*" in told
    assert "runs every Sunday at 12:00" in told
    assert "6 new labels or more" in told
    none = replace_refit(settings, RefitTable(kinds=("autoencoder",)))
    told = say.learning_text(counts, none, "afterwatch refit --site x")
    assert told.count("leaves its kind out") == 2
    assert "A candidate serves" not in told


def replace_refit(settings: Settings, refit: RefitTable) -> Settings:
    return settings.model_copy(update={"refit": refit})


def test_counts_in_words() -> None:
    two = (item(0), item(3, camera=OTHER), item(1))
    now = datetime(2026, 3, 3, 8, tzinfo=UTC)
    counts = counts_of(Queue(two, {two[0].queue_id: Answered("relevant", "ada", now)}))
    assert say.done_text(counts) == "1 of 3 done: 1 yes, 0 no, 0 skipped"
    assert say.done_text([replace(one, relevant=0) for one in counts]) == "0 of 3 done"
    assert say.counts_text(counts) == "fight **0** of 1 &nbsp;·&nbsp; novelty **1** of 2"
