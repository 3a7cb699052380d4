"""YAML that remembers where things stand, and takes no key twice (else the second one wins without a word)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml


class UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader, to which a key that stands twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} stands twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def _number_or_clock(loader: UniqueKeyLoader, node: yaml.ScalarNode) -> int | str:
    """YAML 1.1 takes 20:00 for the number 1,200 (and 06:00 for a text): here it is a text as it stands."""
    return str(node.value) if ":" in node.value else int(loader.construct_yaml_int(node))


UniqueKeyLoader.add_constructor("tag:yaml.org,2002:int", _number_or_clock)


@dataclass(frozen=True)
class YamlDocument:
    """A document's content, and its nodes."""

    content: Any
    node: yaml.Node | None

    def line_of(self, path: Sequence[int | str]) -> int:
        """Return the line (from 1) of what `path` leads to, or of the deepest part of it that exists."""
        node, line = self.node, 1
        for part in path:
            node = _child(node, part) or node
        if node is not None:
            line = node.start_mark.line + 1
        return line


def read_yaml(text: str) -> YamlDocument:
    """Parse YAML text.

    Raises:
        yaml.YAMLError: it is not YAML, or a key stands twice in it.
    """
    return YamlDocument(yaml.load(text, Loader=UniqueKeyLoader), yaml.compose(text, Loader=yaml.SafeLoader))  # noqa: S506


def _child(node: yaml.Node | None, part: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        child: yaml.Node = node.value[part]
        return child
    return None
