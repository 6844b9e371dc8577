"""An agent in twenty lines that learns from differences.

Chat with it. When a reply is wrong, type `/diff error => the better reply`. The difference is recalled
from then on where it is relevant, and an adapter is trained on it at night.
"""

from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver

from agent.plugin import Companion, DifferenceMiddleware, DiscernChatModel
from trainer.loop import nightly

companion = Companion.open()
model = DiscernChatModel.from_gguf()  # the starter model; pass the path of your own Qwen GGUF
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
