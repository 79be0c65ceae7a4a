"""Reads YAML into a tree that remembers the line and column of every key and value."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML, error, nodes, reader

from sensei import errors

#: A migration file is written by people; what is larger is some other file.
MAX_BYTES = 1024 * 1024
# Aliases of aliases can stand for billions of values.
MAX_VALUES = 200_000
MAX_DEPTH = 50

_TAG = "tag:yaml.org,2002:"
_TRUTH = {"true": True, "false": False}


def shown(text: str) -> str:
    """Return a text of the file as a complaint may show it: short, and no URL, which may hold a password."""
    if "://" in text:
        return "(a URL)"
    return text if len(text) <= 60 else text[:57] + "..."


@dataclass(frozen=True)
class Spot:
    """A place in the file, both counted from 1; 0 where there is none."""

    line: int = 0
    column: int = 0


@dataclass(frozen=True)
class Complaint:
    """One thing that is wrong with the file."""

    file: str
    line: int
    column: int
    message: str
    key: str = ""  #: path of the value, such as options.parallelism or auto_rollback.triggers[0].condition

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


def refuse(complaints: list[Complaint]) -> NoReturn:
    """Raise errors.ConfigError with one line for each complaint, in the order of the file."""
    ordered = sorted(dict.fromkeys(complaints), key=lambda c: (c.line, c.column, c.message))
    raise errors.ConfigError(
        "\n".join(map(str, ordered)),
        hint="correct the file, then run the same command again",
        complaints=[
            {"file": c.file, "line": c.line, "column": c.column, "message": c.message, "key": c.key} for c in ordered
        ],
    )


@dataclass
class Tree:
    """A value of the file; of a map or a list, its parts."""

    spot: Spot
    scalar: Any = None
    items: dict[str, Tree] | None = None  # of a map
    parts: tuple[Tree, ...] | None = None  # of a list
    keys: dict[str, Spot] = field(default_factory=dict)  # of a map: where each key stands
    quoted: int = 0  # characters between spot and the first one of a text; -1 for block texts

    def plain(self) -> Any:
        """Return the value as dict, tuple, str, int, float, bool or None."""
        if self.items is not None:
            return {key: value.plain() for key, value in self.items.items()}
        if self.parts is not None:
            return tuple(part.plain() for part in self.parts)
        return self.scalar

    def walk(self) -> Iterator[Tree]:
        """Yield this value and all within it."""
        yield self
        for part in [*(self.items or {}).values(), *(self.parts or ())]:
            yield from part.walk()


# A user and a password before a host, in whatever place of the text.
_PASSWORD = re.compile(r"://[^\s/:@'\"]*:([^\s/@]+)@")
_VARIABLE = re.compile(r"\$\{\w+\}")


def passwords(text: str, name: str) -> list[Complaint]:
    """Return a complaint for each URL with a password in clear, in comments too: the text will be stored."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for match in _PASSWORD.finditer(line):
            if _VARIABLE.sub("", match[1]):
                message = "a URL holds a password in clear, write it as ${VARIABLE}"
                found.append(Complaint(name, number, match.start(1) + 1, message))
    return found


