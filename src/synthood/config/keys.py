"""Every key of a configuration, as the JSON schema has it: path, type, default, meaning and paper."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from synthood.config.messages import TAG_KEYS
from synthood.config.schema import config_schema

Node = dict[str, Any]
NAME = "NAME"
"""A step that the user names, or a place in a list."""
TAGS = (*TAG_KEYS, "name")
"""Keys that say which alternative a section is."""
PAPER = re.compile(r"arXiv (\d{4}\.\d{4,5})")
BOUNDS = {
    ">": ("exclusiveMinimum", "gt"),
    "≥": ("minimum", "ge"),
    "<": ("exclusiveMaximum", "lt"),
    "≤": ("maximum", "le"),
}
WORDS = {"string": "text", "boolean": "true or false", "null": "null"}


@dataclass(frozen=True)
class Tag:
    """The step from a section to one of its alternatives: the values of its `kind` (or `sampler`, ...)."""

    key: str
    values: tuple[str, ...]
    is_default: bool

    def __str__(self) -> str:
        values = self.values if len(self.values) < 5 else (self.values[0], "...", self.values[-1])
        return f"{self.key}: {', '.join(values)}"

    def covers(self, section: Node) -> bool:
        """Whether a section of a configuration is of this alternative."""
        if self.key not in section:
            return self.is_default
        found = str(section[self.key])
        return any(found == value or (NAME in value and found.startswith(value[: -len(NAME)])) for value in self.values)


@dataclass(frozen=True)
class Key:
    """A key, an alternative (the path ends in a Tag) or a named section (it ends in NAME)."""

    path: tuple[str | Tag, ...]
    node: Node
    owner: Node
    """The definition that the key belongs to."""

    def __str__(self) -> str:
        tags = ", ".join(str(step) for step in self.path if isinstance(step, Tag))
        return ".".join(step for step in self.path if isinstance(step, str)) + (f" ({tags})" if tags else "")

    @property
    def is_tag(self) -> bool:
        """Whether the key says which alternative its section is."""
        return self.path[-1] in TAGS and bool({"const", "enum"} & self.node.keys())

    @property
    def type(self) -> str:
        """Allowed values and bounds in words."""
        return type_of(self.node)

    @property
    def default(self) -> str:
        """The default as YAML writes it, or that there is none."""
        last = self.path[-1]
        if isinstance(last, Tag):
            return "the default" if last.is_default else ""
        if "default" not in self.node:
            return "" if last == NAME else "required"
        value = self.node["default"]
        if isinstance(value, dict) and value:
            return "its defaults"
        return value if isinstance(value, str) and value else json.dumps(value)

    @property
    def meaning(self) -> str:
        """The key's description; else that of its type, its alternative or its section."""
        if "description" in self.node:
            return first_paragraph(self.node)
        return first_paragraph(self.owner) if self.is_tag else described(self.node)

    @property
    def papers(self) -> list[str]:
        """arXiv numbers, or words, of the papers that the key, or the alternative or section that it names, is from."""
        found = [self.owner] if self.is_tag else sections(self.node)
        return list(dict.fromkeys([*PAPER.findall(self.meaning), *(papers_of(found[0]) if len(found) == 1 else [])]))


root = cache(config_schema)


@cache
def all_keys() -> tuple[Key, ...]:
    """Every key in the order of the models, alternatives and named sections between them."""
    return tuple(_walk(root(), ()))


def first_paragraph(node: Node) -> str:
    """A description without its details."""
    return " ".join(node.get("description", "").split("\n\n")[0].split())


def papers_of(section: Node) -> list[str]:
    """arXiv numbers of a section's class, or its `paper` as it is."""
    found = PAPER.findall(f"{section.get('description', '')} {section.get('x-paper', '')}")
    return list(dict.fromkeys(found)) or [section["x-paper"]] if "x-paper" in section else found


def alternatives(node: Node) -> list[Node]:
    """What a node may be: references followed, unions flattened, null left out."""
    if "$ref" in node:
        return alternatives(root()["$defs"][node["$ref"].rpartition("/")[2]])
    parts = node.get("anyOf") or node.get("oneOf") or node.get("allOf")
    if parts:
        return [found for part in parts for found in alternatives(part) if found.get("type") != "null"]
    return [node]


