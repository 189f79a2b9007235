"""Models: what was learnt, by kind and name and version; which serves, what it was made from, and where alarms begin."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from dashboards.app_pages.address import chosen
from dashboards.app_pages.models_card import show_card, show_versions
from dashboards.app_pages.models_comparison import show_comparison
from dashboards.app_pages.models_sweep import show_sweep
from dashboards.app_pages.review_parts import NO_AUTHOR, attempt, tell_problem
from dashboards.app_pages.shared import Workspace, author, empty_state, opened, workspace
from dashboards.model_cards import KINDS
from dashboards.model_queries import Model, names_by_kind, read_model
from dashboards.wording import count_text, moment_text, plain_text
from workspace.classifiers import KIND as CLASSIFIER
from workspace.classifiers import FoundClassifier
from workspace.opened import Workspace as Opened
from workspace.serving import (
    AUTOENCODER,
    SERVING,
    model_named,
    put_into_service,
    take_out_of_service,
    versions_in_service,
)

PAGE = "models"
WIDE, WIDER = 260, 380
STATES = {"in service": ":green-badge[in service]", "candidate": ":blue-badge[candidate]", "kept": ""}


def main() -> None:
    shown = workspace()
    work = opened(shown)
    found = names_by_kind(work.registry)
    if not found:
        empty_state(
            ":material/model_training:",
            "No model yet",
            "Models are what is learnt: heads of the night, of reviews and of alarms, projections and autoencoders. The "
            "night makes the first ones; a classifier of actions is fitted on labelled clips:",
            shown.command("fit classifier --data CLIPS --name fights"),
        )
        return
    tell_problem()
    bar = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
    with bar:
        kind = _kind(found)
        serving = versions_in_service(work, kind)
        name = chosen(PAGE, "Name", list(found[kind]), "name", forget=("version", "class"), width=WIDE)
        models = _models(work, kind, name, found[kind][name], serving)
        version = chosen(
            PAGE, "Version", [one.version for one in models], "version", told=_told(shown, models), width=WIDER
        )
        model = next(one for one in models if one.version == version)
        found_one = FoundClassifier(name, version, dict(model.card)) if kind == CLASSIFIER else None
        class_name = _class(found_one) if found_one is not None else ""
        st.space("stretch")
        who = author()
    _head(shown, work, model, models, serving, who)
    show_comparison(model, served=serving.get(name))
    if len(models) > 1:
        show_versions(shown, models, class_name)
    if found_one is not None:
        show_sweep(shown, work, found_one, class_name, who)
    show_card(shown, model)


def _kind(found: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """Which kind is shown: people come for what they steer, so that stands first."""
    kinds = [kind for kind in (*KINDS, *sorted(set(found) - set(KINDS))) if kind in found]
    told = {kind: f"{KINDS.get(kind, (kind, ''))[0]} ({len(found[kind])})" for kind in kinds}
    return chosen(PAGE, "Kind", kinds, "kind", told=told, forget=("name", "version", "class"))


def _class(found: FoundClassifier) -> str:
    """Which class is shown; of a classifier with one there is nothing to choose."""
    return chosen(PAGE, "Class", found.classes, "class", forget=()) if len(found.classes) > 1 else found.classes[0]


def _models(work: Opened, kind: str, name: str, versions: Sequence[str], serving: Mapping[str, str]) -> list[Model]:
    """The versions of a name, that in service first, then the newest first."""
    root = str(work.site.root)
    kept = [_kept(work, root, kind, name, version) for version in versions]
    models = [replace(one, serving=serving.get(name) == one.version) for one in kept]
    return sorted(models, key=lambda one: (one.serving, one.made_at, one.version), reverse=True)


@st.cache_resource(max_entries=5000, show_spinner=False)
def _kept(
    _work: Opened,
    root: str,  # noqa: ARG001 — part of the cache's key
    kind: str,
    name: str,
    version: str,
) -> Model:
    return read_model(_work.registry, kind, name, version)


def _told(shown: Workspace, models: Sequence[Model]) -> dict[str, str]:
    """Versions in the words of the selector."""

    def words(one: Model) -> str:
        region = f"{one.card['region']}, " if one.kind == "novelty" and one.card.get("region") else ""
        state = ", in service" if one.serving else ""
        return f"{one.version[:12]} · {region}{moment_text(one.made_at, shown.zone)}{state}"

    return {one.version: words(one) for one in models}


def _head(
    shown: Workspace, work: Opened, model: Model, models: Sequence[Model], serving: Mapping[str, str], who: str
) -> None:
    """What is looked at, whether it serves, and the buttons that change that."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(
            f"### {plain_text(model.name)} :small[:gray[{model.version}]] {STATES[model.state]}", width="content"
        )
        st.caption(
            f"{count_text(len(models), 'version')}, made {moment_text(model.made_at, shown.zone)}", width="content"
        )
    if model.kind not in SERVING:
        return
    served = serving.get(model.name)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.button(
            "Put into service",
            icon=":material/publish:",
            key="models_serve",
            on_click=_serve,
            args=(work, model, who),
            disabled=not who or model.serving,
            help=NO_AUTHOR if not who else "It serves already" if model.serving else "In place of any other version",
        )
        if model.kind != AUTOENCODER:  # the settings say whether one is used
            st.button(
                "Retire",
                icon=":material/archive:",
                key="models_retire",
                on_click=_retire,
                args=(work, model, who),
                disabled=not who or served is None,
                help=NO_AUTHOR
                if not who
                else f"Takes {served} out of service"
                if served
                else "No version is in service",
            )
        st.caption(_service_text(model, served), width="content")


def _service_text(model: Model, served: str | None) -> str:
    if model.kind == AUTOENCODER:
        if model.serving:
            return "The settings say which cameras it looks at."
        return (
            "Put into service, the next run embeds the footage anew with it; the version it replaces can be put back."
        )
    if model.serving:
        return "The next run applies it. Retired, what it found counts no more; its files stay."
    if served is None:
        return "No version is in service: the night does not apply this model."
    return f"{served} is in service. Put this one in its place, and the next run applies it to every day anew."


def _serve(work: Opened, model: Model, who: str) -> None:
    with attempt("Not put into service"):
        put_into_service(work, model_named(work, model.name, model.kind), model.version, who)
        st.query_params["version"] = model.version
        st.toast(f"{model.name} {model.version} is in service", icon=":material/publish:")


def _retire(work: Opened, model: Model, who: str) -> None:
    with attempt("Not retired"):
        take_out_of_service(work, model_named(work, model.name, model.kind), who)
        st.query_params["version"] = model.version
        st.toast(f"{model.name} is out of service", icon=":material/archive:")


main()
