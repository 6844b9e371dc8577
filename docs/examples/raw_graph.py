"""Your own LangGraph graph with `/diff`, recall and a nightly adapter.

The node `reply` is yours: call any local or remote model there. The state holds only the ids of
recalled differences; `companion.placed` adds their text to the messages.
"""

from typing import Annotated, Any, TypedDict

from langchain_core.messages import AnyMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages

from agent.plugin import Companion, DiscernChatModel, recall_node, record_node
from trainer.loop import nightly


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    recalled: list[str]


companion = Companion.open()
model = DiscernChatModel.from_gguf()  # the starter model; pass the path of your own Qwen GGUF


def reply(state: State) -> dict[str, Any]:
    companion.use_current(model, state["messages"])
    return {"messages": [model.invoke(companion.placed(state["messages"], state["recalled"]))]}


graph = StateGraph(State)
graph.add_node("recall", recall_node(companion, then="reply"))
graph.add_node("reply", reply)
graph.add_node("record", record_node(companion))
graph.add_edge(START, "recall")
graph.add_edge("reply", "record")
graph.add_edge("record", END)
agent = graph.compile(checkpointer=InMemorySaver())


def say(text: str, thread: str = "example") -> str:
    config: Any = {"configurable": {"thread_id": thread}}
    return str(agent.invoke({"messages": [("user", text)]}, config)["messages"][-1].text)


if __name__ == "__main__":
    with nightly(companion.home, companion.settings):
        while text := input("> ").strip():
            print(say(text))
