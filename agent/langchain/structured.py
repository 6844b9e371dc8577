"""Replies that follow a schema, for `with_structured_output`.

The schema is bound to the model, which turns it into a grammar (`agent/langchain/chat_model.py`). The
reply is parsed into the pydantic class, or into a dict for TypedDict and JSON schema.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass

from memory.errors import ModelError


def bound_to_schema(
    model: BaseChatModel, schema: dict[str, Any] | type, *, method: str, include_raw: bool
) -> Runnable[Any, Any]:
    """Return `model` bound to `schema`, followed by a parser.

    With `include_raw` the result is {"raw", "parsed", "parsing_error"} and nothing is raised.

    Raises:
        ModelError: `method` is not one of json_schema and json_mode.
    """
    if method not in ("json_schema", "json_mode"):
        raise ModelError(
            "unknown method {method!r}; use json_schema, json_mode or function_calling",
            method=method,
        )
    plain = convert_to_json_schema(schema)
    form: dict[str, Any] = {"type": "json_object", "schema": plain}
    if method == "json_schema":
        form = {"type": "json_schema", "json_schema": {"name": plain["title"], "schema": plain}}
    bound = model.bind(
        response_format=form,
        ls_structured_output_format={"kwargs": {"method": method}, "schema": plain},
    )
    parser: BaseOutputParser[Any] = JsonOutputParser()
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        parser = PydanticOutputParser(pydantic_object=schema)
    if not include_raw:
        return bound | parser
    assigned = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | assigned.with_fallbacks([failed], exception_key="parsing_error")
