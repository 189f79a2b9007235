"""Frame indexes as cameras make them, for property tests."""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from footage.index import FrameIndex

TIME_BASES = (Fraction(1, 25), Fraction(1001, 30000), Fraction(1, 90000), Fraction(1, 1000), Fraction(1, 1_000_000))


@st.composite
def indexes(draw: st.DrawFn) -> FrameIndex:
    """Indexes of up to 60 pictures: regular or not, with holes, late or absent key frames, cut short or not."""
    time_base = draw(st.sampled_from(TIME_BASES))
    usual = max(1, round(draw(st.sampled_from((0.02, 0.04, 0.2, 1.0))) / time_base))
    step = st.one_of(
        st.just(usual),
        st.integers(1, 2 * usual),
        st.integers(usual, max(usual, round(9 / time_base))),
    )
    steps = draw(st.lists(step, min_size=0, max_size=59))
    first = draw(st.integers(-(10**6), 10**12))
    pts = first + np.cumsum([0, *steps], dtype=np.int64)
    is_key = np.array(draw(st.lists(st.booleans(), min_size=len(pts), max_size=len(pts))), dtype=np.bool_)
    is_key[0] |= draw(st.booleans())
    declared_us = draw(st.one_of(st.just(0), st.integers(0, 600_000_000)))
    return FrameIndex(pts, is_key, time_base, declared_us=declared_us)
