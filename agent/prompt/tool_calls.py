"""Tools in Qwen's format: the system prompt, calls, results, and grammars that force a call or JSON.

The wording and the tags are those of the ChatML template in Qwen's files; the tests compare them. All
of it is message content, so nothing in a tool's description or result becomes a control token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall, ToolCall, ToolMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.utils.json_schema import dereference_refs

from agent.llama.sampling_parameters import json_grammar
from agent.prompt.reply_parser import CALL, UNCALL, without_thought
from memory.difference import Message, Role, new_id
from memory.errors import ModelError
from memory.files.bounded_read import parse_json

Tool = Mapping[str, Any]
"""A tool in OpenAI's form: {"type": "function", "function": {"name", "description", "parameters"}}."""

_HEAD = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>"""
_TAIL = """
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""
_ROLES: dict[str, Role] = {"human": "user", "ai": "assistant", "system": "system", "tool": "user"}


def tools_text(tools: Sequence[Tool]) -> str:
    """Return the part of the system prompt that offers the tools."""
    return _HEAD + "".join(f"\n{_json(tool)}" for tool in tools) + _TAIL


def schema_text(schema: Mapping[str, Any]) -> str:
    """Return the part of the system prompt that asks for JSON of a schema."""
    return f"Reply with JSON alone. It follows this JSON schema:\n{_json(schema)}"


def as_messages(messages: Sequence[BaseMessage], system: Sequence[str] = ()) -> list[Message]:
    """Convert LangChain messages; consecutive messages of one role are joined.

    Thoughts are dropped, as the template drops those of earlier turns. Tool calls and results are
    written out. `system` are further parts of the system prompt.

    Raises:
        ModelError: a message type that is not part of a conversation.
    """
    heads: list[str] = []
    found: list[Message] = []
    for message in messages:
        if message.type not in _ROLES:
            raise ModelError(
                "a message of type {type!r} cannot be part of a conversation; send system, human, "
                "ai and tool messages",
                type=message.type,
            )
        role, text = _ROLES[message.type], _written(message)
        if role == "system":
            heads.append(text)
        elif found and found[-1].role == role:
            found[-1] = Message(role, f"{found[-1].content}\n{text}")
        else:
            found.append(Message(role, text))
    head = "\n\n".join(text for text in (*heads, *system) if text.strip())
    return [Message("system", head), *found] if head else found


def _written(message: BaseMessage) -> str:
    text = str(message.text)
    if isinstance(message, ToolMessage):
        return f"<tool_response>\n{text}\n</tool_response>"
    if isinstance(message, AIMessage):
        parts = [without_thought(text)] if text else []
        for call in message.tool_calls:
            parts.append(call_text(call["name"], call["args"]))
        return "\n".join(parts)
    return text


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """Return a tool call as Qwen writes it."""
    return f'{CALL}\n{{"name": {_json(name)}, "arguments": {_json(arguments)}}}\n{UNCALL}'


def read_call(body: str) -> ToolCall | InvalidToolCall:
    """Parse the text between the tags of a call; return an invalid call if it is not one."""
    identity = f"call_{new_id()}"
    try:
        value = parse_json(body)
        name, arguments = value["name"], value.get("arguments", {})
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise TypeError("name must be a text and arguments an object")
    except (ValueError, KeyError, TypeError) as error:
        return invalid_tool_call(name=None, args=body, id=identity, error=str(error))
    return tool_call(name=name, args=arguments, id=identity)


def bounded(schema: Any, longest: int) -> Any:
    """Return a JSON schema with strings of at most `longest` characters; 0 means no limit."""
    if not longest or not isinstance(schema, (dict, list)):
        return schema
    if isinstance(schema, list):
        return [bounded(item, longest) for item in schema]
    free = not {"maxLength", "pattern", "format", "enum", "const"} & set(schema)
    limit = {"maxLength": longest} if schema.get("type") == "string" and free else {}
    return {name: bounded(value, longest) for name, value in schema.items()} | limit


def call_grammar(tools: Sequence[Tool], choice: str | None, longest: int = 0) -> str:
    """Return the GBNF that forces a call of the tool `choice`, of any tool with "any"; "" for none.

    `longest`: see `bounded`.

    Raises:
        ModelError: no tool has that name, or a schema cannot be made a grammar.
    """
    if choice in (None, "auto", "none"):
        return ""
    functions = [tool["function"] for tool in tools]
    if choice not in ("any", "required"):
        functions = [function for function in functions if function["name"] == choice]
    if not functions:
        raise ModelError(
            "there is no tool named {choice!r}; use one of the bound tools", choice=choice
        )
    alternatives = [
        {
            "type": "object",
            "properties": {
                "name": {"const": function["name"]},
                "arguments": bounded(_inlined(function.get("parameters")), longest),
            },
            "required": ["name", "arguments"],
        }
        for function in functions
    ]
    rules = json_grammar(alternatives[0] if len(alternatives) == 1 else {"oneOf": alternatives})
    rules = re.sub(r"^root ::=", "call ::=", rules, flags=re.MULTILINE)
    return f'root ::= "{CALL}\\n" call "\\n{UNCALL}"\n{rules}'


def _inlined(schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a tool's parameters with all references resolved."""
    if not schema:
        return {"type": "object", "properties": {}}
    whole: dict[str, Any] = dereference_refs(dict(schema)) if "$defs" in schema else dict(schema)
    return {name: value for name, value in whole.items() if name != "$defs"}


def choice_of(tool_choice: Any) -> str | None:
    """Convert LangChain's forms of `tool_choice` to a name, "any" or None."""
    if isinstance(tool_choice, Mapping):
        function = tool_choice.get("function", tool_choice)
        return str(function["name"])
    if isinstance(tool_choice, bool):
        return "any" if tool_choice else None
    return str(tool_choice) if tool_choice else None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
