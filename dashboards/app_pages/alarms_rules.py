"""What raises an alarm: classes, thresholds and cameras, as the settings and people say now."""

import streamlit as st

from dashboards.alarm_queries import alarm_remarks, scored_alarms
from dashboards.app_pages.shared import MODELS_PAGE, Workspace
from dashboards.snapshot import records
from dashboards.wording import count_text, day_text, moment_text, plain_text
from infra.alarm_settings import AlarmTable
from infra.errors import AfterwatchError
from workspace.classifiers import find_classifier, threshold_of
from workspace.opened import Workspace as Opened


def show_rules(shown: Workspace, work: Opened, *, expanded: bool = False) -> None:
    """Every alarm of the settings, with the threshold that counts from the next run on."""
    alarms = shown.site.settings.alarms
    names = [alarm.name for alarm in alarms]
    looked = {row.alarm: row for row in records(scored_alarms(shown.lake, names))}
    remarks: dict[str, list[str]] = {}
    for row in records(alarm_remarks(shown.lake, names)):
        remarks.setdefault(row.alarm, []).append(f"{row.camera}, {day_text(row.day)}: {row.message}")
    with st.expander("What raises an alarm", icon=":material/rule:", expanded=expanded):
        for alarm in alarms:
            row = looked.get(alarm.name)
            seen = (
                ":gray[No night has looked for it yet.]"
                if row is None
                else f":gray[Looked for in {count_text(int(row.nights), 'night')} of "
                f"{count_text(int(row.cameras), 'camera')}, last of {day_text(row.newest)}.]"
            )
            lines = [_threshold_text(shown, work, alarm), seen]
            lines += [f":orange[:material/info: {plain_text(remark)}]" for remark in remarks.get(alarm.name, ())]
            with st.container(border=True, gap="small"):
                st.markdown(
                    f"**{plain_text(alarm.name)}** :small[:gray[{_place_text(alarm)}]]  \n"
                    + "  \n".join(f":small[{line}]" for line in lines)
                )
                name, version = alarm.classifier_version
                asked = {"kind": "classifier", "name": name, "version": version, "class": alarm.class_name}
                st.page_link(
                    MODELS_PAGE,
                    label="Classifier and threshold",
                    icon=":material/tune:",
                    query_params={key: value for key, value in asked.items() if value},
                )


def _place_text(alarm: AlarmTable) -> str:
    cameras = "every camera" if alarm.cameras == "all" else plain_text(", ".join(alarm.cameras))
    regions = "" if alarm.regions == ("frame",) else f", regions {plain_text(', '.join(alarm.regions))}"
    told = "" if alarm.notify else ", not notified"
    return f"{cameras}{regions}{told}"


def _threshold_text(shown: Workspace, work: Opened, alarm: AlarmTable) -> str:
    try:
        found = find_classifier(work, *alarm.classifier_version)
        class_name = found.class_named(alarm.class_name)
        point = threshold_of(work, found, class_name)
    except AfterwatchError as error:
        return f":red[:material/error: {plain_text(str(error))}]"
    about = f"{plain_text(class_name)} of classifier {plain_text(found.name)} {found.version}"
    if alarm.threshold is not None:
        return f"{about}, above probability {alarm.threshold:.2f}, as `afterwatch.toml` says"
    chosen = (
        "as the model’s card recommends"
        if not point.author
        else f"as {plain_text(point.author)} chose, {moment_text(point.said_at, shown.zone)}"
    )
    return f"{about}, above probability {point.threshold:.2f}, {chosen}"
