// Give the keyboard to the terminal once it paints, and again when the person comes back to the tab.
addEventListener("load", () => {
  const write = () => document.querySelector(".xterm-helper-textarea")?.focus();
  const painting = new MutationObserver(() => {
    if (document.body.classList.contains("-first-byte")) {
      painting.disconnect();
      write();
    }
  });
  painting.observe(document.body, { attributeFilter: ["class"] });
  addEventListener("focus", write);
});
