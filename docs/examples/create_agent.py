"""An agent of twenty lines that learns from differences.

Talk to it; where a reply misses something, type `/diff error => how it should have sounded`. From then
on that is recalled where it matters, and at night an adapter is trained on it, which serves by morning.
"""

from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver

from agent.plugin import Companion, DifferenceMiddleware, DiscernChatModel
from trainer.loop import nightly

companion = Companion.open()
model = DiscernChatModel.from_gguf()  # the starter; name your own Qwen's GGUF here
agent = create_agent(
    model, middleware=[DifferenceMiddleware(companion)], checkpointer=InMemorySaver()
)


def say(text: str, thread: str = "example") -> str:
    config = {"configurable": {"thread_id": thread}}
    return str(agent.invoke({"messages": [("user", text)]}, config)["messages"][-1].text)


if __name__ == "__main__":
    with nightly(companion.home, companion.settings):
        while text := input("> ").strip():
            print(say(text))
