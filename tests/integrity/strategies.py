"""Strategies for hypothesis: names and contents that instruments, and people, may come up with."""

from hypothesis import strategies as st

COMPONENTS = st.one_of(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=60),
    st.sampled_from(
        ["-rf", " ", "a b", "ü", "日本語", "x" * 100, "x" * 101, "y" * 250, "new\nline", "a=b", "12 path=x\n", "*"]
    ),
).filter(lambda component: component not in (".", ".."))

PATHS = st.lists(COMPONENTS, min_size=1, max_size=6).map("/".join)

CONTENTS = st.one_of(
    st.binary(max_size=2000),
    st.sampled_from([b"", bytes(511), bytes(512), bytes(513), b"\xff" * 1024]),
)

TREES = st.dictionaries(PATHS, CONTENTS, max_size=6)
"""What lies where. Not every tree fits on a disk: `a` may be a file and `a/b` another."""
