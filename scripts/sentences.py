"""The sentences that the code says in English and the chat says again: found in the source itself.

An error's sentence is the first argument of its class; a report's are the texts of the rooms that write
it. An f-string becomes a template: `{path}` stands for whatever is put in there, named after it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

from memory import errors

ROOT = Path(__file__).parents[1]
MET = (
    "memory/files/bounded_read.py", "agent/models/load_check_child.py",
    "memory/journal/branches.py", "memory/journal/database.py", "memory/difference.py",
    "memory/settings/settings.py",
    "memory/recall/index.py", "memory/kinds.py", "memory/memory.py", "memory/moments.py",
    "memory/journal/schema.py",
    "memory/transfer/session_file.py", "memory/settings/settings_file.py",
    "memory/files/sqlite_file.py", "memory/recall/chroma_store.py",
    "memory/journal/threads.py",
    "memory/journal/turns.py", "memory/marks.py",
    "agent/llama/adapter_file.py", "agent/adapters.py", "agent/llama/offload.py",
    "agent/chat/chat.py",
    "agent/prompt/template_renderer.py", "agent/chat/contrast.py", "agent/llama/embedding.py",
    "agent/llama/engine.py",
    "agent/forget/scrubbing.py",
    "agent/models/compatibility.py", "agent/llama/gguf_header.py", "agent/llama/load_check.py",
    "agent/llama/model_shape.py",
    "agent/llama/llama.py", "agent/llama/llama_file.py",
    "agent/chat/marking.py", "agent/models/models.py", "agent/chat/open_thread.py",
    "agent/prompt/prompt.py", "agent/models/pull.py",
    "agent/chat/sessions.py", "agent/chat/context_usage.py", "agent/chat/surprise.py",
    "agent/chat/checkpoints.py",
    "trainer/evaluate/torch_parity.py", "trainer/night/night_process.py", "trainer/night/trial.py",
    "trainer/fit/base_model.py",
    "trainer/lessons/journal_snapshot.py", "trainer/launch/validate_candidate.py",
    "trainer/evaluate/compare.py", "trainer/adapters/gguf_lora.py",
    "trainer/adapters/adapter_staleness.py", "trainer/launch/launch.py",
    "trainer/night/ledger.py", "trainer/loop.py", "trainer/pipeline.py", "trainer/night/night.py",
    "trainer/evaluate/probe.py",
    "trainer/adapters/publish.py", "trainer/report/report.py", "trainer/night/run.py",
    "trainer/night/service.py",
    "trainer/lessons/lesson.py", "trainer/launch/worker_client.py",
    "tui/terminal/editor.py", "tui/setup/fetching.py", "tui/keys/bindings.py",
    "tui/chat/handlers/messages.py", "tui/training/background.py",
    "tui/chat/handlers/marks.py", "tui/chat/marking.py", "tui/widgets/chat/turn.py",
)  # fmt: skip
"""Where errors are raised that a person may meet in the chat."""
REPORTED = (
    "trainer/evaluate/gate.py", "trainer/evaluate/verdict.py",
    "trainer/night/postmortem.py", "trainer/lessons/conflicts.py",
    "trainer/evaluate/baselines.py",
    "trainer/night/gpu_placement.py", "trainer/evaluate/unlearned.py",
    "memory/files/bounded_read.py", "agent/models/load_check_child.py",
)  # fmt: skip
"""Whose texts go into a report, or say the cause in an error."""
SAID = (
    "explain", "damaged", "lost", "_refusal", "say", "notice", "_take_adapter", "waits", "Line",
    "_long", "_why", "error", "_broken", "_cause", "_failure", "refusal", "step", "update",
)  # fmt: skip
"""Functions whose texts are such sentences, too: those given to them, and those they return."""
CONSTANTS = ("STOPPED", "EMPTY", "SMOOTH", "SLIP", "ESTIMATE")
WORDS = {
    "difference", "differences", "turn", "turns", "base", "recall", "talking", "training", "memory",
    "model", "adapter", "stopped",
}  # fmt: skip
"""Single words that are put into a sentence or stand in a report by themselves."""
PARTS = ("said", "whole")
"""Names under which a part of a sentence is kept before it is put in."""
ERRORS = tuple(name for name, kind in vars(errors).items() if name.endswith("Error"))


def sentences() -> set[str]:
    """Return them all, as templates."""
    found: set[str] = set()
    for path in MET:
        found |= set(_of_errors(ast.parse((ROOT / path).read_text("utf-8"))))
    for path in REPORTED:
        found |= set(_texts(ast.parse((ROOT / path).read_text("utf-8"))))
    return {text for text in found if _speaks(text)} | WORDS


def _speaks(text: str) -> bool:
    """Whether it is a sentence or a part of one: words with blanks, not words for a computer."""
    own = "".join(literal for literal, *_ in Formatter().parse(text))
    letters = sum(char.isascii() and char.isalpha() for char in own)
    return len(text.split()) > 1 and letters > 1 and "\n" not in text


def _of_errors(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            for argument in node.args if name in (*ERRORS, *SAID, "Sentence") else ():
                match argument:
                    case ast.Constant(value=str(template)) if name not in SAID or name == "error":
                        yield template
                    case _:
                        yield from _templates(argument)
        elif isinstance(node, ast.FunctionDef) and node.name in SAID:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from _templates(inner.value)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.IfExp):
            yield from _templates(node.value)  # a part that a sentence is made with
        elif isinstance(node, ast.Assign) and _name(node.targets[0]) in (*CONSTANTS, *PARTS):
            yield from _templates(node.value)


def _texts(tree: ast.AST) -> Iterator[str]:
    """Every text that a file's functions say; no docstrings, no tables."""
    inner: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module):
            inner |= {
                part
                for each in node.body
                if isinstance(each, ast.Assign)
                for part in ast.walk(each)
            }
        if isinstance(node, ast.Call) and _name(node.func) in (*ERRORS, "Sentence"):
            inner |= set(ast.walk(node))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inner |= set(ast.walk(node))
        elif node not in inner and (template := _template(node)) is not None:
            yield template
            parts = [part for part in ast.walk(node) if part is not node]
            inner |= {part for part in parts if not isinstance(part, ast.IfExp)} - {
                text for part in parts if isinstance(part, ast.IfExp) for text in ast.walk(part)
            }


