"""Compose messages and recalled text into the token ids of a prompt.

Chat, training and evaluation use the same function, so the model is trained on exactly the prompts it
will get. The chat template comes from the model file. Messages are tokenised separately from the
template and without control tokens, so a stored `<|im_end|>` is just text. The whitespace around a
message, which templates treat as their own, is stripped here and kept in stored text.

A template that cannot be rendered, or that rewrites messages, raises ModelError.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from agent.llama.gguf.llama_file import ChatTemplate
from agent.prompt.reply_parser import THINK, UNTHINK
from agent.prompt.template_renderer import render
from memory.difference import Message
from memory.errors import ModelError

if TYPE_CHECKING:
    from agent.llama.engine import Engine

# ChatML, Qwen's format, for files without a template.
CHATML = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)

CLOSING = "\n</think>\n\n"
"""Closes a thought that a template left open, as Qwen's own template does."""

LONGEST_REPLY = 512
"""Most tokens of a reply that is trained on."""
TOKENS_PER_DIFFERENCE = 512
"""Tokens of context needed for each recalled difference."""

_ANCHOR = "\n"
_THOUGHT_TAG = re.compile(r"(?<=<)(?=/?think>)")

# While the template is rendered, a message is its number between these private-use characters.
_OPEN, _CLOSE = "\ue0d1", "\ue0d2"
_MARK = re.compile(f"{_OPEN}([0-9]{{1,6}}){_CLOSE}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A composed prompt.

    `text` is the prompt for display, with control tokens spelled out. `dropped` counts the earliest
    messages, which did not fit. `asked` are the indices of the last message's tokens, without the
    recalled block before it. `settled` is the number of tokens that the next prompt of the conversation
    begins with as well. `thinks` means that the prompt ends inside a thought.
    """

    tokens: tuple[int, ...]
    text: str
    dropped: int = 0
    asked: range = range(0)
    settled: int = 0
    thinks: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    content: bool


@dataclass(frozen=True, slots=True)
class _Said:
    """A message with its tokens, which are computed once however often the history is cut."""

    role: str
    text: str
    tokens: tuple[int, ...]
    within: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Tokens within a text, by the spaces before it, for a vocabulary that `begins_with_space`."""

    @classmethod
    def of(cls, engine: Engine, message: Message) -> _Said:
        text = message.content.strip()
        return cls(message.role, text, tuple(content_tokens(engine, text)))


def with_recalled(message: str, block: str) -> str:
    """Return the user's message with the recalled block before it."""
    return f"{block}\n\n{message}" if block else message


def compose(
    engine: Engine,
    messages: Sequence[Message],
    *,
    block: str = "",
    thinking: bool = False,
    room: int = 0,
) -> Prompt:
    """Return the prompt for a reply to the last message, which must be the user's.

    Without `thinking` the prompt ends after the thought: the template does that itself
    (`enable_thinking`), or a thought that it opens is closed here. `block` (recalled differences) is
    put right before the last message. The oldest exchanges are dropped until the prompt and `room`
    tokens for the reply fit the context.

    Raises:
        ModelError: the last message alone does not fit, or the template is broken.
    """
    if not messages or messages[-1].role != "user":
        raise ValueError("the last message must be the user's")
    own = messages[-1].content.strip()
    last = Message("user", with_recalled(own, block))
    history = [*messages[:-1], last]
    head = 1 if history[0].role == "system" else 0
    limit = engine.info.context - max(room, 1)
    said = [_Said.of(engine, message) for message in history]

    def without(cut: int) -> Prompt:
        return _encode(engine, [*said[:head], *said[head + cut :]], thinking)

    def fits(cut: int) -> bool:
        return len(without(cut).tokens) <= limit

    # The history may start with any exchange. Dropping more never makes the prompt longer.
    later = range(head + 1, len(history))
    cuts = [0, *(at - head for at in later if history[at].role == "user")]
    at = 0 if fits(0) else bisect_left(cuts, True, lo=1, key=fits)
    prompt = without(cuts[min(at, len(cuts) - 1)])
    if at == len(cuts):
        raise ModelError(
            "the message takes {tokens} tokens, but the context holds {context}, with {room} "
            "reserved for the reply; shorten the message, or raise model.context in config.toml",
            tokens=len(prompt.tokens),
            context=engine.info.context,
            room=room,
        )
    return replace(
        prompt,
        dropped=cuts[at],
        asked=_tail(engine, prompt, own),
        # The token before the message is evaluated again with it, for the probability of its first.
        settled=max(0, prompt.asked.start - 1),
    )


def reply_tokens(engine: Engine, reply: str) -> tuple[int, ...]:
    """Return the tokens of a reply for training and evaluation: its text, then the end of turn."""
    return (*content_tokens(engine, reply.strip()), engine.end_of_turn)


def longest_reply(engine: Engine) -> int:
    """Return how many tokens a lesson's reply may have, including the end of turn."""
    return min(LONGEST_REPLY, engine.info.context // 2)


def content_tokens(engine: Engine, text: str, *, begins: bool = True) -> list[int]:
    """Return the tokens of message text, without control tokens or thought tags.

    In Qwen's vocabulary thought tags are ordinary tokens. A stored `<think>` must not open a thought,
    so it is tokenised in two parts. `begins` is false for text that follows other text directly.
    """
    first, *rest = _THOUGHT_TAG.split(text)
    spaced = bool(rest) and _begins_with_space(engine)
    return [
        *_tokens(engine, first, begins=begins),
        *(token for part in rest for token in _tokens(engine, part, begins=not spaced)),
    ]


def _begins_with_space(engine: Engine) -> bool:
    """Whether the vocabulary puts a space before each text, as SentencePiece does by default."""
    return len(engine.tokenize(_ANCHOR)) == 2


def _tokens(engine: Engine, text: str, *, special: bool = False, begins: bool = True) -> list[int]:
    """Return the tokens of `text`; unless it `begins` a text, without the space that would be added."""
    if begins:
        return engine.tokenize(text, special=special)
    # A line feed is a token of its own that never joins what follows it.
    return engine.tokenize(_ANCHOR + text, special=special)[2:]


def tail(template: ChatTemplate, *, thinking: bool) -> str:
    """Return what a chat template writes between the last message and the reply.

    Raises:
        ModelError: the template is broken.
    """
    last = _parts(template, ("user",), thinking)[-1]
    return "" if last.content else last.text


def require_template(template: ChatTemplate, roles: tuple[str, ...]) -> None:
    """Raise ModelError for a template that cannot render these roles, thinking or not."""
    for thinking in (False, True):
        _parts(template, roles, thinking)


def rendered(template: ChatTemplate, message: str) -> str:
    """Return the prompt text for one trusted message, such as a test's own."""
    parts = _parts(template, ("user",), False)
    return "".join(message if part.content else part.text for part in parts)


def _opens_thought(text: str) -> bool:
    """Whether a template's text ends inside a thought."""
    return text.rfind(THINK) > text.rfind(UNTHINK)


def _encode(engine: Engine, said: Sequence[_Said], thinking: bool) -> Prompt:
    tokens: list[int] = []
    text: list[str] = []
    last = range(0)
    roles = tuple(message.role for message in said)
    spaced = _begins_with_space(engine)
    spaces = ""
    for part in _parts(engine.info.template, roles, thinking):
        # Whether the part begins a text for the vocabulary: at the start and after a control token.
        begins = not spaced or not tokens or engine.size_of(tokens[-1]) == 0
        if part.content:
            message = said[int(part.text)]
            text.append(message.text)
            if begins and not spaces:
                made = message.tokens
            else:
                known = f"{begins}{spaces}"
                if known not in message.within:
                    found = content_tokens(engine, spaces + message.text, begins=begins)
                    message.within[known] = tuple(found)
                made = message.within[known]
            last = range(len(tokens), len(tokens) + len(made))
            tokens += made
            spaces = ""
        else:
            text.append(part.text)
            bare = part.text.rstrip(" ") if spaced else part.text
            spaces = part.text[len(bare) :]
            tokens += _tokens(engine, bare, special=True, begins=begins) if bare else []
    tokens += _tokens(engine, spaces, special=True, begins=False) if spaces else []
    # Templates write the token that begins a prompt, except in files where it was taken out of them.
    if (begin := engine.info.begin) is not None and tokens[:1] != [begin]:
        tokens, last = [begin, *tokens], range(last.start + 1, last.stop + 1)
    thinks = bool(text) and not part.content and _opens_thought(part.text)
    return Prompt(tuple(tokens), "".join(text), asked=last, thinks=thinks)


def _tail(engine: Engine, prompt: Prompt, own: str) -> range:
    """Return the indices of the last message's tokens that belong to `own`, the text at its end.

    A token that overlaps the recalled block is left out, and so is the prompt's first token.
    """
    size = len(own.encode("utf-8", "replace"))
    start = prompt.asked.stop
    while start > max(prompt.asked.start, 1):
        size -= engine.size_of(prompt.tokens[start - 1])
        if size < 0:
            break
        start -= 1
    return range(start, prompt.asked.stop)


def _parts(template: ChatTemplate, roles: tuple[str, ...], thinking: bool) -> tuple[_Part, ...]:
    return _parts_on(date.today(), template, roles, thinking)


@lru_cache(maxsize=256)
def _parts_on(
    _day: date, template: ChatTemplate, roles: tuple[str, ...], thinking: bool
) -> tuple[_Part, ...]:
    """Render the template and split it at the messages.

    A template that has no place for a system prompt (Gemma 2, the first Mistral) gets it at the start
    of the first message, as the models' authors recommend.
    """
    written = template if template.text else replace(template, text=CHATML)
    try:
        return _split(written, roles, 0, thinking)
    except ModelError:
        if roles[:2] != ("system", "user"):
            raise
        try:
            parts = _split(written, roles[1:], 1, thinking)
        except ModelError:
            parts = ()
        if not parts:
            raise
    first = next(at for at, part in enumerate(parts) if part.content)
    system = (_Part("0", content=True), _Part("\n\n", content=False))
    return (*parts[:first], *system, *parts[first:])


def _split(
    template: ChatTemplate, roles: tuple[str, ...], start: int, thinking: bool
) -> tuple[_Part, ...]:
    """Render the template with a placeholder per message, numbered from `start`; split it at those."""
    numbers = range(start, start + len(roles))
    marked = [
        {"role": role, "content": f"{_OPEN}{at}{_CLOSE}"}
        for at, role in zip(numbers, roles, strict=True)
    ]
    rendered = render(template, marked, thinking=thinking)
    *placed, rest = _MARK.split(rendered)  # text, number, text, number, …, text
    texts, seen = placed[::2], [int(number) for number in placed[1::2]]
    if _opens_thought(rest) and not thinking:
        rest += CLOSING
    # Mistral's templates have the system prompt in the last message, before its text.
    moved = [*numbers[1:-1], 0, numbers[-1]] if roles[0] == "system" else None
    if seen not in (list(numbers), moved):
        raise ModelError(
            "the model's chat template does not include every message exactly once and in order; "
            "choose another GGUF"
        )
    parts: list[_Part] = []
    for text, number in zip((*texts, rest), (*seen, None), strict=True):
        if text:
            parts.append(_Part(text, content=False))
        if number is not None:
            parts.append(_Part(str(number), content=True))
    return tuple(parts)
