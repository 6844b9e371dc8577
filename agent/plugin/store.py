"""The journal of differences as a LangGraph store.

There is one namespace, ("differences",), and a key is a difference's id. A value is a plain dict:

    asked, replied, moment, kind, note, missed, lost, sounds, quote, thread, model, state, version

`put` with a new key marks a reply. `asked` and `replied` are required; the moment defaults to "error",
or to "surprise" without `sounds`. With a known key it edits the mark: missing fields are cleared, and
asked, replied and thread must stay the same. `delete` forgets for good. `search` with a query ranks
like recall; without one the newest come first. Other namespaces are empty and read-only. There is no
time to live, and `index` has no effect.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)

from agent.chat.marking.forget import forget
from agent.plugin.companion import Companion
from memory.difference import Difference, MarkScope, Turn, new_id, now
from memory.errors import MarkError
from memory.mark_validation import MarkRequest

NAMESPACE = ("differences",)
_KEY = re.compile(r"[0-9A-Za-z-]{8,64}\Z")
_FIELDS = ("kind", "note", "missed", "lost", "sounds", "scope", "condition", "rules")
_SAID = ("asked", "replied", "thread", "model", "quote")
_KNOWN = {*_FIELDS, *_SAID, "moment", "state", "version"}
_ORDER = {
    "$eq": lambda a, b: a == b,
    "$ne": lambda a, b: a != b,
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
}


class DifferenceStore(BaseStore):
    """A store over `companion`, which the caller closes."""

    __slots__ = ("companion",)

    def __init__(self, companion: Companion) -> None:
        self.companion = companion

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Run `ops` in order.

        Raises:
            MarkError: a put that is not a valid mark.
        """
        return [self._do(op) for op in ops]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Run `ops` in order, in a thread."""
        return await asyncio.to_thread(self.batch, list(ops))

    def _do(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            found = self._find(op.namespace, op.key)
            return item_of(found) if found else None
        if isinstance(op, SearchOp):
            return self._search(op)
        if isinstance(op, ListNamespacesOp):
            return self._namespaces(op)
        self._put(op)
        return None

    def _find(self, namespace: tuple[str, ...], key: str) -> Difference | None:
        found = (
            self.companion.memory.journal.differences.by_ids([key])
            if namespace == NAMESPACE
            else []
        )
        return found[0] if found else None

    def _search(self, op: SearchOp) -> list[SearchItem]:
        if op.namespace_prefix not in ((), NAMESPACE):
            return []
        memory = self.companion.memory
        ranked: list[tuple[Difference, float | None]]
        if op.query:
            wanted = max(100, op.offset + op.limit)
            ranked = [(x.difference, x.score) for x in memory.search(op.query, limit=wanted)]
        else:
            ranked = [(item, None) for item in reversed(memory.journal.differences.all())]
        items = [_search_item(item, score) for item, score in ranked]
        kept = [item for item in items if _fits(item.value, op.filter or {})]
        return kept[op.offset : op.offset + op.limit]

    def _namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        fits = all(_matches(condition) for condition in op.match_conditions or ())
        there = [NAMESPACE] if fits and self.companion.memory.journal.differences.all() else []
        return [name[: op.max_depth] for name in there][op.offset : op.offset + op.limit]

    def _put(self, op: PutOp) -> None:
        known = self._find(op.namespace, op.key)
        if op.value is None:
            if known:
                forget(self.companion.home, self.companion.memory, known.id)
            return
        if op.namespace != NAMESPACE:
            raise MarkError(
                "cannot write to {namespace}; differences are stored in {expected}",
                namespace=repr(op.namespace),
                expected=repr(NAMESPACE),
            )
        unknown = sorted(set(op.value) - _KNOWN)
        if unknown:
            raise MarkError(
                "a difference has no field {unknown!r}; see agent/plugin/store.py for its fields",
                unknown=unknown[0],
            )
        if known:
            self._edit(known, op.value)
        else:
            self._mark(op.key, op.value)

    def _mark(self, key: str, value: Mapping[str, Any]) -> None:
        if not _KEY.match(key):
            raise MarkError(
                "{key!r} is not a valid difference id; use 8 to 64 letters, digits and hyphens",
                key=key,
            )
        if not str(value.get("asked") or "").strip() or not str(value.get("replied") or "").strip():
            raise MarkError("a difference needs both `asked` and `replied`; add the missing field")
        turn = Turn(
            id=new_id(),
            thread=str(value.get("thread") or "store"),
            at=now(),
            asked=str(value["asked"]),
            replied=str(value["replied"]).strip(),
            model=str(value.get("model") or "unknown"),
        )
        moment = value.get("moment") or ("error" if value.get("sounds") else "surprise")
        fields: dict[str, Any] = {name: value.get(name) for name in _FIELDS}
        memory = self.companion.memory
        memory.journal.turns.add(turn)
        request = MarkRequest(str(moment), quote=value.get("quote"), identity=key, **fields)
        memory.mark(turn, request)

    def _edit(self, known: Difference, value: Mapping[str, Any]) -> None:
        before = value_of(known)
        for name in _SAID:
            if name in value and value[name] != before[name]:
                raise MarkError(
                    "{name} cannot be changed; store the difference under a new key", name=name
                )
        given = {name: value.get(name) or "" for name in _FIELDS}
        given["scope"] = value.get("scope") or MarkScope.HERE
        given["rules"] = value.get("rules")  # None leaves them as they are
        self.companion.memory.edit(known.id, moment=value.get("moment"), **given)


def value_of(difference: Difference) -> dict[str, Any]:
    """Return a difference as a value of the store."""
    contrast = difference.contrast
    return {
        "asked": difference.asked,
        "replied": difference.replied,
        "moment": str(difference.moment),
        "kind": difference.kind,
        "note": difference.note,
        "missed": contrast.missed,
        "lost": contrast.lost,
        "sounds": contrast.sounds,
        "quote": difference.span.quote if difference.span else None,
        "thread": difference.thread,
        "model": difference.model,
        "state": str(difference.state),
        "version": difference.version,
        "scope": difference.scope.value,
        "condition": difference.condition,
        "rules": None if difference.rules is None else "\n".join(difference.rules),
    }


def item_of(difference: Difference) -> Item:
    """Return a difference as an item of the store."""
    return Item(
        value=value_of(difference),
        key=difference.id,
        namespace=NAMESPACE,
        created_at=difference.at,
        updated_at=difference.edited or difference.at,
    )


def _search_item(difference: Difference, score: float | None) -> SearchItem:
    item = item_of(difference)
    return SearchItem(item.namespace, item.key, item.value, item.created_at, item.updated_at, score)


def _fits(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    for name, condition in wanted.items():
        found = value.get(name)
        tests = condition if isinstance(condition, dict) else {"$eq": condition}
        for sign, other in tests.items():
            if sign not in _ORDER:
                raise MarkError(
                    "{sign!r} is not a comparison operator; use one of {order}",
                    sign=sign,
                    order=", ".join(_ORDER),
                )
            try:
                if not _ORDER[sign](found, other):
                    return False
            except TypeError:  # None and numbers have no order
                return False
    return True


def _matches(condition: MatchCondition) -> bool:
    path = tuple(condition.path)
    if len(path) > len(NAMESPACE):
        return False
    part = NAMESPACE[: len(path)] if condition.match_type == "prefix" else NAMESPACE[-len(path) :]
    return not path or all(want in ("*", have) for want, have in zip(path, part, strict=True))
