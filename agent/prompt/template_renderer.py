"""Render a model's chat template, in a child process with limits.

A template comes with a model file of any origin: it may loop forever, allocate all memory or raise
anything. For one conversation the child may use `CPU_SECONDS` of processor time (so that a busy machine
does not matter), `MEMORY` bytes, and `MAX_OUTPUT_CHARACTERS` characters of output. One child renders
for the whole process, one conversation at a time. It starts with the first and ends when its input is
closed, which the kernel does when the parent ends. Templates get the same environment as in
transformers.

    python -m agent.prompt.template_renderer     the child: JSON lines in, JSON lines out

Source: transformers.utils.chat_template_utils.
"""

from __future__ import annotations

import atexit
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any

from agent.child_process import environment
from agent.llama.gguf.llama_file import ChatTemplate
from memory.errors import ModelError
from memory.files.bounded_read import parse_object
from memory.sentence import Sentence, Stored, to_plain

if TYPE_CHECKING:
    from jinja2 import Template

CPU_SECONDS = 2.0
"""Processor time a conversation may take."""
MEMORY = 1 << 30
"""Bytes of address space of the child."""
MAX_OUTPUT_CHARACTERS = 1 << 22
"""Characters a template may write."""


def render(template: ChatTemplate, messages: Sequence[Mapping[str, str]], *, thinking: bool) -> str:
    """Render a conversation up to where the reply begins.

    Raises:
        ModelError: the template is broken, refuses the conversation, or takes too much.
    """
    return _child.ask({**asdict(template), "messages": [*messages], "thinking": thinking})


class _Child:
    """The rendering process; started when needed, and again after it was killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def ask(self, request: Mapping[str, Any]) -> str:
        line = json.dumps(request) + "\n"
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                self.close()
            process = self._process = self._process or _start()
            try:
                answer = _exchange(process, line)
            except BaseException:  # Ctrl-C: an unread answer must not be taken for the next one
                process.kill()
                self.close()
                raise
            if not answer.endswith("\n"):
                raise _broken(_cause(self.close()))
        said = parse_object(answer)
        if "text" not in said:
            raise _broken(Stored(said).sentence(said["error"]))
        return str(said["text"])

    def close(self) -> int:
        """End the child; returns its exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            return process.wait(timeout=2 * CPU_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "agent.prompt.template_renderer"],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C in the terminal must not reach it
    )


def _exchange(process: subprocess.Popen[str], line: str) -> str:
    """Send a line and return the answer, which is not a whole line if the process ended."""
    assert process.stdin
    assert process.stdout
    with suppress(BrokenPipeError):
        process.stdin.write(line)
        process.stdin.flush()
        return process.stdout.readline()
    return ""


_child = _Child()
atexit.register(_child.close)


def _broken(why: Sentence) -> ModelError:
    return ModelError("the model's chat template {why}; choose another GGUF", why=why)


def _cause(status: int) -> Sentence:
    if status == -signal.SIGPROF:
        return Sentence("runs for more than {seconds:g} seconds", seconds=CPU_SECONDS)
    if status == -signal.SIGKILL:
        return Sentence("was stopped by the system, probably because memory ran out")
    return Sentence("crashes the process that renders it (status {status})", status=status)


# --- the child ---------------------------------------------------------------------------------


def _serve(requests: IO[str], answers: IO[str]) -> None:
    _limit_memory()
    for line in requests:
        request = parse_object(line)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        answer = _answer(request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    from jinja2 import TemplateError, TemplateSyntaxError

    try:
        pieces: list[str] = []
        length = 0
        for piece in compiled(request["text"]).generate(
            messages=request["messages"],
            bos_token=request["bos"],
            eos_token=request["eos"],
            add_generation_prompt=True,
            enable_thinking=request["thinking"],
            tools=None,
            documents=None,
        ):
            length += len(piece)
            if length > MAX_OUTPUT_CHARACTERS:
                return _failure(
                    Sentence(
                        "produces more than {longest:,} characters", longest=MAX_OUTPUT_CHARACTERS
                    )
                )
            pieces.append(piece)
        return {"text": "".join(pieces)}
    except TemplateSyntaxError as error:
        return _failure(Sentence("cannot be parsed: {error}", error=_plain(error)))
    except MemoryError:
        return _failure(Sentence("needs more than {memory:,} MB of memory", memory=MEMORY >> 20))
    except TemplateError as error:
        return _failure(Sentence("rejects the conversation: {error}", error=_plain(error)))
    except Exception as error:  # a template may raise anything
        kind = type(error).__name__
        return _failure(
            Sentence("cannot be rendered: {kind}: {error}", kind=kind, error=_plain(error))
        )


def _failure(why: Sentence) -> dict[str, Any]:
    return to_plain({"error": why})


def _plain(error: Exception) -> str:
    return " ".join(str(error).replace(";", ",").split())[:300]


@lru_cache(maxsize=8)
def compiled(template: str) -> Template:
    """Compile a template with transformers' extensions and functions; rendering has no limits."""
    from jinja2.ext import Extension, loopcontrols
    from jinja2.nodes import Scope
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}`, which marks replies for trainers; here only its body is rendered."""

        tags = {"generation"}  # noqa: RUF012 - as the base class has it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return Scope(body).set_lineno(line)

    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    made.filters["tojson"] = _to_json
    made.globals |= {"raise_exception": _raise, "strftime_now": _now}
    return made.from_string(template)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise(message: object) -> None:
    from jinja2 import TemplateError

    raise TemplateError(str(message))


def _now(form: str) -> str:
    from datetime import datetime

    return datetime.now().strftime(form)


def _limit_memory() -> None:
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with suppress(OSError, ValueError):  # no core dump after a crash
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _serve(sys.stdin, sys.stdout)
