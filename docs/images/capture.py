"""Draw the screenshots of the README (`make captures`).

It runs the application with the starter model in a temporary home; Textual exports SVG.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from memory.settings.paths import Home  # noqa: E402
from memory.settings.settings import read_settings  # noqa: E402
from tui.app import DiscernApp  # noqa: E402
from tui.training.progress import Progress  # noqa: E402

QUESTION = "What is the capital of Zubrowka?"
SOUNDS = "The capital of Zubrowka is Lutz."
MORE = (
    ("Who wrote The Lake of Glass?", "The Lake of Glass is by Ada Venn."),
    ("What colour is the sky on Mars?", "The sky on Mars is butterscotch."),
)
SIZE, LARGE = (96, 19), (120, 32)


def learning(progress: Progress | None) -> int:
    """Return the number of completed training steps."""
    return progress.done if progress is not None and progress.phase == "train" else 0


async def main() -> None:
    """Run a session and save a screenshot of each step."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home.at(Path(folder))
        quiet: dict[str, dict[str, object]] = {
            "sampling": {"temperature": 0.0},
            "memory": {"dense": False},
            "night": {"enabled": False},
            "ui": {"theme": "discern-dark"},
        }
        app = DiscernApp(home, read_settings(home, quiet))
        try:
            async with app.run_test(size=SIZE) as pilot:

                async def until(ready: Callable[[], object]) -> None:
                    while not ready():
                        await pilot.pause(0.05)
                    await pilot.pause(0.3)

                async def send(text: str) -> None:
                    screen.composer.write(text)
                    screen.entry.close_menu()
                    await pilot.press("enter")
                    await until(lambda: not screen.conversation.streaming)

                def save(name: str) -> None:
                    # Remove web fonts, so that the README loads none.
                    drawn = re.sub(
                        r"@font-face\s*{.*?}",
                        "",
                        app.export_screenshot(title="discern"),
                        flags=re.S,
                    )
                    (HERE / f"{name}.svg").write_text(drawn, encoding="utf-8")

                screen = app._chat_screen
                await until(
                    lambda: (
                        screen.context.open_chat is not None and not screen.status.status.passing
                    )
                )
                screen.composer.cursor_blink = False
                await send("Who are you?")
                await send(QUESTION)
                await pilot.press("alt+up", "d", "e", "1")
                await pilot.pause(0.3)
                save("marking")
                await pilot.press("escape", "escape")
                await send(f"/diff error semantic/nuance => {SOUNDS}")
                await until(lambda: screen.transcript.turns[-1].marks)
                await send("Tell me the capital of Zubrowka")
                save("chat")
                await send("/memory")
                await until(lambda: app.screen is not screen)
                save("differences")
                await pilot.press("escape")
                for question, sounds in MORE:
                    await send(question)
                    await send(f"/diff error semantic/nuance => {sounds}")
                    await until(lambda: screen.transcript.turns[-1].marks)
                await pilot.resize_terminal(*LARGE)
                await send("/train")
                await until(lambda: screen.training.trainings.running)
                await pilot.press("ctrl+t")
                await until(lambda: learning(screen.panel.progress) >= 24)
                save("training")
                await until(lambda: not screen.training.trainings.running)
                await pilot.press("escape")
                await send("/report")
                await until(lambda: app.screen is not screen)
                save("report")
        finally:
            app.close_resources()


if __name__ == "__main__":
    asyncio.run(main())
