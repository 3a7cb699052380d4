"""One file, two files: numbers of things in sentences that people read."""


def counted(count: int, thing: str) -> str:
    """Return `1 file`, `2,000 files`, `2 copies`, `3 batches`: the last word of `thing` is in the singular."""
    if count == 1:
        return f"1 {thing}"
    if thing.endswith("y") and not thing.endswith(("ay", "ey", "oy")):
        return f"{count:,} {thing[:-1]}ies"
    return f"{count:,} {thing}{'es' if thing.endswith(('ch', 'sh', 's', 'x')) else 's'}"