def _templates(node: ast.AST) -> Iterator[str]:
    """Yield a text and the texts that it chooses between."""
    if (template := _template(node)) is not None:
        yield template
    for part in ast.walk(node):
        if isinstance(part, ast.IfExp):
            for chosen in (part.body, part.orelse):
                if (template := _template(chosen)) is not None:
                    yield template


def _template(node: ast.AST) -> str | None:
    names: dict[str, int] = {}
    return _made(node, names)


def _made(node: ast.AST, names: dict[str, int]) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text.replace("{", "{{").replace("}", "}}")
        case ast.JoinedStr(values=values):
            return "".join(_made(part, names) or "" for part in values)
        case ast.FormattedValue(value=value):
            return _hole(value, names)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = _made(left, names), _made(right, names)
            if first is None and second is None:
                return None
            return (first if first is not None else _hole(left, names)) + (
                second if second is not None else _hole(right, names)
            )
    return None


def _hole(node: ast.AST, names: dict[str, int]) -> str:
    name = _name(node).strip("_").lower() or "value"
    names[name] = count = names.get(name, 0) + 1
    return "{" + (name if count == 1 else f"{name}{count}") + "}"


def _name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=inner) | ast.Starred(value=inner):
            return _name(inner)
        case ast.Call(args=[first, *_]):
            return _name(first)
        case ast.Call(func=ast.Attribute(value=inner)):
            return _name(inner)
        case ast.BoolOp(values=[first, *_]):
            return _name(first)
        case ast.IfExp():
            return "more"
        case ast.BinOp(left=ast.Constant(value=str())):
            return "s"
        case ast.BinOp(left=inner) | ast.UnaryOp(operand=inner):
            return _name(inner)
    return "value"
