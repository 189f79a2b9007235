"""Models: what was learnt, by kind and name and version; which serves, what it was made from, and where alarms begin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import streamlit as st

from dashboards.app_pages.address import chosen
from dashboards.app_pages.models_card import show_card, show_versions
from dashboards.app_pages.models_comparison import show_comparison
from dashboards.app_pages.models_flips import show_flips
from dashboards.app_pages.models_history import show_history
from dashboards.app_pages.models_sweep import show_sweep
from dashboards.app_pages.promotion import PROMOTE, leave_controls, serve_controls
from dashboards.app_pages.review_parts import tell_problem
from dashboards.app_pages.shared import Workspace, author, empty_state, opened, workspace
from dashboards.model_cards import KINDS
from dashboards.model_queries import Model, in_use, names_by_kind, read_model
from dashboards.wording import count_text, moment_text, plain_text
from lake.promotions import history
from lake.registry import CARD
from workspace.classifiers import KIND as CLASSIFIER
from workspace.classifiers import FoundClassifier
from workspace.lineage import lineage_of
from workspace.opened import Workspace as Opened
from workspace.serving import AUTOENCODER, SERVING, NamedModel, versions_in_service

PAGE = "models"
EVERY = "models_every"
WIDE, WIDER = 240, 340
STATES = {
    "in service": ":green-badge[in service]",
    "candidate": ":blue-badge[candidate]",
    "retired": ":gray-badge[retired]",
    "kept": "",
}
Found = Mapping[str, Mapping[str, Sequence[str]]]


def main() -> None:
    shown = workspace()
    work = opened(shown)
    everything = names_by_kind(work.registry)
    if not everything:
        empty_state(
            ":material/model_training:",
            "No model yet",
            "Models are what is learnt: heads of the night, of reviews and of alarms, projections and autoencoders. The "
            "night makes the first ones; a classifier of actions is fitted on labelled clips:",
            shown.command("fit classifier --data CLIPS --name fights"),
        )
        return
    tell_problem()
    serving = {kind: versions_in_service(work, kind) for kind in SERVING}
    used = in_use(everything, serving)
    picked = None
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        found = everything if _every(everything, used) else used
        if found:
            picked = _pick(shown, work, everything, found, serving)
        st.space("stretch")
        who = author(PROMOTE)
    if picked is None:
        empty_state(
            ":material/model_training:",
            "Nothing is in service",
            "There are versions of models, and none of them serves: switch on “All versions” above to see them.",
        )
    else:
        _show(shown, work, picked, who)


@dataclass(frozen=True, eq=False)
class _Picked:
    """What is looked at: a version, those of its name, and of a classifier one of its classes."""

    named: NamedModel
    models: list[Model]
    model: Model
    classifier: FoundClassifier | None
    class_name: str


def _pick(
    shown: Workspace, work: Opened, everything: Found, found: Found, serving: Mapping[str, Mapping[str, str]]
) -> _Picked:
    kind = _kind(found)
    name = chosen(PAGE, "Name", list(found[kind]), "name", forget=("version", "class"), width=WIDE)
    named = _named(work, kind, name, everything[kind][name], serving)
    models = _models(work, named)
    offered = [one for one in models if one.version in found[kind][name]]
    version = chosen(
        PAGE, "Version", [one.version for one in offered], "version", told=_told(shown, offered), width=WIDER
    )
    model = next(one for one in models if one.version == version)
    classifier = FoundClassifier(name, version, dict(model.card)) if kind == CLASSIFIER else None
    return _Picked(named, models, model, classifier, "" if classifier is None else _class(classifier))


def _show(shown: Workspace, work: Opened, picked: _Picked, who: str) -> None:
    named, model = picked.named, picked.model
    _head(shown, work, model, named, who)
    show_comparison(model, served=named.serving)
    if len(picked.models) > 1:
        show_versions(shown, picked.models, picked.class_name)
    show_history(shown, named)
    show_flips(model)
    if picked.classifier is not None:
        show_sweep(shown, work, picked.classifier, picked.class_name, who)
    show_card(shown, model, lineage_of(work, named, model.version))


def _every(everything: Found, used: Found) -> bool:
    """Whether candidates and retired versions are shown; they are where the address names one."""
    name, version = st.query_params.get("name"), st.query_params.get("version")
    kind = st.query_params.get("kind")

    def holds(found: Found) -> bool:
        kinds = [names for of, names in found.items() if kind in (None, of)]
        named = [versions for names in kinds for called, versions in names.items() if name in (None, called)]
        return any(version in (None, *versions) for versions in named)

    if (kind or name or version) and holds(everything) and not holds(used):
        st.session_state[EVERY] = True
    return bool(
        st.toggle(
            "All versions",
            key=EVERY,
            on_change=_every_changed,
            help="Candidates and retired versions too. Else only what is in service, and what people put into no service.",
        )
    )


def _every_changed() -> None:
    if not st.session_state[EVERY]:  # the address may name a version that is not shown any more
        for name in ("kind", "name", "version"):
            st.query_params.pop(name, None)


def _kind(found: Found) -> str:
    """Which kind is shown: people come for what they steer, so that stands first."""
    kinds = [kind for kind in (*KINDS, *sorted(set(found) - set(KINDS))) if kind in found]
    told = {kind: f"{KINDS.get(kind, (kind, ''))[0]} ({len(found[kind])})" for kind in kinds}
    return chosen(PAGE, "Kind", kinds, "kind", told=told, forget=("name", "version", "class"))


def _class(found: FoundClassifier) -> str:
    """Which class is shown; of a classifier with one there is nothing to choose."""
    return chosen(PAGE, "Class", found.classes, "class", forget=()) if len(found.classes) > 1 else found.classes[0]


def _named(
    work: Opened, kind: str, name: str, versions: Sequence[str], serving: Mapping[str, Mapping[str, str]]
) -> NamedModel:
    """As `model_named`, but that of the many heads of nights not every card is read at each click."""
    if kind not in SERVING:
        return NamedModel(kind, name, tuple(versions), None, ())
    words = tuple(history(work.ledger, kind, name))
    return NamedModel(kind, name, tuple(versions), serving[kind].get(name), words)


def _models(work: Opened, named: NamedModel) -> list[Model]:
    """The versions of a name, that in service first, then the newest first."""
    root = str(work.site.root)
    kept = [
        _kept(work, root, named.kind, named.name, version, _written(work, named, version)) for version in named.versions
    ]
    models = [replace(one, state=named.state(one.version)) for one in kept]
    return sorted(models, key=lambda one: (one.serving, one.made_at, one.version), reverse=True)


def _written(work: Opened, named: NamedModel, version: str) -> int:
    """When a card was written: a refit may measure a candidate anew. 0 where it is gone meanwhile, which reading it tells."""
    try:
        return (work.registry.folder(named.kind, named.name, version) / CARD).stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_resource(max_entries=5000, show_spinner=False)
def _kept(
    _work: Opened,
    root: str,  # noqa: ARG001 — part of the cache's key
    kind: str,
    name: str,
    version: str,
    written_ns: int,  # noqa: ARG001 — as above
) -> Model:
    return read_model(_work.registry, kind, name, version)


def _told(shown: Workspace, models: Sequence[Model]) -> dict[str, str]:
    """Versions in the words of the selector."""

    def words(one: Model) -> str:
        region = f"{one.card['region']}, " if one.kind == "novelty" and one.card.get("region") else ""
        state = "" if one.state == "kept" else f", {one.state}"
        return f"{one.version[:12]} · {region}{moment_text(one.made_at, shown.zone)}{state}"

    return {one.version: words(one) for one in models}


def _head(shown: Workspace, work: Opened, model: Model, named: NamedModel, who: str) -> None:
    """What is looked at, whether it serves, and the buttons that change that."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(
            f"### {plain_text(model.name)} :small[:gray[{model.version}]] {STATES[model.state]}", width="content"
        )
        st.caption(
            f"{count_text(len(named.versions), 'version')}, made {moment_text(model.made_at, shown.zone)}",
            width="content",
        )
    if model.kind not in SERVING:
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        serve_controls(work, named, model.version, who, key=PAGE, then=_look_at)
        leave_controls(work, named, who, key=PAGE, then=_look_at)
    st.caption(_service_text(model, named))


def _look_at(version: str) -> None:
    st.query_params["version"] = version


def _service_text(model: Model, named: NamedModel) -> str:
    if model.kind == AUTOENCODER:
        if model.serving:
            return "The settings say which cameras it looks at."
        return (
            "Put into service, the next run embeds the footage anew with it; the version it replaces can be put back."
        )
    if model.serving:
        return "The next run applies it. Retired, what it found counts no more; its files stay."
    if named.serving is None:
        return "No version is in service: the night does not apply this model."
    return f"{named.serving} is in service. Put this one in its place, and the next run applies it to every day anew."


main()