def sections(node: Node) -> list[Node]:
    """The alternatives that have keys."""
    return [option for option in alternatives(node) if "properties" in option]


def inside(node: Node) -> list[Node]:
    """What a list holds, or a section whose keys the user names."""
    more = node.get("additionalProperties")
    return [
        *node.get("patternProperties", {}).values(),
        *([more] if isinstance(more, dict) else []),
        *([node["items"]] if "items" in node else node.get("prefixItems", [])),
    ]


def nested(node: Node) -> list[Node]:
    """The sections that a node is or holds, by name or in a list too."""
    return sections(node) or [found for option in alternatives(node) for one in inside(option) for found in nested(one)]


def described(node: Node) -> str:
    """The description of the one thing that a node can be."""
    options = alternatives(node)
    if len(options) == 1 and not first_paragraph(options[0]):
        return next(filter(None, map(described, inside(options[0]))), "")
    texts = {first_paragraph(option) for option in options}
    return texts.pop() if len(texts) == 1 else ""


def tag_of(section: Node) -> Tag | None:
    """What tells an alternative from the others."""
    nodes = dict(properties(section))
    for key in TAGS:
        if node := nodes.get(key):
            begins = re.match(r"\^([a-z]+/)", node.get("pattern", ""))
            values = [node["const"]] if "const" in node else node.get("enum", [f"{begins[1]}{NAME}"] if begins else [])
            return Tag(key, tuple(values), "default" in node) if values else None
    return None


def properties(section: Node) -> Iterator[tuple[str, Node]]:
    """The keys of a section; that inheriting recipes may set all of them to null is left out."""
    for name, node in sorted(section["properties"].items(), key=lambda item: item[0] not in TAGS):
        parts = node.get("anyOf", [])
        relaxed = node.keys() == {"anyOf"} and len(parts) == 2 and parts[1] == {"type": "null"}
        yield name, parts[0] if relaxed else node


def _walk(node: Node, path: tuple[str | Tag, ...]) -> Iterator[Key]:
    several = len(sections(node)) > 1
    for option in alternatives(node):
        if "properties" in option:
            tag = tag_of(option) if several else None
            here = (*path, tag) if tag else path
            if tag:
                yield Key(here, option, option)
            for name, value in properties(option):
                yield Key((*here, name), value, option)
                yield from _walk(value, (*here, name))
        for value in inside(option):
            if sections(value):
                yield Key((*path, NAME), value, option)
                yield from _walk(value, (*path, NAME))


def type_of(node: Node) -> str:
    """Allowed values and bounds in words."""
    options = alternatives(node)
    lists = [option for option in options if option.get("type") == "array" and inside(option)]
    grid = [one for one in lists if all(value in options for value in alternatives(inside(one)[0]))]
    section = "section by kind" if len(sections(node)) > 1 else "section"
    texts = [section if "properties" in option else _plain(option) for option in options if option not in grid]
    text = " or ".join([*dict.fromkeys(texts), *(["null"] if _nullable(node) else [])])
    return f"{text}, or a list of such values" if grid else text


def _nullable(node: Node) -> bool:
    return node.get("type") == "null" or any(map(_nullable, node.get("anyOf", [])))


def _plain(node: Node) -> str:
    if "const" in node:
        return str(node["const"])
    if "enum" in node:
        values = [str(value) for value in node["enum"]]
        return values[0] if len(values) == 1 else f"one of {', '.join(values)}"
    kind = node.get("type", "anything")
    inner = next(map(type_of, inside(node)), "anything").replace("section", "sections", 1)
    if kind == "array":
        least, most = node.get("minItems"), node.get("maxItems")
        count = f" ({least})" if least and least == most else f" (at least {least})" if least else ""
        return f"list{count} of {inner}"
    if kind == "object":
        return f"named {inner}" if inner.startswith("sections") else f"{inner}, by name"
    signs = {sign: node[key] for sign, keys in BOUNDS.items() for key in keys if key in node}
    signs = {sign: value for sign, value in signs.items() if {"≥": ">", "≤": "<"}.get(sign) not in signs}
    bounds = ", ".join(f"{sign} {'2^31' if value == 2**31 else value}" for sign, value in signs.items())
    return f"{WORDS.get(kind, kind)} {bounds}".rstrip()
