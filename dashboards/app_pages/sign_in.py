"""Signing in and out: what a session sees before it has a role, and who it is afterwards."""

import streamlit as st

from dashboards.app_pages.shared import sign_in_now, site_shown
from dashboards.wording import plain_text
from infra.access import Actor, SignedIn

ENTERED = "sign_in_entered"
"""Key of the session's state: what of its sign-in stands in the audit."""
ROLE_WORDS = {
    "viewer": "You may look at everything.",
    "reviewer": "You may look, label, judge, draw regions, train models and take results away.",
    "engineer": "You may do everything.",
}


def signed_in_person() -> SignedIn:
    """Whom this session belongs to; signing in is entered in the audit, also where it gives no role."""
    found = sign_in_now()
    told = (found.name, found.actor.role)
    if found.name and st.session_state.get(ENTERED) != told:
        allowed = found.actor.role != "none"
        who = found.actor if allowed else Actor(found.name, "none", "dashboard")
        site_shown().guard.note(who, "sign in", allowed=allowed)
        st.session_state[ENTERED] = told
    return found


def sign_in_page() -> None:
    """All that a session sees that has no role."""
    found = sign_in_now()
    _, middle, _ = st.columns([1, 2, 1])
    with middle, st.container(border=True):
        st.markdown("## :material/lock: Afterwatch")
        if found.name:
            st.text(f"You are {found.name}.")
        if found.remark:
            st.warning(plain_text(found.remark), icon=":material/person_off:")
        else:
            st.markdown("These dashboards show recordings of people. Sign in to see them.")
        st.button("Sign in", icon=":material/login:", type="primary", on_click=st.login, key="sign_in")
        if found.name:
            st.button("Sign out", icon=":material/logout:", on_click=st.logout, key="sign_out")


def person_menu(found: SignedIn) -> None:
    """Who is signed in, what they may do, and the way out."""
    actor = found.actor
    if not actor.signed_in:
        return
    with st.popover(plain_text(actor.name), icon=":material/person:", help="Who is signed in"):
        with st.container(horizontal=True, gap="small"):
            st.text(actor.name)  # as Markdown, an address would be a link
            st.badge(actor.role)
        st.caption(f"{ROLE_WORDS[actor.role]} Your name stands beside everything that you say here, and in the audit.")
        st.button("Sign out", icon=":material/logout:", on_click=_leave, args=(actor,), key="sign_out")


def _leave(actor: Actor) -> None:
    site_shown().guard.note(actor, "sign out")
    st.session_state.pop(ENTERED, None)
    st.logout()