def read_text(path: Path) -> str:
    """Return the text of a file; raises errors.ConfigError where it can't be read or is not UTF-8 text."""
    name = str(path)
    try:
        if path.is_dir():
            refuse([Complaint(name, 1, 1, "this is a folder, expected a migration file in YAML")])
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        refuse([Complaint(name, 1, 1, "there is no such file")])
    except OSError as problem:
        refuse([Complaint(name, 1, 1, f"the file can't be read: {problem.strerror or type(problem).__name__}")])
    except ValueError:  # a NUL in the name
        refuse([Complaint(name.replace("\0", "\\0"), 1, 1, "this can't be the name of a file")])
    if len(data) > MAX_BYTES:
        refuse([Complaint(name, 1, 1, f"the file has more than {MAX_BYTES} bytes, expected a migration file")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        before = data[: problem.start]
        line, column = before.count(b"\n") + 1, problem.start - (before.rfind(b"\n") + 1) + 1
        refuse([Complaint(name, line, column, "the file is not UTF-8 text, expected a migration file in YAML")])
    return text


def parse(text: str, name: str) -> Tree:
    """Return the tree of a YAML text, whose outermost value is a map.

    Raises errors.ConfigError on bad syntax, duplicate keys, several documents, or no map.
    """
    try:
        with warnings.catch_warnings():
            # An anchor used twice is legal; warnings of a library mean nothing to an operator.
            warnings.simplefilter("ignore")
            root = YAML(typ="safe", pure=True).compose(text)
    except reader.ReaderError as problem:
        before = text[: problem.position]
        line, column = before.count("\n") + 1, problem.position - before.rfind("\n")
        refuse([Complaint(name, line, column, "the file contains a control character, expected YAML")])
    except error.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        said = " ".join(str(problem.problem or problem.context or "the text can't be read").split())
        if said.startswith("but found"):
            said = f"expected a single document, {said}"
        spot = Spot(mark.line + 1, mark.column + 1) if mark else Spot(1, 1)
        refuse([Complaint(name, spot.line, spot.column, f"this is not valid YAML: {said}")])
    except error.YAMLError as problem:
        said = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        refuse([Complaint(name, 1, 1, f"this is not valid YAML: {said}")])
    except RecursionError:
        refuse([Complaint(name, 1, 1, f"values are nested deeper than {MAX_DEPTH} levels")])
    except (ValueError, AttributeError, IndexError, KeyError) as problem:
        # Malformed directives and tags make the parser itself stumble.
        refuse([Complaint(name, 1, 1, f"this is not valid YAML: {type(problem).__name__} while reading it")])
    expected = "expected a map with name, source and target"
    if root is None or (isinstance(root, nodes.ScalarNode) and not root.value):
        refuse([Complaint(name, 1, 1, f"the file is empty, {expected}")])
    if not isinstance(root, nodes.MappingNode):
        found = "a list" if isinstance(root, nodes.SequenceNode) else "a single value"
        refuse([Complaint(name, root.start_mark.line + 1, root.start_mark.column + 1, f"{found}, {expected}")])
    builder = _Builder(name)
    tree = builder.build(root, "", ())
    if builder.complaints:
        refuse(builder.complaints)
    return tree


class _Builder:
    def __init__(self, name: str) -> None:
        self.name = name
        self.complaints: list[Complaint] = []
        self.values = 0

    def complain(self, node: nodes.Node, message: str, key: str) -> None:
        spot = _spot(node)
        self.complaints.append(Complaint(self.name, spot.line, spot.column, message, key))

    def build(self, node: nodes.Node, key: str, above: tuple[int, ...]) -> Tree:
        self.values += 1
        if self.values > MAX_VALUES:
            self.complain(node, f"the file stands for more than {MAX_VALUES} values", key)
            refuse(self.complaints)
        if id(node) in above:
            self.complain(node, "the value contains itself", key)
            return Tree(_spot(node))
        if len(above) >= MAX_DEPTH:
            self.complain(node, f"values are nested deeper than {MAX_DEPTH} levels", key)
            return Tree(_spot(node))
        above = (*above, id(node))
        if not isinstance(node, nodes.ScalarNode) and str(node.tag) not in (_TAG + "map", _TAG + "seq"):
            self.complain(node, f"the tag '{str(node.tag).replace(_TAG, '!!')}' is not used here", key)
        if isinstance(node, nodes.MappingNode):
            return self.map(node, key, above)
        if isinstance(node, nodes.SequenceNode):
            parts = tuple(self.build(part, f"{key}[{i}]", above) for i, part in enumerate(node.value))
            return Tree(_spot(node), parts=parts)
        assert isinstance(node, nodes.ScalarNode)
        style = node.style
        quoted = -1 if style in ("|", ">") else (1 if style else 0)
        return Tree(_spot(node), scalar=self.scalar(node, key), quoted=quoted)

    def map(self, node: nodes.MappingNode, key: str, above: tuple[int, ...]) -> Tree:
        tree = Tree(_spot(node), items={})
        assert tree.items is not None
        merged: list[Tree] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, nodes.ScalarNode):
                self.complain(key_node, "a key is a word, not a map or a list", key)
                continue
            # The text as written: a table may well be called 2024, null or yes.
            word = str(key_node.value)
            inner = f"{key}.{shown(word)}" if key else shown(word)
            if str(key_node.tag) == _TAG + "merge":
                below = self.build(value_node, key, above)
                for part in below.parts if below.parts is not None else (below,):
                    if part.items is None:
                        self.complain(key_node, "'<<' takes a map or a list of maps", inner)
                    else:
                        merged.append(part)
                continue
            if word in tree.items:
                first = tree.keys[word]
                self.complain(key_node, f"the key '{shown(word)}' stands here twice, first on line {first.line}", inner)
                continue
            tree.keys[word] = _spot(key_node)
            tree.items[word] = self.build(value_node, inner, above)
        for part in merged:
            for word, value in (part.items or {}).items():
                if word not in tree.items:
                    tree.items[word], tree.keys[word] = value, part.keys[word]
        return tree

    def scalar(self, node: nodes.ScalarNode, key: str) -> Any:
        tag, text = str(node.tag), str(node.value)
        if tag == _TAG + "null":
            return None
        if tag == _TAG + "bool":
            if text.lower() in _TRUTH:
                return _TRUTH[text.lower()]
            self.complain(node, f"expected true or false, found '{shown(text)}'", key)
            return None
        if tag in (_TAG + "int", _TAG + "float"):
            return self.number(node, tag == _TAG + "int", text.replace("_", ""), key)
        # A time stays text: whether it carries an offset would be lost.
        if tag in (_TAG + "str", _TAG + "timestamp", _TAG + "value"):
            return text
        self.complain(node, f"the tag '{tag.replace(_TAG, '!!')}' is not used in a migration file", key)
        return None

    def number(self, node: nodes.ScalarNode, whole: bool, text: str, key: str) -> int | float | None:
        try:
            if whole:
                lower = text.lower().lstrip("+-")
                base = 16 if lower.startswith("0x") else 8 if lower.startswith("0o") else 10
                return int(text, base)
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.complain(node, "this is not a number that can be used here", key)
            return None
        return value


def _spot(node: nodes.Node) -> Spot:
    return Spot(node.start_mark.line + 1, node.start_mark.column + 1)
